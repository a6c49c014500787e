"""What a fuzzed conversation is read from, and the transport that it is written to."""

from skerry.rpc.h2.peer import Peer


class Reader:
    """Small numbers and bytes out of the input; zeros after its end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def is_empty(self) -> bool:
        return self._at >= len(self._data)

    def number(self, below: int) -> int:
        size = 1 if below <= 256 else 4
        return int.from_bytes(self.take(size), "big") % below

    def take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken


class Socket:
    """An asyncio transport that keeps what was written and can pretend to be full."""

    def __init__(self, peer: Peer) -> None:
        self.written, self.closed, self.paused, self._peer = bytearray(), False, False, peer

    def get_extra_info(self, _name: str) -> None:
        return None

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 70_000

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False
