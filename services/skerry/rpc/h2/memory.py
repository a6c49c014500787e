"""Lets glibc map every block from 256 KiB on by itself and give it back when it is freed.

By default it raises that threshold as soon as such a block was freed: hundreds of MB of large messages then stay in its
arenas, and so do pages under the read buffers (256 KiB each, almost untouched) that uvloop keeps for TLS connections.
"""

import ctypes

_M_MMAP_THRESHOLD = -3
_THRESHOLD_BYTES = 256 << 10


def return_large_blocks() -> bool:
    """Of the whole process, from now on. False where the C library cannot and need not (musl, macOS)."""
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES))
    except (AttributeError, OSError):
        return False
