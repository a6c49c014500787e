"""Gives large freed blocks back to the system: glibc raises its own threshold as soon as a large message was freed, and
then keeps hundreds of MB of them in fragmented arenas.
"""

import ctypes

_M_MMAP_THRESHOLD = -3
_THRESHOLD_BYTES = 512 << 10  # above the read buffers of event loops (256 KiB), which must stay cheap


def return_large_blocks() -> bool:
    """Map blocks above half a MiB one by one from now on. False where the C library cannot (musl, macOS)."""
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES))
    except (AttributeError, OSError):
        return False
