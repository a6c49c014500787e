"""Whether the event loop looks for the next request for a moment before it sleeps.

A caller that asks again as soon as it is answered is back within tens of microseconds. To sleep meanwhile and be woken
takes longer than that, and the model then runs with cold caches: with the sleep such a caller waits longer and costs no
less CPU. So the loop polls, for `poll_s` at most, while more than four of five turns are of one connection and begin
that soon after the turn before. An idle process never does, and one whose requests come at random times hardly ever.
Several callers do not count: while the loop sleeps, their requests gather into one run.
"""

import os
import time
from collections.abc import Callable, Set

_LATE_COSTS, _ENOUGH, _MOST = 4, 8, 16  # a turn that begins soon gives 1


class Poll:
    """Told of each turn. While it polls, it asks the loop for `_look` again and again, which keeps it from sleeping."""

    __slots__ = ("_again", "_caller", "_clock", "_ended_s", "_is_on", "_poll_s", "_score")

    def __init__(
        self, poll_s: float, again: Callable[[Callable[[], None]], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`again` is the loop's `call_soon`; `poll_s` 0: never poll."""
        self._poll_s, self._again, self._clock = poll_s, again, clock
        self._ended_s = 0.0  # when the latest turn ended
        self._caller = 0
        self._score = 0
        self._is_on = False

    def turn_begins(self, connections: Set[object]) -> None:
        """Something came on these."""
        before, self._caller = self._caller, id(*connections) if len(connections) == 1 else 0
        if before == self._caller != 0 and self._clock() - self._ended_s <= self._poll_s:
            self._score = min(self._score + 1, _MOST)
        else:
            self._score = max(self._score - _LATE_COSTS, 0)

    def turn_ended(self) -> None:
        self._ended_s = self._clock()
        if self._score >= _ENOUGH and not self._is_on:
            self._is_on = True
            self._again(self._look)

    def _look(self) -> None:
        self._is_on = self._score >= _ENOUGH and self._clock() - self._ended_s <= self._poll_s
        if self._is_on:
            os.sched_yield()  # who shares our core goes first: it may be the caller
            self._again(self._look)
