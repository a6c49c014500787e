"""What each malformed frame and header list leads to: the exact error, and who survives it."""

import pytest
import rpc_raw
from rpc_raw import data, headers
from rpc_talk import Talk, outcome

from skerry.rpc.h2 import frames
from skerry.rpc.h2.connection import Connection
from skerry.rpc.h2.hpack import encode
from skerry.rpc.h2.routing import Router
from skerry.rpc.limits import Limits

_MAX = 2**31 - 1
_OPEN = headers(1)
_REQUEST = rpc_raw.request()
_BLOCK = encode(_REQUEST)
_WIDE = frames.window_update(1, _MAX - 65_535)
_PROTOCOL, _SIZE, _FLOW = (f"GOAWAY {name}_ERROR" for name in ("PROTOCOL", "FRAME_SIZE", "FLOW_CONTROL"))
_STREAM = "RST 1 PROTOCOL_ERROR"


def _with(**changes: bytes) -> bytes:
    """A request whose pseudo-header fields are changed, or left out when empty."""
    fields = [(name, changes.get(name.decode().lstrip(":").replace("-", "_"), value)) for name, value in _REQUEST]
    return rpc_raw.block(1, [field for field in fields if field[1] != b""])


def _plus(*fields: tuple[bytes, bytes]) -> bytes:
    return rpc_raw.block(1, [*_REQUEST, *fields])


def _frame(kind: int, stream_id: int, payload: bytes = b"", flags: int = 0) -> bytes:
    return frames.frame(kind, flags, stream_id, payload)


