"""Gives freed memory back to the system after large messages: glibc would keep hundreds of MB of them in its arenas.

A fixed M_MMAP_THRESHOLD would do the same but makes the buffers of every TLS connection resident, or every read dear.
"""

import ctypes
from collections.abc import Callable

LARGE_BYTES = 1 << 20
_SWEEPS = 3  # a message may still be in use at the first


class Trimmer:
    """`note` each message's size; `sweep` about once a second."""

    __slots__ = ("_due", "_trim")

    def __init__(self) -> None:
        self._trim, self._due = _trim(), 0

    def note(self, size: int) -> None:
        if size >= LARGE_BYTES:
            self._due = _SWEEPS

    def sweep(self) -> bool:
        """True when memory was given back."""
        if not self._due:
            return False
        self._due -= 1
        return bool(self._trim(0))


def _trim() -> Callable[[int], int]:
    """malloc_trim; where the C library has none (musl, macOS) nothing needs it."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return lambda _pad: 0
