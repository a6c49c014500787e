"""From replies, readings and warnings to rows. Pure."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from examples.client import Answer
from examples.machine_temperature import readings
from examples.machine_temperature.readings import Readings
from examples.own import Place
from examples.results import Row
from examples.scenario import Bar

NAME = "machine_temperature"
FILES = ("nab_machine_temperature.csv", "nab_combined_windows.json")
STEP_MS = 300_000
BARS = {"windows_warned": Bar(low=2), "false_warnings_per_week": Bar(high=0.5)}


def residuals(known: Readings, answers: Sequence[Answer]) -> NDArray[np.float64]:
    """|next reading - forecast| of each answer whose next reading came a step later."""
    at = np.array([answer.index for answer in answers if answer.index + 1 < len(known.time)], dtype=np.int64)
    said = np.array([answer.value[0] for answer in answers[: len(at)]])
    is_next = known.time[at + 1] - known.time[at] == STEP_MS
    return np.asarray(np.abs(known.value[at + 1] - said)[is_next])


def rows(
    place: Place,
    known: Readings,
    before: Sequence[Answer],
    after: Sequence[Answer],
    raised: Sequence[int],
    level: float,
    *,
    run: str,
    cpu_s: float,
) -> list[Row]:
    """`before` are the answers to the readings before the first judged window, `after` the others; `raised`: when the
    node warned."""
    digest = after[-1].digest
    by_node = dict(sorted(Counter(answer.node for answer in after if answer.digest == digest).items()))
    ours, plain = readings.score(known, raised), readings.score(known, readings.three_sigma(known))
    persistence = np.abs(np.diff(known.value[known.first_judged :])).mean()

    def row(metric: str, value: float | None, baseline: float | None = None, note: str = "", own: bool = True) -> Row:
        bar = BARS.get(metric)
        return Row(
            scenario=NAME,
            metric=metric,
            value=None if value is None else round(value, 6),
            bar=str(bar) if bar else "",
            passed=bar.holds(value) if bar and value is not None else None,
            seeds=(place.seed,),
            data=FILES[0],
            baseline=None if baseline is None else round(baseline, 6),
            n=sum(by_node.values()),
            data_sha256=place.digests[FILES[0]],
            version_digest=digest if own else "",
            answered_by=by_node if own else {},
            run=run,
            cpu_s=round(cpu_s, 1),
            note=note,
        )

    judged = f"of {len(known.judged)} windows after the probation; baseline: a level of three standard deviations"
    made = [
        row("windows_warned", float(ours.found), float(plain.found), judged),
        row("false_warnings_per_week", ours.false_per_week, plain.false_per_week, f"{ours.false} in {ours.weeks:.2f}"),
        row("residual_level", level, note=f"fixed from {len(before)} readings before the first judged window"),
        row("mae", float(residuals(known, after).mean()), float(persistence), "baseline: the last value"),
    ]
    for window, warned in zip(known.judged, ours.first, strict=True):
        day = str(np.datetime64(window.label, "ms").astype("datetime64[D]"))
        if warned is not None:
            lead = readings.lead_hours(window, warned)
            made.append(row(f"lead_hours_{day}", lead, note="before NAB's label, the middle of its window; n = 3"))
    versions = {answer.digest for answer in [*before, *after]}
    if len(versions) > 1:
        made.append(row("versions", float(len(versions)), note="more than one version answered"))
    return made
