"""Which stored examples a model keeps no longer: those that are too old, and the oldest beyond its bytes. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class KeepExamples:
    """`EdgeModel.spec.keepExamples`: for so many days since they were stored, so many bytes of them; 0: no bound."""

    days: int = 0
    max_bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self.days or self.max_bytes)


FOR_EVER = KeepExamples()


@dataclass(frozen=True, slots=True)
class Stored:
    """An example (hex digits), as storage has it."""

    name: str
    size_bytes: int
    stored_unix_ms: int


def due(stored: Iterable[Stored], keep: KeepExamples, now_ms: int) -> list[str]:
    """The names of those that go, the oldest first. One that the clock says was stored in the future is the newest."""
    ordered = sorted(stored, key=lambda one: (one.stored_unix_ms, one.name))
    left_bytes = sum(one.size_bytes for one in ordered)
    gone = []
    for one in ordered:
        is_old = bool(keep.days) and one.stored_unix_ms < now_ms - keep.days * _DAY_MS
        if not is_old and not (keep.max_bytes and left_bytes > keep.max_bytes):
            break
        gone.append(one.name)
        left_bytes -= one.size_bytes
    return gone
