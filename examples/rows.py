"""From what was played to the rows of results.json, and what is held against the system's own counts."""

from collections.abc import Iterator, Sequence

import numpy as np

from examples import battery, score
from examples.battery import Battery
from examples.loop import Played
from examples.results import Row
from examples.scenario import Scenario
from examples.spans import Spans
from skerry.core import specs
from skerry.core.tasks import Forecast


def of_missing(example: Scenario, seed: int) -> list[Row]:
    return [
        Row(example.name, metric, None, str(bar), None, (seed,), example.data, note=f"{example.data}.gz is missing")
        for metric, bar in example.bars.items()
    ]


def of_broken(example: Scenario, seed: int, why: str) -> list[Row]:
    """The loop did not close: no version, no rollout, nothing to measure."""
    return [
        Row(example.name, metric, None, str(bar), False, (seed,), example.data, note=f"broke off: {why}")
        for metric, bar in example.bars.items()
    ]


def of_played(
    example: Scenario, seed: int, played: Played, cut: Spans, model: specs.EdgeModel, sha256: str
) -> list[Row]:
    task = model.task
    assert isinstance(task, Forecast)
    digests = {answer.digest for answer in played.final}
    digest = played.final[-1].digest
    scores = score.of(played.final, cut.final, digest, task.naive)
    assert scores is not None
    before = score.of(played.before, cut.final, played.before[0].digest, task.naive) if played.before else None
    left_out = ", ".join(f"{reason} {count}" for reason, count in cut.left_out.items())
    notes = [*played.notes, *([f"{len(digests)} versions answered the final"] if len(digests) > 1 else [])]

    def row(metric: str, value: float, baseline: float | None = None, note: str = "") -> Row:
        bar = example.bars.get(metric)
        return Row(
            scenario=example.name,
            metric=metric,
            value=round(value, 6),
            bar=str(bar) if bar else "",
            passed=bar.holds(value) if bar else None,
            seeds=(seed,),
            data=example.data,
            baseline=None if baseline is None else round(baseline, 6),
            n=scores.n,
            data_sha256=sha256,
            version_digest=digest,
            answered_by=scores.answered_by,
            run=played.run,
            rollout=played.rollout,
            cpu_s=round(played.cpu_s, 1),
            note="; ".join([note, *notes] if note else notes),
        )

    made = [
        row("mae", scores.mae, min(scores.naive.values())),
        *(row(f"mae_naive_{season}", error) for season, error in scores.naive.items()),
        row("coverage", scores.coverage, task.coverage),
        row("hardest_tenth_ratio", scores.hardest_tenth_ratio),
        row("answered", scores.n, cut.moments, f"left out: {left_out}" if left_out else ""),
    ]
    if example.battery is not None:
        made += [
            row(name, value, note=note) for name, value, note in _shaving(example.battery, played, cut, digest, task)
        ]
    if before is not None:
        made.append(row("mae_of_first_version", before.mae, note="the same moments, asked after a rollback"))
    if played.worse is not None:
        made.append(
            row("worse_refused_by_gates", float(bool(played.worse.refusal)), note=played.worse.refusal or "taken")
        )
        rolled_back = float(played.worse.phase == "RolledBack")
        made.append(row("worse_rolled_back", rolled_back, note=f"{played.worse.rollout}: {played.worse.why}"))
    return made


def _shaving(
    wanted: Battery, played: Played, cut: Spans, digest: str, task: Forecast
) -> Iterator[tuple[str, float, str]]:
    """(metric, value, note): mean of the monthly peaks in kW and kWh moved, by whose forecasts ran the battery."""
    mine = [answer for answer in played.final if answer.digest == digest]
    at, hours = np.array([answer.index for answer in mine]), task.step_seconds / 3600
    truth = cut.final.y[at].astype(np.float64)
    moment = cut.final.time[at] + (task.horizon - task.steps + 1) * task.step_seconds * 1000
    month = moment.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    forecasts = {
        "forecast": np.array([answer.value for answer in mine]),
        "upper_end": np.array([answer.high for answer in mine]),
        "last_value": cut.final.naive[at, task.naive.index(1)].astype(np.float64),
        "perfect_foresight": truth,
    }
    plain = battery.without(truth[:, 0], month, hours)
    said = f"{wanted.capacity_kwh:g} kWh, {wanted.power_kw:g} kW, efficiency {wanted.efficiency:g}"
    yield "peak_kw_no_battery", plain.mean_peak_kw, _months(plain)
    for name, forecast in forecasts.items():
        shaved = battery.run(truth[:, 0], forecast, month, hours, wanted)
        yield f"peak_kw_{name}", shaved.mean_peak_kw, f"battery of {said}; {_months(shaved)}"
        yield f"moved_kwh_{name}", shaved.moved_kwh, f"battery of {said}"


def _months(shaved: battery.Shaved) -> str:
    return "peaks of the months in kW: " + ", ".join(f"{peak:.1f}" for peak in shaved.peak_kw)


def disagreements(played: Played) -> Sequence[str]:
    """Where the agents' own counts are not ours, for people."""
    wrong = []
    of_worse = played.worse.answers if played.worse else []
    answers = [*played.replay, *played.final, *played.before, *of_worse]
    for node, metrics in played.metrics.items():
        kept = sum(bool(answer.token) for answer in answers if answer.node == node)
        told = {outcome: n for (where, outcome), n in played.told.items() if where == node and outcome != "NOT_KEPT"}
        pairs = [('skerry_spool{what="captured"}', kept)]
        pairs += [(f'skerry_feedback_total{{outcome="{outcome.lower()}"}}', n) for outcome, n in told.items()]
        wrong += [
            f"{node}: {name} is {metrics.get(name)}, and {ours} were counted here"
            for name, ours in pairs
            if metrics.get(name) != ours
        ]
    if played.run and played.run not in played.runs:
        wrong.append(f"`skerry runs --json` does not know {played.run}")
    return wrong
