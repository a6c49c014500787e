"""When a status is written: at once when something was decided, and now and then when only counts moved.

Each of ten thousand nodes that swaps moves a count. Nothing is decided by a count that was written: it is counted again
in every look.
"""

from dataclasses import replace

from skerry.core.rollout import pauses
from skerry.core.rollout.elapsed import CLOCK_EVERY_MS
from skerry.core.rollout.status import PROGRESSING, ROLLING_BACK, Status, Tally, Wave

SMALL_FLEET = 100  # nodes up to which every count is written as it moves
GRANT_EVERY_MS = 1_000  # of a larger fleet: each round of permits is a write of the status


def may_grant(status: Status, nodes: int, clock_ms: int) -> bool:
    """Is it time for more permits? `status.clock_ms`: when the status was written last."""
    return nodes <= SMALL_FLEET or clock_ms - status.clock_ms >= GRANT_EVERY_MS


def to_write(before: Status, after: Status, clock_ms: int) -> Status:
    """`after` with the clock, or `before` where it is not time to write. The clock is written with whatever else is,
    and for its own sake now and then while something waits for it."""
    waits = after.state in (PROGRESSING, ROLLING_BACK) and not pauses.paused(after)
    is_late = clock_ms - before.clock_ms >= CLOCK_EVERY_MS
    if after == before:
        return replace(after, clock_ms=clock_ms) if waits and is_late else after
    if not is_late and _decided(after) == _decided(before) and not _moved(before, after, clock_ms):
        return before
    return replace(after, clock_ms=clock_ms)


def _decided(status: Status) -> Status:
    """What is written at once. A permit that a node was seen with need not be forgotten at once."""
    uncounted = (replace(wave, tally=Tally(), peak=0, most_failed=min(1, wave.most_failed)) for wave in status.waves)
    return replace(
        status,
        waves=tuple(uncounted),
        deferred=(),
        reasons=(),
        permits=(),
        progress_ms=0,
        progress_clock_ms=0,
        conditions=tuple(replace(one, message="") for one in status.conditions),
    )


def _moved(before: Status, after: Status, clock_ms: int) -> bool:
    """Did counts move by a hundredth of the fleet? In a small one each does."""
    size = sum(wave.size for wave in after.waves)
    if size <= SMALL_FLEET:
        return replace(after, permits=before.permits) != before
    if clock_ms - before.clock_ms < GRANT_EVERY_MS:
        return False
    pairs = zip(before.waves, after.waves, strict=True)
    return sum(_distance(one, other) for one, other in pairs) * SMALL_FLEET >= size


def _distance(before: Wave, after: Wave) -> int:
    old, new = before.tally, after.tally
    return sum(
        abs(getattr(old, name) - getattr(new, name))
        for name in ("updated", "failed", "incompatible", "deferred", "pending")
    )
