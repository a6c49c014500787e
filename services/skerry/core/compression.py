"""Which of several compressed forms of one network is shipped: the smallest that passes its gates.

`Candidate`s come from the trainer, which made and measured each; the first is the network as it was trained, in float,
and can always be taken. Nothing is measured here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from skerry.core.gates import SEVERITY, Outcome

FLOAT_SCHEME = "float32"


@dataclass(frozen=True, slots=True)
class Loss:
    """What a candidate loses against the float network on holdout rows, in the measure of the task, and a text that
    says so. `chance`: how much of it means nothing on so few rows."""

    lost: float
    text: str
    chance: float = 0.0

    def exceeds(self, limit: float) -> bool:
        return not self.lost - self.chance <= limit  # also where it is no number


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_loss`: of `Loss`. `max_latency_us`: for one row; 0: not asked."""

    max_loss: float
    max_latency_us: float = 0.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """One form of the network. `quality` is in the task's own measure, by its name (accuracy, loss; empty: there is no
    holdout). `fault`: why it cannot be taken, whatever its gates say (empty: nothing). `lossy`: it holds less than
    float promises, and more careful ways may hold it. `outcome` and `gates`: the verdict on it as a version."""

    scheme: str
    bytes: int
    outcome: Outcome
    gates: str
    quality: Mapping[str, float] = field(default_factory=dict)
    latency_us: float | None = None
    fault: str = ""
    lossy: bool = False
    note: str = ""

    @property
    def passed(self) -> bool:
        return not self.fault and self.outcome is Outcome.PASS


@dataclass(frozen=True, slots=True)
class Refused:
    """A form that came to no network at all."""

    scheme: str
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """`chosen` is an index into the candidates. `reasons`: of each candidate, why it was or was not taken."""

    chosen: int
    reason: str
    reasons: Sequence[str]


def fault(
    candidate_bytes: int,
    float_bytes: int,
    loss: Loss | None,
    latency_us: tuple[float, float],
    limits: Limits,
) -> tuple[str, bool]:
    """(why a compressed form is not worth it or holds less than it must; empty: it does, is it the loss). `loss` is
    against float on the same rows (None: there are none), `latency_us` the times of float and of it for one row."""
    if candidate_bytes >= float_bytes:
        return f"it takes {candidate_bytes} bytes, float {float_bytes}", False
    if latency_us[0] <= limits.max_latency_us < latency_us[1]:
        times = f"it takes {latency_us[1]:.0f} µs a row, float {latency_us[0]:.0f}"
        return f"{times}, {limits.max_latency_us:.0f} are allowed", False
    if loss is not None and loss.exceeds(limits.max_loss):
        return f"{loss.text}: it loses more than {limits.max_loss:.3f}", True
    return "", False


def choose(candidates: Sequence[Candidate], refused: Sequence[Refused] = ()) -> Decision:
    """The smallest of those that pass their gates; where none does, the smallest of those with the best verdict, which
    then says what is wrong. Of equal ones the first, which cost less to make. The first candidate is float; what was
    `refused` is told."""
    open_to = [at for at, one in enumerate(candidates) if not one.fault]
    best = min(open_to, key=lambda at: (SEVERITY.index(candidates[at].outcome), candidates[at].bytes, at))
    taken = candidates[best]
    reasons = [_reason(one, taken, chosen=at == best) for at, one in enumerate(candidates)]
    return Decision(best, _whole_reason(taken, candidates, refused), reasons)


def _reason(one: Candidate, taken: Candidate, *, chosen: bool) -> str:
    note = f"; {one.note}" if one.note else ""
    if one.fault:
        return one.fault + note
    if chosen:
        return ("shipped" if one.passed else f"shipped, though not passed: {one.gates}") + note
    if one.outcome is not Outcome.PASS:
        return f"its gates: {one.gates}{note}"
    return f"it passes, and takes {one.bytes} bytes where {taken.scheme} takes {taken.bytes}{note}"


def _whole_reason(taken: Candidate, candidates: Sequence[Candidate], refused: Sequence[Refused]) -> str:
    passing = sum(one.passed for one in candidates)
    why = (
        f"the smallest of {passing} that pass their gates"
        if passing > 1
        else "the only one that passes its gates"
        if passing
        else "none passes its gates; the smallest of those that come nearest"
    )
    text = f"{taken.scheme}, {taken.bytes} bytes: {why}"
    if taken.note:
        text += f"; {taken.note}"
    if taken.scheme != FLOAT_SCHEME:
        return text
    others = [f"{one.scheme}: {one.fault or one.gates}" for one in candidates if one is not taken]
    others += [f"{one.scheme}: {one.reason}" for one in refused]
    return f"{text}; the float model is kept: {'; '.join(others)}" if others else text


def tried(candidates: Sequence[Candidate], decision: Decision, refused: Sequence[Refused]) -> list[dict[str, Any]]:
    """For reports: {scheme, bytes, <the task's measure>, latency_us, passed, reason} each, in order of making."""
    return [
        {
            "scheme": one.scheme,
            "bytes": one.bytes,
            **{name: round(value, 6) for name, value in one.quality.items()},
            "latency_us": None if one.latency_us is None else round(one.latency_us, 1),
            "passed": one.passed,
            "reason": reason,
        }
        for one, reason in zip(candidates, decision.reasons, strict=True)
    ] + [
        {"scheme": one.scheme, "bytes": None, "latency_us": None, "passed": False, "reason": one.reason}
        for one in refused
    ]
