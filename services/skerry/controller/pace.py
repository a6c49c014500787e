"""When a part of a tick is due: news that concerns it, time that it waits for, and now and then in any case.

A part that is not due costs nothing, so that a tick at rest does nothing, whatever the size of the fleet.
"""

from collections.abc import Collection


class Pace:
    """`kinds`: whose news concern it. `every_ms`: the longest time between two looks; less while it waits."""

    def __init__(self, kinds: Collection[str], every_ms: int) -> None:
        self._kinds, self._every_ms = frozenset(kinds), every_ms
        self._last_ms: int | None = None
        self._waiting_ms: int | None = 0

    def is_due(self, news: frozenset[str], mono_ms: int) -> bool:
        if self._last_ms is None or not self._kinds.isdisjoint(news):
            return True
        after_ms = self._every_ms if self._waiting_ms is None else self._waiting_ms
        return not 0 <= mono_ms - self._last_ms < after_ms

    def wake(self) -> None:
        """Be due at the next look."""
        self._last_ms = None

    def looked(self, mono_ms: int, *, waiting_ms: int | None) -> None:
        """It was its turn. `waiting_ms`: look again after so long; None: it rests until there is news."""
        self._last_ms, self._waiting_ms = mono_ms, waiting_ms
