"""Memory for large messages, used again while they follow one another.

A page of new memory costs more than to fill it (4 MB: 1.6 ms, of which the bytes are 0.1). So a few blocks are kept
after their messages are gone, bounded, and given back when nobody has needed them for a while. Whether a block is free
its reference count says: a view of it, or an array in it, holds it. What a free one counts this interpreter is asked,
for they count differently (CPython 3.14 borrows where 3.13 counts): a block that is taken for free while it is in use
would change a request under its reader.
"""

import mmap
import sys

_SMALL_BYTES = 64 << 10  # below this the heap serves, whose pages are warm
_HUGE_BYTES = 2 << 20  # a page of this size is one fault instead of 512 (where the kernel gives it)
_ALIGNED_BYTES = 64
_KEPT_BYTES = 8 << 20
_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


class Blocks:
    """Of one event loop."""

    __slots__ = ("_kept", "_least_free", "kept_bytes")

    def __init__(self) -> None:
        self._kept: list[mmap.mmap] = []
        self.kept_bytes = 0
        self._least_free = 0  # blocks that nobody needed since the last sweep

    def take(self, size: int) -> memoryview:
        """`size` writable bytes that end at an aligned address: so do numbers at the end of a message begin at one. In
        them lies any old message: hand them on only when they are filled."""
        padding = -size % _ALIGNED_BYTES
        if size < _SMALL_BYTES:
            return memoryview(bytearray(padding + size))[padding:]
        return memoryview(self._block(padding + size))[padding : padding + size]

    def sweep(self) -> None:
        """To be called about once a second: gives back what was not used since the last time."""
        free = [at for at in range(len(self._kept)) if _references(self._kept, at) == _FREE]
        for at in reversed(free[: min(self._least_free, len(free))]):
            self.kept_bytes -= len(self._kept.pop(at))
        self._least_free = len(free) - min(self._least_free, len(free))

    def _block(self, size: int) -> mmap.mmap:
        for at, kept_bytes in enumerate(map(len, self._kept)):
            if size <= kept_bytes <= 2 * size + _HUGE_BYTES and _references(self._kept, at) == _FREE:
                self._least_free = 0
                return self._kept[at]
        block = _mapped(size)
        if self.kept_bytes + len(block) <= _KEPT_BYTES:
            self._kept.append(block)
            self.kept_bytes += len(block)
        return block


def _mapped(size: int) -> mmap.mmap:
    if size < _HUGE_BYTES * 3 // 4:
        return mmap.mmap(-1, size, _PRIVATE)
    block = mmap.mmap(-1, size + -size % _HUGE_BYTES, _PRIVATE)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        block.madvise(mmap.MADV_HUGEPAGE)
    return block


def _references(blocks: list[mmap.mmap], at: int) -> int:
    return sys.getrefcount(blocks[at])


_FREE = _references([mmap.mmap(-1, 1)], 0)  # of a block that its list alone holds
