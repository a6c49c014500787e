"""The sending half of a connection: frames within the peer's windows, one frame per blocked stream in turn, resets.

A whole small reply leaves in one piece (`send_reply`); all else is for what does not fit or comes in parts.
"""

from collections import deque

from skerry.rpc.h2 import frames, hpack
from skerry.rpc.h2.credit import Credit
from skerry.rpc.h2.frames import Code, FatalError, pack_head
from skerry.rpc.h2.stream import Stream
from skerry.rpc.limits import Limits

_DATA, _HEADERS, _END_HEADERS = frames.DATA, frames.HEADERS, frames.END_HEADERS
_END = frames.END_HEADERS | frames.END_STREAM
_REMEMBERED_RESETS = 256
_MANY_BYTES = 65_536
_MAX_FRAME_BYTES = 65_536  # of ours, whatever the peer would take: replies of many streams stay interleaved


class Outbound:
    __slots__ = (
        "_blocked",
        "_peer_frame_bytes",
        "_resets",
        "_send_window",
        "_size_update",
        "_stalled_at",
        "credit",
        "frame_bytes",
        "limits",
        "now",
        "out",
        "out_bytes",
        "peer_window_bytes",
        "streams",
        "unsent_bytes",
    )

    def __init__(self, limits: Limits, now: float) -> None:
        self.limits, self.now = limits, now
        self.credit = Credit(limits, now)
        self.streams: dict[int, Stream] = {}
        self.out: list[bytes] = []
        self.out_bytes = 0  # of DATA in `out`
        self.unsent_bytes = 0  # of DATA that flow control holds back
        self.peer_window_bytes = frames.DEFAULT_WINDOW_BYTES  # of its new streams
        self._peer_frame_bytes = frames.DEFAULT_FRAME_BYTES
        self.frame_bytes = frames.DEFAULT_FRAME_BYTES  # of the peer's frames, as we offered it
        self._send_window = frames.DEFAULT_WINDOW_BYTES
        self._blocked: dict[Stream, None] = {}  # streams that wait for the connection's window, in turn
        self._stalled_at = 0.0  # when what is held back has waited too long
        self._size_update = b""  # HPACK table size update that we owe the peer
        self._resets: dict[int, None] = {}  # streams that we reset; the peer may not know yet

    def take(self) -> bytes:
        """What to write now."""
        out, self.out, self.out_bytes = self.out, [], 0
        return out[0] if len(out) == 1 else b"".join(out)

    def send_reply(self, stream: Stream, head: bytes, message: bytes, trailers: bytes) -> None:
        """A whole reply: header block, framed message, trailer block."""
        size, stream_id = len(message), stream.id
        if (
            size > self._send_window
            or size > stream.send_window
            or size > self._peer_frame_bytes
            or len(trailers) > frames.DEFAULT_FRAME_BYTES
            or self._size_update
        ):
            self.send_headers(stream, head)
            self.send_data(stream, message)
            self.send_end(stream, trailers)
            return
        self._send_window -= size
        self.credit.earned_frames += 1
        stream.local_closed = True
        end = len(trailers)
        first = pack_head(0, len(head), _HEADERS, _END_HEADERS, stream_id)
        data = pack_head(size >> 8, size & 255, _DATA, 0, stream_id)
        last = pack_head(end >> 8, end & 255, _HEADERS, _END, stream_id)
        self.out.append(b"".join((first, head, data, message, last, trailers)))
        if stream.remote_closed:
            self.streams.pop(stream_id, None)
        else:
            self.forget_if_done(stream)

    def send_headers(self, stream: Stream, block: bytes, end: bool = False) -> None:
        if self._size_update:
            block, self._size_update = self._size_update + block, b""
        limit, flags = frames.DEFAULT_FRAME_BYTES, frames.END_STREAM if end else 0
        parts = [block[at : at + limit] for at in range(0, len(block), limit)]
        for number, part in enumerate(parts):
            kind, now = (frames.CONTINUATION, 0) if number else (frames.HEADERS, flags)
            last = frames.END_HEADERS if number == len(parts) - 1 else 0
            self.out.append(frames.frame(kind, now | last, stream.id, part))
        if end:
            stream.local_closed = True
            self.forget_if_done(stream)

    def send_data(self, stream: Stream, data: bytes) -> None:
        size = len(data)
        window = min(self._send_window, stream.send_window, self._peer_frame_bytes)
        if size <= window and not stream.pending:
            self._send_window -= size
            stream.send_window -= size
            self.credit.earned_frames += 1
            self.out_bytes += size
            self.out.append(pack_head(size >> 8, size & 255, frames.DATA, 0, stream.id) + data)
            return
        if stream.pending is None:
            stream.pending = deque()
        stream.pending.append(memoryview(data))
        if not self.unsent_bytes:
            self._stalled_at = self.now + self.limits.stalled_s
        self.unsent_bytes += size
        self._blocked[stream] = None
        self.pump()

    def send_end(self, stream: Stream, trailers: bytes) -> None:
        """Trailers, or b"" for END_STREAM alone, once all data has gone."""
        stream.local_closed = True
        if stream.pending:
            stream.pending_end = trailers
        else:
            stream.pending = None
            self._send_end_now(stream, trailers)

    def apply_setting(self, key: int, value: int) -> None:
        """A setting of the peer that concerns what we send; its value was checked."""
        if key == frames.INITIAL_WINDOW_SIZE:
            change, self.peer_window_bytes = value - self.peer_window_bytes, value
            for stream in self.streams.values():
                stream.send_window += change
                if stream.send_window > frames.MAX_WINDOW_BYTES:
                    raise FatalError(Code.FLOW_CONTROL_ERROR, "a stream's window is above 2^31-1")
                self.unblock(stream)
        elif key == frames.MAX_FRAME_SIZE:
            self._peer_frame_bytes = min(value, _MAX_FRAME_BYTES)
        elif key == frames.HEADER_TABLE_SIZE and value < hpack.TABLE_BYTES:
            self._size_update = hpack.TABLE_EMPTIED  # we index nothing, yet RFC 7541 §4.2 wants to hear it

    def widen(self, increment: int) -> None:
        """The connection's window has opened."""
        self._send_window += increment
        if not increment:
            raise FatalError(Code.PROTOCOL_ERROR, "WINDOW_UPDATE of nothing")
        if self._send_window > frames.MAX_WINDOW_BYTES:
            raise FatalError(Code.FLOW_CONTROL_ERROR, "the connection's window is above 2^31-1")

    def unblock(self, stream: Stream) -> None:
        """The stream's own window has opened."""
        if stream.pending:
            self._blocked[stream] = None

    def pump(self) -> None:
        """Send what the windows allow, one frame per stream in turn."""
        blocked = self._blocked
        while blocked and self._send_window > 0:
            stream = next(iter(blocked))
            del blocked[stream]
            if stream.pending and self._pump(stream, stream.pending):
                blocked[stream] = None

    def drop_unsent(self, stream: Stream) -> None:
        """Forget what is held back, so that trailers may go now."""
        if stream.pending:
            self.unsent_bytes -= sum(len(chunk) for chunk in stream.pending)
        stream.pending = None
        self._blocked.pop(stream, None)

    def grant(self, stream: Stream, increment: int) -> None:
        """Let the peer send so many bytes more on this stream; where they are many, in large frames from now on."""
        stream.receive_window += increment
        if increment > _MANY_BYTES and self.frame_bytes < frames.LARGE_FRAME_BYTES:
            self.frame_bytes = frames.LARGE_FRAME_BYTES
            self.out.append(frames.settings({frames.MAX_FRAME_SIZE: self.frame_bytes}))
        self.out.append(frames.window_update(stream.id, increment))

    def reset(self, stream_id: int, code: Code) -> None:
        """RST_STREAM. Raises FatalError when the peer makes us do this too often."""
        self.out.append(frames.rst_stream(stream_id, code))
        self._resets[stream_id] = None
        if len(self._resets) > _REMEMBERED_RESETS:
            del self._resets[next(iter(self._resets))]
        stream = self.streams.pop(stream_id, None)
        if stream is not None:
            self.drop_unsent(stream)
        if code != Code.NO_ERROR:  # which is said after a complete reply
            if stream is not None:
                stream.aborted(code)
            self.credit.spend(1, self.now)

    def forget_if_done(self, stream: Stream) -> None:
        """After the reply's end: RFC 9113 §8.1 lets a server stop the rest of the request without an error."""
        if stream.local_closed and stream.pending is None:
            if stream.remote_closed:
                self.streams.pop(stream.id, None)
            elif not stream.lingers and stream.id in self.streams:
                self.reset(stream.id, Code.NO_ERROR)

    def _send_end_now(self, stream: Stream, trailers: bytes) -> None:
        if trailers:
            self.send_headers(stream, trailers, end=True)
        else:
            self.out.append(frames.frame(frames.DATA, frames.END_STREAM, stream.id))
            self.forget_if_done(stream)

    def _pump(self, stream: Stream, pending: deque[memoryview]) -> bool:
        """One frame; True when there is more and the stream's own window is open."""
        chunk = pending[0]
        size = min(len(chunk), self._peer_frame_bytes, self._send_window, stream.send_window)
        if size <= 0 < len(chunk):
            return False
        self._send_window -= size
        stream.send_window -= size
        self.unsent_bytes -= size
        self.out_bytes += size
        if size in (len(chunk), self._peer_frame_bytes):  # a frame cut short by a tiny window earns nothing
            self.credit.earned_frames += 1
        limits = self.limits
        self._stalled_at = min(self.now + limits.stalled_s, self._stalled_at + size / limits.slowest_bytes_per_s)
        if size == len(chunk):
            pending.popleft()
        else:
            pending[0] = chunk[size:]
        self.out.append(pack_head(size >> 8, size & 255, frames.DATA, 0, stream.id) + chunk[:size])
        if pending:
            return stream.send_window > 0
        stream.pending = None
        if stream.pending_end is not None:
            self._send_end_now(stream, stream.pending_end)
        else:
            stream.drained()
        return False
