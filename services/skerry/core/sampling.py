"""Which answered requests are kept for learning: hard ones, and an exploration share of all.

Exploration is drawn from every request whatever its confidence, so that agreement measured on it is an unbiased
estimate of the version in the field; it also audits confident answers. Whatever exploration did not take is kept as
hard when the edge was not sure. The cap per second is a token bucket of `core.offload`, held by the caller.

Steps of a sequence are kept with the window of steps that ends with them. Windows that overlap would put the same steps
into the training rows and into the holdout, so each step is kept once at most: a sequence is cut into stretches of a
window's length, each drawn once, whatever comes. An explored stretch is kept whole, at its end, and no hard step in it:
what was hard must not decide what is explored. In any other one a hard step is kept as soon as its window is free.
Where the holdout goes by time, with an embargo (forecasts), windows may overlap: each step is drawn by itself, as a
request that brings its whole window is.
"""

import enum
from dataclasses import dataclass

from skerry.core import offload, redaction


class Kind(enum.Enum):
    HARD = "Hard"
    EXPLORATION = "Exploration"


@dataclass(frozen=True, slots=True)
class CapturePolicy:
    """The capture part of `EdgeModel.spec.offload`. `exploration` and `hard` are shares in 0..1. The rest is of
    `core.privacy`: does a kept answer hold its row, and what is taken out of the row before."""

    exploration: float = 0.1
    hard: float = 1.0
    per_s: float = 200.0
    has_row: bool = True
    redact: redaction.Steps = ()


def choose(*, confidence: float, threshold: float, policy: CapturePolicy, u: float) -> Kind | None:
    """Why this answer is kept, or None. `u` is uniform in [0, 1), drawn by the caller; one draw serves both chances.

    P(EXPLORATION) = exploration; P(HARD | not explored, confidence < threshold) = hard.
    """
    if u < policy.exploration:
        return Kind.EXPLORATION
    if confidence >= threshold:
        return None
    rest = (u - policy.exploration) / (1 - policy.exploration)  # uniform again; u >= exploration, so it is < 1
    return Kind.HARD if rest < policy.hard else None


def start(policy: CapturePolicy, now_s: float) -> offload.TokenBucket:
    """A full bucket for the cap: up to one second's worth at once."""
    return offload.TokenBucket.full(policy.per_s, policy.per_s, now_s)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where a sequence stands: its stretch was drawn by `u` in [0, 1) and has `steps`; `free` came since the last step
    that was kept."""

    u: float
    steps: int = 0
    free: int = 0


def choose_window(
    stretch: Stretch,
    steps: int,
    window: int,
    *,
    confidence: float,
    threshold: float,
    policy: CapturePolicy,
    next_u: float,
    may_overlap: bool = False,
) -> tuple[Kind | None, Stretch]:
    """Why the window that ends with these new `steps` is kept, or None, and where the sequence then stands. A stretch
    is over with `window` steps; the next one is drawn by `next_u`, uniform in [0, 1)."""
    if may_overlap:
        free = min(window, stretch.free + steps)
        full = free == window
        kind = choose(confidence=confidence, threshold=threshold, policy=policy, u=stretch.u) if full else None
        return kind, Stretch(next_u, 0, free)
    steps, free = stretch.steps + steps, stretch.free + steps
    is_over, is_explored = steps >= window, stretch.u < policy.exploration
    kind = None
    if free >= window and (is_over or not is_explored):
        kind = choose(confidence=confidence, threshold=threshold, policy=policy, u=stretch.u)
    free = free if kind is None else 0
    return kind, Stretch(next_u, 0, free) if is_over else Stretch(stretch.u, steps, free)
