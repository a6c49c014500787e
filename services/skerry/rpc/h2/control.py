"""A connection's phase, and the frames that carry no request: SETTINGS, PING, GOAWAY, RST_STREAM, WINDOW_UPDATE,
PRIORITY (checked, ignored). They are off the fast path, and each costs the peer credit, so that no flood of them is
free.
"""

from skerry.rpc.h2 import frames
from skerry.rpc.h2.frames import Code, FatalError, StreamError
from skerry.rpc.h2.outbound import Outbound
from skerry.rpc.h2.phase import HANDSHAKE, TRANSITIONS, Event, Phase
from skerry.rpc.limits import Limits

_DRAIN_PING = b"drain..."
_TINY_UPDATE_BYTES = 1_024  # a peer that reads grants more at a time


class Control(Outbound):
    __slots__ = ("_drains_when_open", "_highest", "phase")

    def __init__(self, limits: Limits, now: float) -> None:
        super().__init__(limits, now)
        self.phase = Phase.PREFACE
        self._drains_when_open = False
        self._highest = 0  # stream that the peer opened

    @property
    def is_handshaking(self) -> bool:
        return self.phase in HANDSHAKE

    @property
    def closed(self) -> bool:
        return self.phase is Phase.CLOSED

    @property
    def is_over(self) -> bool:
        """To be hung up once `take()` is written."""
        return self.phase is Phase.CLOSED or (self.phase is Phase.DRAINING and not self.streams)

    def drain(self) -> None:
        """Ask the peer to open no more streams, and then name the last one: see `phase`."""
        if self.is_handshaking:
            self._drains_when_open = True
        elif self._advance(Event.DRAIN_BEGUN):
            self.out.append(frames.goaway(frames.MAX_WINDOW_BYTES, Code.NO_ERROR))
            self.ping(_DRAIN_PING)

    def ping(self, payload: bytes) -> None:
        self.out.append(frames.frame(frames.PING, 0, 0, payload))

    def _advance(self, event: Event) -> bool:
        """Go where the table leads. False, and nothing changes, where it leads nowhere."""
        phase = TRANSITIONS[self.phase].get(event)
        if phase is None:
            return False
        self.phase = phase
        return True

    def _is_idle(self, stream_id: int) -> bool:
        if stream_id == 0:
            raise FatalError(Code.PROTOCOL_ERROR, "stream 0 carries no such frame")
        return stream_id > self._highest

    def _on_control(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """One control frame. Unknown kinds are ignored (RFC 9113 §4.1), but not for nothing."""
        if kind != frames.WINDOW_UPDATE:  # which costs only when it is tiny
            self.credit.spend(1, self.now)
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(self, flags, stream_id, payload)

    def _on_priority(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise FatalError(Code.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            raise FatalError(Code.FRAME_SIZE_ERROR, "PRIORITY must have 5 bytes")
        check_priority(stream_id, payload)

    def _on_rst_stream(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise FatalError(Code.FRAME_SIZE_ERROR, "RST_STREAM must have 4 bytes")
        if self._is_idle(stream_id):
            raise FatalError(Code.PROTOCOL_ERROR, "RST_STREAM on an idle stream")
        stream = self.streams.pop(stream_id, None)
        if stream is not None:
            self.drop_unsent(stream)
            stream.aborted(int.from_bytes(payload, "big"))

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise FatalError(Code.PROTOCOL_ERROR, "SETTINGS on a stream")
        if len(payload) % 6 or (flags & frames.ACK and payload):
            raise FatalError(Code.FRAME_SIZE_ERROR, "SETTINGS of a wrong size")
        if flags & frames.ACK:
            return
        self.credit.spend(len(payload) // 60, self.now)
        for key, value in frames.iter_settings(payload):
            _check_setting(key, value)
            self.apply_setting(key, value)
        self.out.append(frames.SETTINGS_ACK)
        self.pump()
        if self._advance(Event.SETTINGS_RECEIVED) and self._drains_when_open:
            self.drain()

    def _on_push_promise(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise FatalError(Code.PROTOCOL_ERROR, "a client cannot push")

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise FatalError(Code.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise FatalError(Code.FRAME_SIZE_ERROR, "PING must have 8 bytes")
        if not flags & frames.ACK:
            self.out.append(frames.frame(frames.PING, frames.ACK, 0, payload))
        elif payload == _DRAIN_PING and self._advance(Event.PING_RETURNED):
            self.out.append(frames.goaway(self._highest, Code.NO_ERROR))

    def _on_goaway(self, _flags: int, stream_id: int, payload: bytes) -> None:
        """The peer opens nothing more; its calls go on, and it hangs up by itself."""
        if stream_id:
            raise FatalError(Code.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise FatalError(Code.FRAME_SIZE_ERROR, "GOAWAY must have 8 bytes")

    def _on_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise FatalError(Code.FRAME_SIZE_ERROR, "WINDOW_UPDATE must have 4 bytes")
        increment = int.from_bytes(payload, "big") & 0x7FFFFFFF
        if increment < _TINY_UPDATE_BYTES:
            self.credit.spend(1, self.now)
        if stream_id == 0:
            self.widen(increment)
        elif (stream := self.streams.get(stream_id)) is not None:
            stream.send_window += increment
            if not increment:
                raise StreamError(Code.PROTOCOL_ERROR, "WINDOW_UPDATE of nothing")
            if stream.send_window > frames.MAX_WINDOW_BYTES:
                raise StreamError(Code.FLOW_CONTROL_ERROR, "the stream's window is above 2^31-1")
            self.unblock(stream)
        elif self._is_idle(stream_id):
            raise FatalError(Code.PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream")
        self.pump()


def check_priority(stream_id: int, fields: bytes) -> None:
    """By the letter a dependency on itself is a stream error; but a header block with it would stay undecoded."""
    if len(fields) < 5:
        raise FatalError(Code.FRAME_SIZE_ERROR, "priority fields are cut short")
    if int.from_bytes(fields[:4], "big") & 0x7FFFFFFF == stream_id:
        raise FatalError(Code.PROTOCOL_ERROR, "a stream cannot depend on itself")


def _check_setting(key: int, value: int) -> None:
    """RFC 9113 §6.5.2."""
    if key == frames.INITIAL_WINDOW_SIZE and value > frames.MAX_WINDOW_BYTES:
        raise FatalError(Code.FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE is above 2^31-1")
    if key == frames.MAX_FRAME_SIZE and not frames.DEFAULT_FRAME_BYTES <= value < 1 << 24:
        raise FatalError(Code.PROTOCOL_ERROR, "SETTINGS_MAX_FRAME_SIZE is out of range")
    if key == frames.ENABLE_PUSH and value > 1:
        raise FatalError(Code.PROTOCOL_ERROR, "SETTINGS_ENABLE_PUSH is neither 0 nor 1")


_HANDLERS = {
    frames.PRIORITY: Control._on_priority,
    frames.RST_STREAM: Control._on_rst_stream,
    frames.SETTINGS: Control._on_settings,
    frames.PUSH_PROMISE: Control._on_push_promise,
    frames.PING: Control._on_ping,
    frames.GOAWAY: Control._on_goaway,
    frames.WINDOW_UPDATE: Control._on_window_update,
}
