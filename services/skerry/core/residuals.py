"""How far forecasts were from the truths that came later, and what that says of the next answers of their source.

A source is a series of a model; callers that name no series speak of one source together. What the newest answer of a
source was off by bounds how sure its next answers are:

    confidence = threshold ** (error / bound)

1 where there was no error, the threshold where the error was the bound of a bad forecast, so that an answer after a bad
one is hard whatever share of answers the threshold was set for. At the default rate it is 1 - F(error) of exponential
errors of which a tenth lie above the bound. It holds for answers until one horizon after the truth was due; by the
node's clock half a step longer, for a caller that asks once a step is never quite in time, and one step ahead the last
such answer is the only one. Keeping answers until their truth comes is the agent's.
"""

from dataclasses import dataclass
from typing import NamedTuple


class Residual(NamedTuple):
    """`error`: |truth - median| in the target's unit; `covered`: whether the interval held the truth. Means over the
    steps of an answer."""

    error: float
    covered: float


class Moment(NamedTuple):
    """When something was answered: by the node's monotonic clock, and by the series' own (Unix ms; 0: not given), which
    is its caller's word."""

    node_ms: int
    series_ms: int = 0

    def since(self, earlier: "Moment") -> int:
        """Milliseconds by the series' own time where both have one, else by the node's clock."""
        if self.series_ms and earlier.series_ms:
            return self.series_ms - earlier.series_ms
        return self.node_ms - earlier.node_ms


@dataclass(frozen=True, slots=True)
class Newest:
    """What is known of a source: by how much the version `digest` was off in its answer of that moment."""

    digest: str
    error: float
    answered: Moment


def newest(known: Newest | None, told: Newest) -> Newest:
    """Truths may come in any order: the one about the later answer counts, by the node's clock. By the series' own time
    a single answer of the far future would silence its source for good."""
    return told if known is None or told.answered.node_ms >= known.answered.node_ms else known


def confidence(
    known: Newest | None,
    digest: str,
    asked: Moment,
    *,
    bound: float,
    threshold: float,
    horizon_ms: int,
    step_ms: int = 0,
) -> float:
    """At most how sure an answer of the version `digest` is that is asked for now, in [0, 1]. 1 where nothing recent is
    known of that version, and where it has no bound."""
    if known is None or known.digest != digest or bound <= 0 or threshold >= 1:
        return 1.0
    by_series = bool(asked.series_ms and known.answered.series_ms)
    lasts_ms = 2 * horizon_ms + (0 if by_series else step_ms // 2)
    if not 0 <= asked.since(known.answered) <= lasts_ms:
        return 1.0
    return float(threshold ** (known.error / bound))
