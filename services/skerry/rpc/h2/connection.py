"""One HTTP/2 connection of a server, without I/O: bytes in by `receive`, bytes out by `take`, time as an argument.

A small call takes the short way: `_on_headers` (a head known from before), `_on_data`, `Stream.received`, `send_reply`.
Padding, CONTINUATION, control frames, blocked windows and refusals are off it. PRIORITY is checked and ignored; push is
not offered. After `receive`, write what `take` gives; when the connection `is_over`, write that and hang up.

All frames but large ones of DATA (`data_frames`) are read whole, and bounded.
"""

from collections.abc import Callable
from typing import Any

from skerry.rpc.h2 import control, frames
from skerry.rpc.h2.data_frames import DataFrames
from skerry.rpc.h2.frames import Code, FatalError, StreamError, unpack_head
from skerry.rpc.h2.headers import HeaderReader
from skerry.rpc.h2.hpack import Fields
from skerry.rpc.h2.phase import Event, Phase
from skerry.rpc.h2.stream import Stream
from skerry.rpc.limits import Limits

# What every request passes has no dots: `frames.X` and `Phase.X` are looked up here, once.
_DATA, _HEADERS, _HEAD_BYTES = frames.DATA, frames.HEADERS, frames.HEAD_BYTES
_LARGEST_FRAME = frames.HEAD_BYTES + frames.DEFAULT_FRAME_BYTES
_PADDED_OR_PRIORITY = frames.PADDED | frames.HAS_PRIORITY
_PREFACE, _SETTINGS, _DRAINING, _CLOSED = Phase.PREFACE, Phase.SETTINGS, Phase.DRAINING, Phase.CLOSED
_VIEWED_BYTES = 4_096  # a payload from here on is not copied out of what was read

ParseHead = Callable[[Fields], Any]
MakeStream = Callable[["Connection", int, Any], Stream]


