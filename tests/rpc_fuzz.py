"""Any bytes as a conversation with our server, without sockets, and what must hold after each of them.

`Fuzz.run(data)` reads operations out of `data`: whole frames with well-formed or damaged content, raw bytes, splits,
loop turns. Used by the fuzzer that is guided by coverage (rpc/fuzz_connection.py) and by hypothesis.
"""

import asyncio
import struct
from collections.abc import Callable, Sequence
from typing import Any

import hpack
from rpc_fuzz_input import Reader, Socket

from skerry.rpc.h2 import frames
from skerry.rpc.h2.hpack import encode
from skerry.rpc.h2.peer import Peer
from skerry.rpc.h2.server import H2Server
from skerry.rpc.limits import Limits
from skerry.rpc.methods import Call, Kind, Method

_LIMITS = Limits(
    max_message_bytes=5_000, max_streams=8, unread_bytes=20_000, max_metadata_bytes=400, unsent_bytes=9_000
)
_METHODS = (b"/e/Batch", b"/e/Unary", b"/e/Talk", b"/e/Sum", b"/e/Count", b"/e/Never", b"/x")
_FIELDS = (
    (b"grpc-timeout", b"1n"),
    (b"grpc-timeout", b"99S"),
    (b"grpc-timeout", b"x"),
    (b"grpc-encoding", b"gzip"),
    (b"grpc-encoding", b"br"),
    (b"grpc-accept-encoding", b"gzip"),
    (b"content-length", b"8"),
    (b"x-bin", b"AAE"),
    (b"x-bin", b"!"),
    (b"x-long", b"v" * 300),
    (b"connection", b"close"),
    (b":path", b"/again"),
)


class Fuzz:
    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.broken: list[Any] = []
        self.loop.set_exception_handler(lambda _loop, context: self.broken.append(context))
        self.server = self.loop.run_until_complete(self._serve())
        self.runs = 0

    def close(self) -> None:
        self.loop.run_until_complete(self.server.drain(0))
        self.loop.close()

    async def _serve(self) -> H2Server:
        return H2Server(_table(), _LIMITS)

    def run(self, data: bytes) -> None:
        """One conversation. Raises whatever breaks a promise."""
        self.loop.run_until_complete(self._converse(Reader(data)))
        self.runs += 1
        if self.runs % 256 == 1:
            self.loop.run_until_complete(self._good_call())

    async def _converse(self, reader: Reader) -> None:
        peer, socket = self._connect()
        peer.data_received(frames.PREFACE + frames.settings({frames.INITIAL_WINDOW_SIZE: 40_000 * reader.number(3)}))
        while not reader.is_empty and not socket.closed:
            await _OPERATIONS[reader.number(len(_OPERATIONS))](peer, reader)
        await _turns(4)
        connection = peer.connection
        largest = max(connection.limits.max_header_block_bytes, frames.DEFAULT_FRAME_BYTES)
        assert len(connection._tail) <= largest + frames.HEAD_BYTES + 24
        assert len(connection.streams) <= _LIMITS.max_streams
        assert 0 <= connection.unsent_bytes <= _LIMITS.unsent_bytes + 8 * 16_384
        _check_written(bytes(socket.written))
        peer.connection_lost(None)
        await _turns(4)
        assert not connection.streams and not self.server.peers and not self.broken, self.broken
        turns = self.server.turns
        assert turns.budget.taken_bytes == 0 and not turns.timed and self.server.peers.open_calls == 0
        assert len(asyncio.all_tasks()) == 1, "a handler outlived its call"

    async def _good_call(self) -> None:
        peer, socket = self._connect()
        peer.data_received(frames.PREFACE + frames.settings({}))
        peer.data_received(frames.frame(frames.HEADERS, frames.END_HEADERS, 1, _block(b"/e/Batch")))
        peer.data_received(frames.frame(frames.DATA, frames.END_STREAM, 1, b"\0\0\0\0\x04good"))
        await _turns(3)
        assert b"\0\0\0\0\x04good" in socket.written and b"grpc-status\x010" in socket.written
        peer.connection_lost(None)

    def _connect(self) -> tuple[Peer, Socket]:
        assert self.server.peers.admission.enter("127.0.0.1")
        peer = Peer(self.server.peers, "127.0.0.1:1", "127.0.0.1")
        socket = Socket(peer)
        peer.connection_made(socket)  # type: ignore[arg-type]
        return peer, socket


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


# ---- what a conversation is made of


async def _headers(peer: Peer, reader: Reader) -> None:
    block = _block(_METHODS[reader.number(len(_METHODS))], reader)
    flags = reader.number(256) | (frames.END_HEADERS if reader.number(4) else 0)
    flags &= ~frames.PADDED & ~frames.HAS_PRIORITY if reader.number(8) else 255
    cut = reader.number(len(block) + 1) if not flags & frames.END_HEADERS else len(block)
    stream_id = reader.number(24)
    peer.data_received(frames.frame(frames.HEADERS, flags, stream_id, block[:cut]))
    if cut < len(block):
        peer.data_received(frames.frame(frames.CONTINUATION, reader.number(8), stream_id, block[cut:]))


