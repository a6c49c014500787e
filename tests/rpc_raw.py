"""Speaks HTTP/2 in the raw, to say what no honest client would, and makes a good call to see who lives."""

import contextlib
import select
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import hpack

from skerry.rpc.h2 import frames
from skerry.rpc.h2.hpack import Fields, encode

SETTLED = frames.PREFACE + frames.settings({})


@dataclass(frozen=True)
class Frame:
    kind: int
    flags: int
    stream_id: int
    payload: bytes

    @property
    def code(self) -> int:
        """Of RST_STREAM or GOAWAY."""
        return struct.unpack(">I", self.payload[-4:] if self.kind == frames.RST_STREAM else self.payload[4:8])[0]


def parse(data: bytes) -> list[Frame]:
    """Whole frames of `data`; what is cut short at its end is left out."""
    found, at = [], 0
    while len(data) - at >= frames.HEAD_BYTES:
        high, low, kind, flags, stream_id = frames.unpack_head(data, at)
        end = at + 9 + (high << 8 | low)
        if end > len(data):
            break
        found.append(Frame(kind, flags, stream_id, data[at + 9 : end]))
        at = end
    return found


def headers(stream_id: int, path: str = "/test.Echo/Same", *extra: tuple[bytes, bytes], end: bool = False) -> bytes:
    """A gRPC request's HEADERS frame."""
    return block(stream_id, request(path, *extra), end=end)


def request(path: str = "/test.Echo/Same", *extra: tuple[bytes, bytes]) -> Fields:
    must = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path.encode())]
    return [*must, (b"content-type", b"application/grpc"), (b"te", b"trailers"), *extra]


def block(stream_id: int, fields: Sequence[tuple[bytes, bytes]], *, end: bool = False) -> bytes:
    flags = frames.END_HEADERS | (frames.END_STREAM if end else 0)
    return frames.frame(frames.HEADERS, flags, stream_id, encode(fields))


def data(stream_id: int, payload: bytes, *, end: bool = True) -> bytes:
    return frames.frame(frames.DATA, frames.END_STREAM if end else 0, stream_id, payload)


def message(content: bytes) -> bytes:
    return b"\0" + len(content).to_bytes(4, "big") + content


class Raw:
    """A connected socket that has said its preface and SETTINGS."""

    def __init__(self, port: int, settings: dict[int, int] | None = None, *, handshake: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.received, self._decoder = b"", hpack.Decoder()
        if handshake:
            self.send(frames.PREFACE + frames.settings(settings or {}))

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def push(self, content: bytes, times: int) -> int:
        """Send that so often, reading what comes; ends early when the server hangs up. The number of times."""
        self.socket.settimeout(0.0)
        for number in range(times):
            waiting = memoryview(content)
            while waiting:
                try:
                    with contextlib.suppress(BlockingIOError):
                        self.received += self.socket.recv(1 << 20)
                    waiting = waiting[self.socket.send(waiting) :]
                except BlockingIOError:
                    select.select([self.socket], [self.socket], [], 1.0)
                except ConnectionError:
                    return number
        return times

    def frames_until(self, *, closed: bool = False, ended: int | None = None, kind: int | None = None) -> list[Frame]:
        """All frames so far, once the server hangs up, ends a stream (or resets it), or sends a frame of a kind."""
        self.socket.settimeout(15)
        while True:
            found = parse(self.received)
            if ended is not None and any(_ends(frame, ended) for frame in found):
                return found
            if kind is not None and any(frame.kind == kind for frame in found):
                return found
            try:
                more = self.socket.recv(1 << 20)
            except ConnectionError:
                more = b""
            if not more:
                assert closed or ended is not None, f"the server hung up: {found}"
                return found
            self.received += more

    def settle(self) -> None:
        """Until the server has written everything that it owes so far: its handshake and the answer to ours."""
        self.send(frames.frame(frames.PING, 0, 0, b"settled?"))
        self.frames_until(kind=frames.PING)

    def has_ended(self, stream_id: int) -> bool:
        return any(_ends(frame, stream_id) for frame in parse(self.received))

    def fields_of(self, stream_id: int) -> dict[bytes, bytes]:
        """Header fields and trailers of a reply together, once it has ended."""
        fields: dict[bytes, bytes] = {}
        for frame in self.frames_until(ended=stream_id):
            if frame.kind == frames.HEADERS:
                decoded = dict(self._decoder.decode(frame.payload, raw=True))
                fields |= decoded if frame.stream_id == stream_id else {}
        return fields

    def close(self) -> None:
        self.socket.close()


def _ends(frame: Frame, stream_id: int) -> bool:
    if frame.stream_id != stream_id:
        return False
    ends = frame.kind in (frames.DATA, frames.HEADERS) and frame.flags & frames.END_STREAM
    return bool(ends) or frame.kind == frames.RST_STREAM


@contextlib.contextmanager
def connected(port: int, settings: dict[int, int] | None = None, *, handshake: bool = True) -> Iterator[Raw]:
    raw = Raw(port, settings, handshake=handshake)
    try:
        yield raw
    finally:
        raw.close()


def check_alive(port: int) -> None:
    """A good call is served."""
    with connected(port) as raw:
        raw.send(headers(1) + data(1, message(b"still here")))
        assert raw.fields_of(1)[b"grpc-status"] == b"0"
        assert message(b"still here") in raw.received