class Connection(DataFrames):
    __slots__ = (
        "_headers",
        "_make_stream",
        "_waiting_since",
        "fault",
        "heard_at",
        "refusing",
    )

    def __init__(self, limits: Limits, parse_head: ParseHead, make_stream: MakeStream, now: float) -> None:
        """`make_stream(connection, stream id, head)` makes what answers a request, `parse_head` its head."""
        super().__init__(limits, now)
        self._make_stream = make_stream
        self._headers: HeaderReader[Any] = HeaderReader(parse_head, limits.max_header_block_bytes)
        self.heard_at = self._waiting_since = now
        self.refusing = False  # new streams, for the process is full
        self.fault = ""  # why we ended it
        hello = {
            frames.MAX_CONCURRENT_STREAMS: limits.max_streams,
            frames.INITIAL_WINDOW_SIZE: limits.stream_window_bytes,
            frames.MAX_HEADER_LIST_SIZE: limits.max_metadata_bytes,
        }
        extra_window = limits.connection_window_bytes - frames.DEFAULT_WINDOW_BYTES
        self.out.append(frames.settings(hello) + frames.window_update(0, extra_window))

    def receive(self, data: bytes, now: float) -> None:
        self.now = self.heard_at = now
        if self.phase is _CLOSED:
            return
        try:
            self._parse(self._tail + data if self._tail else data)
        except FatalError as fault:
            self.shut(fault.code, fault.why)

    def filled(self, size: int, now: float) -> None:
        """As `receive`, of bytes that were put into `space`."""
        self.now = self.heard_at = now
        try:
            self._flow_filled(size)
        except FatalError as fault:
            self.shut(fault.code, fault.why)

    def shut(self, code: Code, why: str) -> None:
        """GOAWAY, and every open stream is aborted."""
        if self.phase is not _CLOSED:
            self.fault = why
            self.out.append(frames.goaway(self._highest, code, why))
            self.lost()

    def lost(self) -> None:
        """The transport is gone, or about to be closed."""
        self._advance(Event.ENDED)
        self._blocked.clear()
        self._tail, self._block, self.flow, self.unsent_bytes = b"", None, None, 0
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            stream.aborted(Code.CANCEL)

    def sweep(self, now: float) -> None:
        """To be called about once a second: ends what waits too long."""
        self.now = now
        if self.phase is _CLOSED:
            return
        try:
            if (self.is_handshaking or self._block is not None) and now - self._waiting_since > self.limits.handshake_s:
                raise FatalError(Code.SETTINGS_TIMEOUT, "the handshake or a header block is unfinished")
            if self.unsent_bytes and now > self._stalled_at:
                raise FatalError(Code.ENHANCE_YOUR_CALM, "replies are not being read")
            for stream in tuple(self.streams.values()):
                stream.sweep(now)
        except FatalError as fault:
            self.shut(fault.code, fault.why)

    # ---- bytes in

    def _parse(self, data: bytes) -> None:
        at, size = 0, len(data)
        if self.phase is _PREFACE:
            at = self._after_preface(data)
            if not at:
                self._tail = data
                return
        if self.flow is not None:
            at = self._flow_on(data)
        while size - at >= _HEAD_BYTES:
            high, low, kind, flags, stream_id = unpack_head(data, at)
            end = at + 9 + (high << 8 | low)
            if end - at > _LARGEST_FRAME:
                comes_in_parts = self._check_large(kind, flags, end - at - _HEAD_BYTES)
                if comes_in_parts and end > size:
                    self._begin_flow(flags, stream_id & 0x7FFFFFFF, end - at - _HEAD_BYTES, data[at + _HEAD_BYTES :])
                    return
            if end > size:
                break
            stream_id &= 0x7FFFFFFF
            try:
                if kind == _DATA and self._block is None:  # before SETTINGS it finds no stream, which ends us too
                    large = end - at > _VIEWED_BYTES
                    self._on_data(flags, stream_id, memoryview(data)[at + 9 : end] if large else data[at + 9 : end])
                else:
                    self._on_frame(kind, flags, stream_id, data[at + 9 : end])
            except StreamError as fault:
                self.reset(stream_id, fault.code)
            if self.phase is _CLOSED:
                return
            at = end
        self._tail = data[at:] if at < size else b""

    def _after_preface(self, data: bytes) -> int:
        """Where the frames begin; 0 while the preface is not complete."""
        if not frames.PREFACE.startswith(data[: len(frames.PREFACE)]):
            raise FatalError(Code.PROTOCOL_ERROR, "this is no HTTP/2 connection preface")
        if len(data) < len(frames.PREFACE):
            return 0
        self._advance(Event.PREFACE_RECEIVED)
        return len(frames.PREFACE)

    def _on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is not None and (kind != frames.CONTINUATION or stream_id != self._block[0]):
            raise FatalError(Code.PROTOCOL_ERROR, "a header block was left unfinished")
        if self.phase is _SETTINGS and kind != frames.SETTINGS:
            raise FatalError(Code.PROTOCOL_ERROR, "the first frame must be SETTINGS")
        if kind == _HEADERS:
            self._on_headers(flags, stream_id, payload)
        elif kind == _DATA:
            self._on_data(flags, stream_id, payload)
        elif kind == frames.CONTINUATION:
            self._on_continuation(flags, stream_id, payload)
        else:
            self._on_control(kind, flags, stream_id, payload)

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if flags & _PADDED_OR_PRIORITY:
            payload = frames.unpad(payload, flags)
            if flags & frames.HAS_PRIORITY:
                control.check_priority(stream_id, payload[:5])
                payload = payload[5:]
        if flags & frames.END_HEADERS:
            self._on_block(flags, stream_id, payload)
        else:
            self._block, self._waiting_since = (stream_id, flags, payload, 0), self.now

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is None:
            raise FatalError(Code.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        _, first_flags, block, count = self._block
        block, count = block + payload, count + 1
        if len(block) > self.limits.max_header_block_bytes or count > self.limits.max_continuations:
            raise FatalError(Code.ENHANCE_YOUR_CALM, "header block is too large")
        if flags & frames.END_HEADERS:
            self._block = None
            self._on_block(first_flags, stream_id, block)
        else:
            self._block = (stream_id, first_flags, block, count)

    def _on_block(self, flags: int, stream_id: int, block: bytes) -> None:
        if stream_id > self._highest:
            self._open(stream_id, block, bool(flags & frames.END_STREAM))
        elif (stream := self.streams.get(stream_id)) is not None:
            self._on_trailers(stream, bool(flags & frames.END_STREAM), block)
        else:
            self._on_late_headers(stream_id, block)

    def _open(self, stream_id: int, block: bytes, end: bool) -> None:
        if not stream_id & 1:
            raise FatalError(Code.PROTOCOL_ERROR, "a client opens streams of odd numbers")
        self._highest = stream_id
        head = self._headers.read(block)  # before any refusal: the compression's state is shared
        if self.refusing or self.phase is _DRAINING or len(self.streams) >= self.limits.max_streams:
            raise StreamError(Code.REFUSED_STREAM, "too many calls, or going away")
        stream = self.streams[stream_id] = self._make_stream(self, stream_id, head)
        if head.content_length is not None:
            stream.body_left = head.content_length
            stream.count_body(0, end)
        stream.remote_closed = end
        stream.opened()
        if end and not stream.local_closed:
            stream.received(b"", True)

    def _end_request(self, stream: Stream) -> None:
        stream.remote_closed = True
        if not stream.local_closed:
            stream.received(b"", True)
        elif stream.pending is None:
            self.streams.pop(stream.id, None)

    def _on_trailers(self, stream: Stream, end: bool, block: bytes) -> None:
        self._headers.trailers(block)
        if stream.remote_closed:
            raise StreamError(Code.STREAM_CLOSED, "HEADERS after END_STREAM")
        if not end:
            raise StreamError(Code.PROTOCOL_ERROR, "trailers must end the stream")
        if stream.body_left:
            raise StreamError(Code.PROTOCOL_ERROR, "the body is shorter than content-length")
        self._end_request(stream)

    def _on_late_headers(self, stream_id: int, block: bytes) -> None:
        if stream_id == 0 or not stream_id & 1:
            raise FatalError(Code.PROTOCOL_ERROR, "HEADERS on a stream that no client opens")
        if stream_id not in self._resets:
            raise FatalError(Code.STREAM_CLOSED, "HEADERS on a closed stream")
        self.credit.spend(1, self.now)
        self._headers.skip(block)
