"""Control frames: SETTINGS, PING, GOAWAY, RST_STREAM, WINDOW_UPDATE, PRIORITY (checked, ignored).

They are off the fast path, and each costs the peer credit, so that no flood of them is free.
"""

from typing import TYPE_CHECKING

from skerry.rpc.h2 import frames
from skerry.rpc.h2.frames import Code, FatalError, StreamError

if TYPE_CHECKING:
    from skerry.rpc.h2.connection import Connection

DRAIN_PING = b"drain..."
_CRUMB_BYTES = 1_024  # a peer that reads grants more at once


def receive(connection: "Connection", kind: int, flags: int, stream_id: int, payload: bytes) -> None:
    """One control frame. Unknown kinds are ignored (RFC 9113 §4.1), but not for nothing."""
    if kind != frames.WINDOW_UPDATE:  # which costs only when it is a crumb
        connection.credit.spend(1, connection.now)
    handler = _HANDLERS.get(kind)
    if handler is not None:
        handler(connection, flags, stream_id, payload)


def _on_priority(_connection: "Connection", _flags: int, stream_id: int, payload: bytes) -> None:
    if stream_id == 0:
        raise FatalError(Code.PROTOCOL_ERROR, "PRIORITY on stream 0")
    if len(payload) != 5:
        raise FatalError(Code.FRAME_SIZE_ERROR, "PRIORITY must have 5 bytes")
    check_priority(stream_id, payload)


def check_priority(stream_id: int, fields: bytes) -> None:
    """By the letter a dependency on itself is a stream error; but a header block with it would stay undecoded."""
    if len(fields) < 5:
        raise FatalError(Code.FRAME_SIZE_ERROR, "priority fields are cut short")
    if int.from_bytes(fields[:4], "big") & 0x7FFFFFFF == stream_id:
        raise FatalError(Code.PROTOCOL_ERROR, "a stream cannot depend on itself")


def _on_rst_stream(connection: "Connection", _flags: int, stream_id: int, payload: bytes) -> None:
    if len(payload) != 4:
        raise FatalError(Code.FRAME_SIZE_ERROR, "RST_STREAM must have 4 bytes")
    if connection.is_idle(stream_id):
        raise FatalError(Code.PROTOCOL_ERROR, "RST_STREAM on an idle stream")
    stream = connection.streams.pop(stream_id, None)
    if stream is not None:
        connection.drop_unsent(stream)
        stream.aborted(int.from_bytes(payload, "big"))


def _on_settings(connection: "Connection", flags: int, stream_id: int, payload: bytes) -> None:
    if stream_id:
        raise FatalError(Code.PROTOCOL_ERROR, "SETTINGS on a stream")
    if len(payload) % 6 or (flags & frames.ACK and payload):
        raise FatalError(Code.FRAME_SIZE_ERROR, "SETTINGS of a wrong size")
    if flags & frames.ACK:
        return
    connection.settled = True
    connection.credit.spend(len(payload) // 60, connection.now)
    for key, value in frames.iter_settings(payload):
        _check_setting(key, value)
        connection.apply_setting(key, value)
    connection.out.append(frames.SETTINGS_ACK)
    connection.pump()


def _check_setting(key: int, value: int) -> None:
    """RFC 9113 §6.5.2."""
    if key == frames.INITIAL_WINDOW_SIZE and value > frames.MAX_WINDOW_BYTES:
        raise FatalError(Code.FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE is above 2^31-1")
    if key == frames.MAX_FRAME_SIZE and not frames.DEFAULT_FRAME_BYTES <= value < 1 << 24:
        raise FatalError(Code.PROTOCOL_ERROR, "SETTINGS_MAX_FRAME_SIZE is out of range")
    if key == frames.ENABLE_PUSH and value > 1:
        raise FatalError(Code.PROTOCOL_ERROR, "SETTINGS_ENABLE_PUSH is neither 0 nor 1")


def _on_push_promise(_connection: "Connection", _flags: int, _stream_id: int, _payload: bytes) -> None:
    raise FatalError(Code.PROTOCOL_ERROR, "a client cannot push")


def _on_ping(connection: "Connection", flags: int, stream_id: int, payload: bytes) -> None:
    if stream_id:
        raise FatalError(Code.PROTOCOL_ERROR, "PING on a stream")
    if len(payload) != 8:
        raise FatalError(Code.FRAME_SIZE_ERROR, "PING must have 8 bytes")
    if not flags & frames.ACK:
        connection.out.append(frames.frame(frames.PING, frames.ACK, 0, payload))
    elif payload == DRAIN_PING and connection.leaving:
        connection.drain_acknowledged()


def _on_goaway(_connection: "Connection", _flags: int, stream_id: int, payload: bytes) -> None:
    """The peer opens nothing more; its calls go on, and it hangs up by itself."""
    if stream_id:
        raise FatalError(Code.PROTOCOL_ERROR, "GOAWAY on a stream")
    if len(payload) < 8:
        raise FatalError(Code.FRAME_SIZE_ERROR, "GOAWAY must have 8 bytes")


def _on_window_update(connection: "Connection", _flags: int, stream_id: int, payload: bytes) -> None:
    if len(payload) != 4:
        raise FatalError(Code.FRAME_SIZE_ERROR, "WINDOW_UPDATE must have 4 bytes")
    increment = int.from_bytes(payload, "big") & 0x7FFFFFFF
    if increment < _CRUMB_BYTES:
        connection.credit.spend(1, connection.now)
    if stream_id == 0:
        connection.widen(increment)
    elif (stream := connection.streams.get(stream_id)) is not None:
        stream.send_window += increment
        if not increment:
            raise StreamError(Code.PROTOCOL_ERROR, "WINDOW_UPDATE of nothing")
        if stream.send_window > frames.MAX_WINDOW_BYTES:
            raise StreamError(Code.FLOW_CONTROL_ERROR, "the stream's window is above 2^31-1")
        connection.unblock(stream)
    elif connection.is_idle(stream_id):
        raise FatalError(Code.PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream")
    connection.pump()


_HANDLERS = {
    frames.PRIORITY: _on_priority,
    frames.RST_STREAM: _on_rst_stream,
    frames.SETTINGS: _on_settings,
    frames.PUSH_PROMISE: _on_push_promise,
    frames.PING: _on_ping,
    frames.GOAWAY: _on_goaway,
    frames.WINDOW_UPDATE: _on_window_update,
}