async def _open_and_send(peer: Peer, reader: Reader) -> None:
    stream_id = peer.connection._highest + 1 + peer.connection._highest % 2
    block = _block(_METHODS[reader.number(len(_METHODS))], reader)
    peer.data_received(frames.frame(frames.HEADERS, frames.END_HEADERS, stream_id, block))
    message = reader.take(reader.number(200))
    body = bytes((reader.number(8) == 7,)) + len(message).to_bytes(4, "big") + message
    peer.data_received(frames.frame(frames.DATA, reader.number(2), stream_id, body))


async def _data(peer: Peer, reader: Reader) -> None:
    flags, stream_id = reader.number(16), _stream_id(peer, reader)
    prefix = struct.pack(">BI", reader.number(3), reader.number(8_000))
    peer.data_received(frames.frame(frames.DATA, flags, stream_id, prefix + bytes(reader.number(9_000))))


async def _control(peer: Peer, reader: Reader) -> None:
    kind, flags, stream_id = reader.number(12), reader.number(256), _stream_id(peer, reader)
    peer.data_received(frames.frame(kind, flags, stream_id, reader.take(reader.number(20))))


async def _window(peer: Peer, reader: Reader) -> None:
    increment = reader.number(100) if reader.number(2) else reader.number(1 << 31)
    peer.data_received(frames.window_update(_stream_id(peer, reader), increment))


async def _reset(peer: Peer, reader: Reader) -> None:
    peer.data_received(frames.rst_stream(_stream_id(peer, reader), reader.number(14)))


async def _settings(peer: Peer, reader: Reader) -> None:
    peer.data_received(frames.settings({reader.number(8): reader.number(1 << 32) for _ in range(reader.number(4))}))


async def _raw(peer: Peer, reader: Reader) -> None:
    peer.data_received(reader.take(1 + reader.number(64)))


async def _turn(_peer: Peer, reader: Reader) -> None:
    await _turns(1 + reader.number(3))


async def _full(peer: Peer, reader: Reader) -> None:
    peer.pause_writing()
    await _turns(reader.number(3))
    peer.resume_writing()


async def _sweep(peer: Peer, reader: Reader) -> None:
    peer.sweep(peer.turns.time() + reader.number(256))


async def _drain(peer: Peer, _reader: Reader) -> None:
    peer.drain()


_OPERATIONS: Sequence[Callable[[Peer, Reader], Any]] = (
    _headers,
    _open_and_send,
    _open_and_send,
    _data,
    _control,
    _window,
    _reset,
    _settings,
    _raw,
    _turn,
    _full,
    _sweep,
    _drain,
)


def _stream_id(peer: Peer, reader: Reader) -> int:
    """Mostly an open stream."""
    choice, is_open = reader.number(24), list(peer.connection.streams)
    return is_open[choice % len(is_open)] if choice < 20 and is_open else choice


def _block(path: bytes, reader: Reader | None = None) -> bytes:
    """A header block; a reader may add fields, index some of them, or damage the block."""
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b"content-type", b"application/grpc")]
    if reader is None:
        return encode(fields)
    if reader.number(16) == 15:
        fields[0] = (b":method", (b"GET", b"HEAD", b"CONNECT")[reader.number(3)])
    fields += [_FIELDS[reader.number(len(_FIELDS))] for _ in range(reader.number(4))]
    block = b"".join(b"\x40" + encode([field])[1:] if reader.number(4) == 3 else encode([field]) for field in fields)
    if reader.number(16) == 15:
        at = reader.number(len(block))
        block = block[:at] + reader.take(3) + block[at + reader.number(4) :]
    return block


def _table() -> dict[str, Method]:
    def batch(calls: Sequence[tuple[Call, bytes]]) -> None:
        for call, request in calls:
            call.reply(request)

    def never(_calls: Sequence[tuple[Call, bytes]]) -> None:
        """Leaves its calls to their deadlines."""

    async def unary(call: Call, request: bytes) -> bytes:
        call.compress()
        await asyncio.sleep(0)
        return request * 20

    async def talk(call: Call) -> None:
        while (message := await call.read()) is not None:
            await call.send(message)

    async def total(call: Call) -> bytes:
        size = 0
        while (message := await call.read()) is not None:
            size += len(message)
        return b"%d" % size

    async def count(call: Call, request: bytes) -> None:
        for _ in range(6):
            await call.send(request * 9)

    return {
        "/e/Batch": Method(Kind.BATCH, batch),
        "/e/Never": Method(Kind.BATCH, never),
        "/e/Unary": Method(Kind.UNARY, unary),
        "/e/Talk": Method(Kind.BIDI, talk),
        "/e/Sum": Method(Kind.CLIENT_STREAM, total),
        "/e/Count": Method(Kind.SERVER_STREAM, count),
    }


def _check_written(data: bytes) -> None:
    """Whole frames of legal sizes, and header blocks that the library's decoder takes."""
    decoder, at, block = hpack.Decoder(), 0, b""
    while at < len(data):
        assert len(data) - at >= frames.HEAD_BYTES
        high, low, kind, flags, _stream = frames.unpack_head(data, at)
        size = high << 8 | low
        assert at + 9 + size <= len(data) and size <= 65_536
        payload = data[at + 9 : at + 9 + size]
        at += 9 + size
        if kind in (frames.HEADERS, frames.CONTINUATION):
            block += payload
            if flags & frames.END_HEADERS:
                decoder.decode(block, raw=True)
                block = b""
