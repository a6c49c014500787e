"""How many examples of one model wait for a label, and since when: counted by each pass of the scan.

How old they are is looked up for some hundred of them, a few in each pass; what is known stays known. It is the age of
the oldest of those, which with many waiting is about that of the oldest of all.
"""

from collections.abc import Callable

_LOOKED_UP_AT_ONCE = 64
_MAX_KNOWN = 1024


class WaitingExamples:
    """One model's. For one thread."""

    def __init__(self) -> None:
        self.count = 0
        self._written: dict[str, float] = {}
        self._seen = 0
        self._seen_written: dict[str, float] = {}
        self._looked_up = 0

    @property
    def oldest_unix_ms(self) -> int:
        """When the oldest that is known was stored; 0: none is."""
        return int(min(self._written.values(), default=0.0) * 1000)

    def begin_pass(self) -> None:
        self._seen, self._seen_written, self._looked_up = 0, {}, 0

    def saw(self, name: str, written_unix_s: Callable[[str], float | None]) -> None:
        """One waits. May raise what `written_unix_s` does."""
        self._seen += 1
        known = self._written.get(name)
        if known is None and self._looked_up < _LOOKED_UP_AT_ONCE and len(self._seen_written) < _MAX_KNOWN:
            self._looked_up += 1
            known = written_unix_s(name)
        if known is not None:
            self._seen_written[name] = known

    def end_pass(self) -> None:
        """It saw all that there are."""
        self.count, self._written = self._seen, self._seen_written

    def labelled(self, name: str) -> None:
        self.count = max(0, self.count - 1)
        self._written.pop(name, None)
        self._seen_written.pop(name, None)
