"""DATA frames that come in: their windows, and their payloads to the streams.

A large frame is not waited for: its payload goes to its stream as it comes (`flow`). Where the stream offers `space`,
the socket is read into it, and `filled` says so: no step lies between the kernel and the message.
"""

from skerry.rpc.h2 import frames
from skerry.rpc.h2.control import Control
from skerry.rpc.h2.frames import Code, FatalError, StreamError
from skerry.rpc.h2.stream import Stream
from skerry.rpc.limits import Limits

_READ_IN_PLACE_BYTES = 16_384  # less is left of a frame: it is read with what follows it
_POLITE_BYTES = 16_384  # of a request whose reply is complete: taken before we stop it


class DataFrames(Control):
    __slots__ = ("_block", "_receive_window", "_tail", "flow")

    def __init__(self, limits: Limits, now: float) -> None:
        super().__init__(limits, now)
        self._tail = b""  # an incomplete frame
        self._block: tuple[int, int, bytes, int] | None = None  # unfinished: stream, flags, bytes, CONTINUATIONs
        self._receive_window = limits.connection_window_bytes
        self.flow: tuple[int, int, int] | None = None  # the frame that comes in parts: stream, flags, bytes left

    def space(self) -> memoryview | None:
        """Where the next bytes from the peer belong, all of them; None: they go to `receive`."""
        if self.flow is None or self.flow[2] < _READ_IN_PLACE_BYTES:
            return None
        stream_id, _, left = self.flow
        stream = self.streams.get(stream_id)
        space = stream.space() if stream is not None and not stream.local_closed else None
        return space[:left] if space is not None and len(space) >= _READ_IN_PLACE_BYTES else None

    def _flow_filled(self, size: int) -> None:
        assert self.flow is not None
        stream_id, flags, left = self.flow
        stream = self.streams[stream_id]  # it has just offered the space
        self.flow = (stream_id, flags, left - size) if size < left else None
        self._take_window(size)
        stream.receive_window -= size
        stream.remote_closed = end = size == left and bool(flags & frames.END_STREAM)
        stream.filled(size, end)

    def _on_data(self, flags: int, stream_id: int, payload: bytes | memoryview) -> None:
        size = len(payload)
        self._take_window(size)
        stream = self.streams.get(stream_id)
        if stream is None:
            self._on_late_data(stream_id)
            return
        if stream.remote_closed:
            raise StreamError(Code.STREAM_CLOSED, "DATA after END_STREAM")
        stream.receive_window -= size
        if stream.receive_window < 0:
            raise StreamError(Code.FLOW_CONTROL_ERROR, "more DATA than the stream's window")
        if flags & frames.PADDED:
            payload = frames.unpad(payload, flags)
        end = bool(flags & frames.END_STREAM)
        if not payload and not end:
            self.credit.spend(1, self.now)
        if stream.body_left is not None:
            stream.count_body(len(payload), end)
        self._pass_on(stream, payload, end)

    def _pass_on(self, stream: Stream, payload: bytes | memoryview, end: bool) -> None:
        stream.remote_closed = end
        if not stream.local_closed:
            stream.received(payload, end)
        elif stream.pending is None:
            if end:
                self.streams.pop(stream.id, None)
            else:
                self._ignore(stream, len(payload))

    def _take_window(self, size: int) -> None:
        """`size` bytes of DATA have come: of the connection's window, which opens again when half of it is used."""
        full = self.limits.connection_window_bytes
        self._receive_window -= size
        if self._receive_window < full >> 1:
            if self._receive_window < 0:
                raise FatalError(Code.FLOW_CONTROL_ERROR, "more DATA than the connection's window")
            self.out.append(frames.window_update(0, full - self._receive_window))
            self._receive_window = full

    def _check_large(self, kind: int, flags: int, size: int) -> bool:
        """A frame above the size that every peer may send. True: it is DATA, taken as it comes; all else must be held
        until it is whole. Raises FatalError where it is larger than we offered, or than what we hold."""
        if size > self.frame_bytes:
            raise FatalError(Code.FRAME_SIZE_ERROR, "frame is larger than SETTINGS_MAX_FRAME_SIZE")
        if kind == frames.DATA and not flags & frames.PADDED and self._block is None:
            return True
        if size > self.limits.max_header_block_bytes:
            raise FatalError(Code.ENHANCE_YOUR_CALM, "a frame is too large to be held")
        return False

    def _begin_flow(self, flags: int, stream_id: int, size: int, beginning: bytes) -> None:
        """A large DATA frame of `size` bytes, of which the beginning is there."""
        self._tail, self.flow = b"", (stream_id, flags, size)
        try:
            self._check_flow(self.streams.get(stream_id), stream_id, size, bool(flags & frames.END_STREAM))
        except StreamError as fault:
            self.reset(stream_id, fault.code)
        self._flow_on(beginning)

    def _check_flow(self, stream: Stream | None, stream_id: int, size: int, end: bool) -> None:
        """The whole of a frame may come. Raises FatalError, StreamError."""
        if size > self._receive_window:
            raise FatalError(Code.FLOW_CONTROL_ERROR, "more DATA than the connection's window")
        if stream is None:
            self._on_late_data(stream_id)
            return
        if stream.remote_closed:
            raise StreamError(Code.STREAM_CLOSED, "DATA after END_STREAM")
        if size > stream.receive_window:
            raise StreamError(Code.FLOW_CONTROL_ERROR, "more DATA than the stream's window")
        if stream.body_left is not None:
            stream.count_body(size, end)

    def _flow_on(self, data: bytes | memoryview) -> int:
        """The next part of the frame that comes in parts; returns how many bytes of `data` it is."""
        assert self.flow is not None
        stream_id, flags, left = self.flow
        part = memoryview(data)[:left]
        size = len(part)
        self.flow = (stream_id, flags, left - size) if size < left else None
        self._take_window(size)
        stream = self.streams.get(stream_id)
        if stream is not None and size:  # else it was reset meanwhile: the rest of the frame is of no use
            stream.receive_window -= size
            try:
                self._pass_on(stream, part, size == left and bool(flags & frames.END_STREAM))
            except StreamError as fault:
                self.reset(stream_id, fault.code)
        return size

    def _ignore(self, stream: Stream, size: int) -> None:
        """The reply is complete and the request goes on: take a little, then stop it without an error."""
        stream.ignored_bytes += size
        if stream.ignored_bytes > _POLITE_BYTES:
            self.reset(stream.id, Code.NO_ERROR)

    def _on_late_data(self, stream_id: int) -> None:
        """DATA for a stream that is gone is fine only when we reset it: the peer could not know."""
        if self._is_idle(stream_id):
            raise FatalError(Code.PROTOCOL_ERROR, "DATA on an idle stream")
        if stream_id not in self._resets:
            raise FatalError(Code.STREAM_CLOSED, "DATA on a closed stream")
        self.credit.spend(1, self.now)