_TABLE = [
    ("a frame above the largest", frames.pack_head(frames.LARGE_FRAME_BYTES >> 8, 1, 0, 0, 1), _SIZE),
    ("an unknown kind of frame", _frame(77, 3, b"what"), "fine"),
    ("DATA on stream 0", data(0, b"x"), _PROTOCOL),
    ("DATA on an idle stream", data(5, b"x"), _PROTOCOL),
    ("DATA after END_STREAM", _OPEN + data(1, b"x") + data(1, b"y"), "RST 1 STREAM_CLOSED"),
    ("DATA on a stream that the peer reset", _OPEN + frames.rst_stream(1, 8) + data(1, b"x"), "GOAWAY STREAM_CLOSED"),
    ("padding as long as the frame", _OPEN + _frame(0, 1, b"\x04abc", frames.PADDED), _PROTOCOL),
    ("padding without a length", _OPEN + _frame(0, 1, b"", frames.PADDED), _PROTOCOL),
    ("padded DATA", _OPEN + _frame(0, 1, b"\x02abc\0\0", frames.PADDED), "fine"),
    ("HEADERS on stream 0", _frame(frames.HEADERS, 0, _BLOCK, 4), _PROTOCOL),
    ("HEADERS on an even stream", headers(2), _PROTOCOL),
    ("HEADERS on a lower stream than before", headers(5) + headers(3), "GOAWAY STREAM_CLOSED"),
    ("HEADERS after END_STREAM", _OPEN + data(1, b"") + headers(1, end=True), _STREAM),
    ("trailers that do not end the stream", _OPEN + rpc_raw.block(1, [(b"x-a", b"b")]), _STREAM),
    ("trailers with a pseudo field", _OPEN + rpc_raw.block(1, [(b":path", b"/")], end=True), _STREAM),
    ("trailers", _OPEN + rpc_raw.block(1, [(b"x-a", b"b")], end=True), "fine"),
    ("a block that cannot be decoded", _frame(frames.HEADERS, 1, b"\xff", 4), "GOAWAY COMPRESSION_ERROR"),
    ("a frame between HEADERS and CONTINUATION", _frame(1, 1, _BLOCK) + _frame(6, 0, bytes(8)), _PROTOCOL),
    ("CONTINUATION of another stream", _frame(1, 1, _BLOCK) + _frame(9, 3, b"", 4), _PROTOCOL),
    ("CONTINUATION without HEADERS", _OPEN + _frame(9, 1, b"", 4), _PROTOCOL),
    ("a block in three frames", _frame(1, 1, _BLOCK[:9]) + _frame(9, 1) + _frame(9, 1, _BLOCK[9:], 4), "fine"),
    ("priority fields cut short", _frame(1, 1, b"\0\0", 0x24), _SIZE),
    ("a stream that depends on itself", _frame(1, 1, b"\0\0\0\x01\x10" + _BLOCK, 0x24), _PROTOCOL),
    ("HEADERS with priority and padding", _frame(1, 1, b"\x02\0\0\0\0\x10" + _BLOCK + b"\0\0", 0x2C), "fine"),
    ("no :method", _with(method=b""), _STREAM),
    ("no :scheme", _with(scheme=b""), _STREAM),
    ("no :path", _with(path=b""), _STREAM),
    ("an unknown pseudo field", rpc_raw.block(1, [(b":what", b"x"), *_REQUEST]), _STREAM),
    ("a pseudo field after others", _plus((b":authority", b"x")), _STREAM),
    ("a pseudo field twice", rpc_raw.block(1, [_REQUEST[0], *_REQUEST]), _STREAM),
    ("upper case in a name", _plus((b"X-A", b"b")), _STREAM),
    ("a space in a name", _plus((b"x a", b"b")), _STREAM),
    ("an empty name", _plus((b"", b"b")), _STREAM),
    ("a line break in a value", _plus((b"x-a", b"b\r\nx-c: d")), _STREAM),
    ("a zero byte in a value", _plus((b"x-a", b"b\0")), _STREAM),
    ("a space before a value", _plus((b"x-a", b" b")), _STREAM),
    ("connection: close", _plus((b"connection", b"close")), _STREAM),
    ("te: gzip", _plus((b"te", b"gzip")), _STREAM),
    ("two different content-lengths", _plus((b"content-length", b"1"), (b"content-length", b"2")), _STREAM),
    ("a content-length that is no number", _plus((b"content-length", b"-1")), _STREAM),
    ("a body longer than content-length", _plus((b"content-length", b"1")) + data(1, b"xy", end=False), _STREAM),
    ("a body shorter than content-length", _plus((b"content-length", b"3")) + data(1, b"xy"), _STREAM),
    ("two grpc-timeouts", _plus((b"grpc-timeout", b"1S"), (b"grpc-timeout", b"1S")), _STREAM),
    ("grpc-timeout before a pseudo field", rpc_raw.block(1, [(b"grpc-timeout", b"1S"), *_REQUEST]), _STREAM),
    ("RST_STREAM on an idle stream", frames.rst_stream(1, 8), _PROTOCOL),
    ("RST_STREAM on stream 0", frames.rst_stream(0, 8), _PROTOCOL),
    ("RST_STREAM of three bytes", _OPEN + _frame(3, 1, b"abc"), _SIZE),
    ("SETTINGS on a stream", _frame(frames.SETTINGS, 1), _PROTOCOL),
    ("SETTINGS of five bytes", _frame(frames.SETTINGS, 0, b"12345"), _SIZE),
    ("an acknowledgment with content", _frame(frames.SETTINGS, 0, bytes(6), frames.ACK), _SIZE),
    ("an initial window above 2^31-1", frames.settings({4: 2**31}), _FLOW),
    ("a maximal frame size below 16384", frames.settings({5: 16_383}), _PROTOCOL),
    ("a maximal frame size above 2^24-1", frames.settings({5: 1 << 24}), _PROTOCOL),
    ("ENABLE_PUSH of 2", frames.settings({2: 2}), _PROTOCOL),
    ("an unknown setting", frames.settings({99: 7}), "fine"),
    ("PUSH_PROMISE", _OPEN + _frame(frames.PUSH_PROMISE, 1, bytes(4), 4), _PROTOCOL),
    ("PING on a stream", _frame(frames.PING, 1, bytes(8)), _PROTOCOL),
    ("PING of seven bytes", _frame(frames.PING, 0, bytes(7)), _SIZE),
    ("an answer to a PING that nobody sent", _frame(frames.PING, 0, b"drain...", frames.ACK), "fine"),
    ("GOAWAY on a stream", _frame(frames.GOAWAY, 1, bytes(8)), _PROTOCOL),
    ("GOAWAY of seven bytes", _frame(frames.GOAWAY, 0, bytes(7)), _SIZE),
    ("WINDOW_UPDATE of three bytes", _frame(frames.WINDOW_UPDATE, 0, bytes(3)), _SIZE),
    ("a connection window of nothing more", frames.window_update(0, 0), _PROTOCOL),
    ("a connection window above 2^31-1", frames.window_update(0, _MAX), _FLOW),
    ("a stream window of nothing more", _OPEN + frames.window_update(1, 0), _STREAM),
    ("a stream window above 2^31-1", _OPEN + frames.window_update(1, _MAX), "RST 1 FLOW_CONTROL_ERROR"),
    ("WINDOW_UPDATE on an idle stream", frames.window_update(9, 1), _PROTOCOL),
    ("a setting that lifts a window above 2^31-1", _OPEN + _WIDE + frames.settings({4: 65_536}), _FLOW),
    ("PRIORITY on stream 0", _frame(frames.PRIORITY, 0, bytes(5)), _PROTOCOL),
    ("PRIORITY of four bytes", _frame(frames.PRIORITY, 1, bytes(4)), _SIZE),
    ("PRIORITY on itself", _frame(frames.PRIORITY, 3, b"\0\0\0\x03\0"), _PROTOCOL),
    ("PRIORITY", _frame(frames.PRIORITY, 3, bytes(5)), "fine"),
    ("more DATA than a stream's window", _OPEN + data(1, bytes(16_384), end=False) * 5, "RST 1 FLOW_CONTROL_ERROR"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), [row[1:] for row in _TABLE], ids=[row[0] for row in _TABLE])
@pytest.mark.parametrize("split", [1_000_000, 7], ids=["at once", "in pieces"])
def test_what_a_frame_leads_to(content: bytes, expected: str, split: int) -> None:
    talk = Talk()
    answers = [frame for at in range(0, len(content), split) for frame in talk.say(content[at : at + split])]
    assert outcome(answers) == expected
    assert talk.connection.closed == expected.startswith("GOAWAY")
    if not talk.connection.closed:
        talk.say(headers(101) + data(101, b"next"))
        assert talk.made[101].body == b"next"


@pytest.mark.parametrize(
    ("first_bytes", "expected"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", _PROTOCOL),
        (frames.PREFACE + frames.frame(frames.PING, 0, 0, bytes(8)), _PROTOCOL),
        (frames.PREFACE[:10], "fine"),
    ],
    ids=["HTTP/1.1", "PING before SETTINGS", "half a preface"],
)
def test_the_handshake(first_bytes: bytes, expected: str) -> None:
    talk = Talk()
    talk.connection = Connection(Limits(), Router({}, 16_384), talk.make, talk.now)
    assert outcome(talk.say(first_bytes)[2:]) == expected
