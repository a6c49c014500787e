"""Which answered requests are kept for learning: hard ones, and an exploration share of all.

Exploration is drawn from every request whatever its confidence, so that agreement measured on it is an unbiased
estimate of the version in the field; it also audits confident answers. Whatever exploration did not take is kept as
hard when the edge was not sure. The cap per second is a token bucket of `core.offload`, held by the caller.
"""

import enum
from dataclasses import dataclass

from skerry.core import offload


class Kind(enum.Enum):
    HARD = "Hard"
    EXPLORATION = "Exploration"


@dataclass(frozen=True, slots=True)
class CapturePolicy:
    """The capture part of `EdgeModel.spec.offload`. `exploration` and `hard` are shares in 0..1."""

    exploration: float = 0.1
    hard: float = 1.0
    per_s: float = 200.0


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
