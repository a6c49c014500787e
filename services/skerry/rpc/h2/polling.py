"""Whether the event loop looks for the next request for a moment before it sleeps.

A caller that asks again as soon as it is answered is back within tens of microseconds. To sleep meanwhile and be woken
takes longer than that, and the model then runs with cold caches: with the sleep such a caller waits longer and costs as
much CPU. So the loop polls, for `poll_s` at most, while more than four of five turns are of one connection and begin
that soon after the turn before. An idle process never does, and one whose requests come at random times hardly ever.
Several callers do not count: while the loop sleeps, their requests gather into one run.
"""

from collections.abc import Set

_LATE_COSTS, _ENOUGH, _MOST = 4, 8, 16  # a turn that begins soon gives 1


class Polling:
    """Told of each turn, with the time; `goes_on` decides."""

    __slots__ = ("_caller", "_ended_s", "_poll_s", "_score")

    def __init__(self, poll_s: float) -> None:
        """`poll_s` 0: never."""
        self._poll_s = poll_s
        self._ended_s = 0.0  # when the latest turn ended
        self._caller = 0
        self._score = 0

    def turn_begins(self, connections: Set[object], now: float) -> None:
        """Something came on these."""
        before, self._caller = self._caller, id(*connections) if len(connections) == 1 else 0
        if before == self._caller != 0 and now - self._ended_s <= self._poll_s:
            self._score = min(self._score + 1, _MOST)
        else:
            self._score = max(self._score - _LATE_COSTS, 0)

    def turn_ended(self, now: float) -> None:
        self._ended_s = now

    def goes_on(self, now: float) -> bool:
        return self._score >= _ENOUGH and now - self._ended_s < self._poll_s
