"""HTTP/2 frames (RFC 9113 §4, §6): numbers, the frame header, builders, the two kinds of errors. No state, no I/O."""

import enum
import struct
from collections.abc import Mapping
from typing import TypeVar

Payload = TypeVar("Payload", bytes, bytes | memoryview)

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20

HEADER_TABLE_SIZE = 1
ENABLE_PUSH = 2
MAX_CONCURRENT_STREAMS = 3
INITIAL_WINDOW_SIZE = 4
MAX_FRAME_SIZE = 5
MAX_HEADER_LIST_SIZE = 6

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_BYTES = 9
DEFAULT_WINDOW_BYTES = 65_535
DEFAULT_FRAME_BYTES = 16_384
LARGE_FRAME_BYTES = 4 << 20  # of a peer's frames, whose payload is read as it comes
MAX_WINDOW_BYTES = 2**31 - 1

_HEAD = struct.Struct(">HBBBI")  # length (high 16, low 8), type, flags, stream
_U32 = struct.Struct(">I")
_SETTING = struct.Struct(">HI")

pack_head = _HEAD.pack
unpack_head = _HEAD.unpack_from
pack_u32 = _U32.pack
iter_settings = _SETTING.iter_unpack


class Code(enum.IntEnum):
    """RFC 9113 §7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC


class FatalError(Exception):
    """The peer broke the connection's rules: GOAWAY, and hang up. `why` goes to the peer."""

    def __init__(self, code: Code, why: str) -> None:
        super().__init__(why)
        self.code, self.why = code, why


class StreamError(Exception):
    """The peer broke one stream's rules: RST_STREAM, and the connection lives on."""

    def __init__(self, code: Code, why: str) -> None:
        super().__init__(why)
        self.code, self.why = code, why


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    size = len(payload)
    return pack_head(size >> 8, size & 255, kind, flags, stream_id) + payload


def settings(values: Mapping[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*item) for item in values.items()))


def window_update(stream_id: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream_id, pack_u32(increment))


def rst_stream(stream_id: int, code: int) -> bytes:
    return frame(RST_STREAM, 0, stream_id, pack_u32(code))


def goaway(last_stream_id: int, code: int, why: str = "") -> bytes:
    return frame(GOAWAY, 0, 0, pack_u32(last_stream_id) + pack_u32(code) + why.encode()[:200])


def unpad(payload: Payload, flags: int) -> Payload:
    """The payload without its padding. RFC 9113 §6.1: padding as long as the payload ends the connection."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise FatalError(Code.PROTOCOL_ERROR, "padding is longer than the frame")
    return payload[1 : len(payload) - payload[0]]


SETTINGS_ACK = frame(SETTINGS, ACK, 0)
