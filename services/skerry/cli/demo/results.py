"""What the cameras' answers add up to, per phase and over time, and whether the loop really closed. Pure functions."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from skerry.cli.demo.traffic import Answer

PHASES = ("clean", "drift", "after")
MIN_GAIN = 0.15  # of accuracy at the edge, on images that nothing has learned from
MAX_CLEAN_LOSS = 0.01
MIN_HOLDOUT = 2_000
MIN_CLEAN = 0.95


@dataclass(frozen=True, slots=True)
class PhaseRow:
    """One line of the table. Ratios are 0–1 of the answered requests; NaN when there were none."""

    name: str
    requests: int
    lost: int
    edge_accuracy: float
    answer_accuracy: float
    offload_rate: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Holdout:
    """Both versions on the same clean holdout, by the trainer through the serving runtime."""

    before: float
    after: float
    n: int


@dataclass(frozen=True, slots=True)
class Gain:
    """Accuracy of the edge alone, 0–1, on images of the changed cameras that nothing has learned from, by the first
    version and by the one that the loop made; NaN where it answered none. `n_…`: how many answers."""

    before: float
    after: float
    n_before: int
    n_after: int


def gain(answers: Sequence[Answer], first: str, target: str, shown: str) -> Gain:
    """What the loop gained on the images `shown`. `first` and `target` are digests of versions."""
    by_version = [
        [answer for answer in answers if answer.shown == shown and answer.digest == digest and not answer.error]
        for digest in (first, target)
    ]
    before, after = (ratio(sum(one.local == one.label for one in mine), len(mine)) for mine in by_version)
    return Gain(before, after, *(len(mine) for mine in by_version))


def ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def quantile_ms(seconds: Sequence[float], q: float) -> float:
    """The q-quantile by the nearest rank, in milliseconds; NaN of nothing."""
    if not seconds:
        return math.nan
    ordered = sorted(seconds)
    return 1e3 * ordered[min(len(ordered) - 1, math.ceil(q * len(ordered)) - 1)]


def phase_row(name: str, answers: Sequence[Answer]) -> PhaseRow:
    """Sum up the answers of one phase."""
    mine = [answer for answer in answers if answer.phase == name]
    good = [answer for answer in mine if not answer.error]
    seconds = [answer.seconds for answer in good]
    return PhaseRow(
        name=name,
        requests=len(mine),
        lost=len(mine) - len(good),
        edge_accuracy=ratio(sum(answer.local == answer.label for answer in good), len(good)),
        answer_accuracy=ratio(sum(answer.answered == answer.label for answer in good), len(good)),
        offload_rate=ratio(sum(answer.route == "cloud" for answer in good), len(good)),
        p50_ms=quantile_ms(seconds, 0.50),
        p99_ms=quantile_ms(seconds, 0.99),
    )


def series(answers: Sequence[Answer], step_s: float = 2.0) -> dict[str, list[tuple[float, float]]]:
    """Accuracy at the edge, accuracy of the answers and offload rate, per `step_s` seconds."""
    buckets: dict[int, list[Answer]] = {}
    for answer in answers:
        if not answer.error:
            buckets.setdefault(int(answer.at_s // step_s), []).append(answer)
    out: dict[str, list[tuple[float, float]]] = {"accuracy_edge": [], "accuracy_answers": [], "offload_rate": []}
    for bucket, rows in sorted(buckets.items()):
        at = (bucket + 0.5) * step_s
        out["accuracy_edge"].append((at, ratio(sum(row.local == row.label for row in rows), len(rows))))
        out["accuracy_answers"].append((at, ratio(sum(row.answered == row.label for row in rows), len(rows))))
        out["offload_rate"].append((at, ratio(sum(row.route == "cloud" for row in rows), len(rows))))
    return out


def why_open(
    rows: Mapping[str, PhaseRow], nodes: Mapping[str, str], target: str, holdout: Holdout | None, gained: Gain
) -> list[str]:
    """Every reason why the loop did not close; empty when it did. `nodes` maps a node to the digest it reports."""
    reasons = []
    if not target:
        reasons.append("no new version was made")
    if late := sorted(node for node, digest in nodes.items() if digest != target):
        reasons.append(f"not on the new version: {', '.join(late)}")
    if not nodes:
        reasons.append("no node reported")
    if not rows["clean"].edge_accuracy >= MIN_CLEAN:
        reasons.append(f"the first version answers only {rows['clean'].edge_accuracy:.3f} of the clean images right")
    if not gained.after - gained.before >= MIN_GAIN:
        reasons.append(f"drift accuracy at the edge went from {gained.before:.3f} to {gained.after:.3f}")
    if holdout is None or holdout.n < MIN_HOLDOUT:
        reasons.append("the two versions were not compared on the whole clean holdout")
    elif holdout.before - holdout.after > MAX_CLEAN_LOSS:
        reasons.append(f"clean accuracy fell from {holdout.before:.4f} to {holdout.after:.4f}")
    if lost := sum(row.lost for row in rows.values()):
        reasons.append(f"{lost} requests got no answer")
    return reasons


def errors_seen(answers: Sequence[Answer]) -> list[tuple[str, int]]:
    """Distinct errors of lost requests, most frequent first."""
    return Counter(answer.error for answer in answers if answer.error).most_common()


def as_json(row: PhaseRow | Gain) -> dict[str, Any]:
    """A row for programs: what is not a number becomes null (JSON has no NaN)."""
    return {
        key: None if isinstance(value, float) and math.isnan(value) else value for key, value in asdict(row).items()
    }
