"""What a request that HTTP/2 allows and gRPC does not gets: the exact HTTP or gRPC status, and a good call after it."""

import gzip
from collections.abc import Iterator

import pytest
import rpc_raw
import rpc_world
from rpc_raw import connected, data, headers, message

from skerry.rpc.h2 import frames
from skerry.rpc.h2.frames import Code

_LIMIT = 100_000


@pytest.fixture(scope="module")
def running() -> Iterator[rpc_world.Running]:
    with rpc_world.serving("h2", max_message_bytes=_LIMIT) as made:
        yield made


def _plain(method: str, kind: str | None = None) -> bytes:
    fields = [(name, value) for name, value in rpc_raw.request() if name != b"content-type"]
    fields[0] = (b":method", method.encode())
    return rpc_raw.block(1, [*fields, *([(b"content-type", kind.encode())] if kind else [])], end=True)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (_plain("GET"), b"405"),
        (_plain("HEAD"), b"405"),
        (_plain("PUT", "application/grpc"), b"405"),
        (rpc_raw.block(1, [(b":method", b"CONNECT"), (b":authority", b"x:1")], end=True), b"405"),
        (_plain("POST"), b"415"),
        (_plain("POST", "application/json"), b"415"),
        (_plain("POST", "application/grpc-web"), b"415"),
        (_plain("POST", "application/grpc+json"), b"415"),
    ],
    ids=["GET", "HEAD", "PUT", "CONNECT", "POST of nothing", "POST of JSON", "grpc-web", "grpc+json"],
)
def test_what_is_no_grpc_call_gets_an_http_answer(running: rpc_world.Running, content: bytes, status: bytes) -> None:
    with connected(running.port) as raw:
        raw.send(content)
        fields = raw.fields_of(1)
        assert fields[b":status"] == status and b"grpc-status" not in fields
        assert (b"allow" in fields) == (status == b"405")
        raw.send(headers(3) + data(3, message(b"next")))
        assert raw.fields_of(3)[b"grpc-status"] == b"0"


_SAME = "/test.Echo/Same"
_EXPIRED = headers(1, "/test.Echo/Never", (b"grpc-timeout", b"0n"))
_GZIP = (b"grpc-encoding", b"gzip")
_PACKED = gzip.compress(b"a" * 50)


def _flagged(flag: int, content: bytes) -> bytes:
    return bytes((flag,)) + len(content).to_bytes(4, "big") + content


_BURSTS = _flagged(1, gzip.compress(bytes(_LIMIT + 1)))

_CALLS = [
    ("an unknown method", headers(1, "/test.Echo/Nope") + data(1, message(b"")), 12, "unknown method /test.Echo/Nope"),
    ("an unknown encoding", headers(1, _SAME, (b"grpc-encoding", b"br")), 12, "br"),
    ("a timeout without a unit", headers(1, _SAME, (b"grpc-timeout", b"100")), 13, "grpc-timeout"),
    ("a timeout of nine digits", headers(1, _SAME, (b"grpc-timeout", b"123456789S")), 13, "grpc-timeout"),
    ("a negative timeout", headers(1, _SAME, (b"grpc-timeout", b"-1S")), 13, "grpc-timeout"),
    ("metadata that is not base64", headers(1, _SAME, (b"x-bin", b"!!!")), 13, "base64"),
    ("no message at all", headers(1, end=True), 13, "no message"),
    ("an empty body", headers(1) + data(1, b""), 13, "no message"),
    ("an end inside the prefix", headers(1) + data(1, b"\0\0"), 13, "ends inside a message"),
    ("an end inside the message", headers(1) + data(1, message(b"abcdef")[:-1]), 13, "ends inside a message"),
    ("two messages to a unary method", headers(1) + data(1, message(b"a") * 2), 13, "more than one message"),
    ("a compressed flag, no encoding", headers(1) + data(1, _flagged(1, _PACKED)), 13, "compressed"),
    ("a flag of 2", headers(1, _SAME, _GZIP) + data(1, _flagged(2, _PACKED)), 13, "compressed"),
    ("damaged gzip", headers(1, _SAME, _GZIP) + data(1, _flagged(1, b"no gzip")), 13, "damaged"),
    ("gzip cut short", headers(1, _SAME, _GZIP) + data(1, _flagged(1, _PACKED[:-1])), 13, "damaged"),
    ("gzip with more after it", headers(1, _SAME, _GZIP) + data(1, _flagged(1, 2 * _PACKED)), 13, "damaged"),
    ("gzip that grows above the limit", headers(1, _SAME, _GZIP) + data(1, _BURSTS), 8, "100000"),
    ("one byte above the limit", headers(1) + data(1, b"\0" + (_LIMIT + 1).to_bytes(4, "big"), end=False), 8, "100000"),
    ("too much metadata", headers(1, _SAME, *[(b"x-a", b"v" * 5_400)] * 3), 8, "16384"),
    ("a deadline that has passed", _EXPIRED + data(1, message(b"")), 4, "deadline"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "status", "text"), [row[1:] for row in _CALLS], ids=[row[0] for row in _CALLS])
def test_the_status_of_a_malformed_call(running: rpc_world.Running, content: bytes, status: int, text: str) -> None:
    running.seen.calls.clear()
    with connected(running.port) as raw:
        raw.send(content)
        fields = raw.fields_of(1)
        assert (fields[b":status"], fields[b"grpc-status"]) == (b"200", b"%d" % status)
        assert text in fields[b"grpc-message"].decode()
        assert not running.seen.calls, "no handler ran"
        raw.send(headers(3) + data(3, message(b"next")))
        assert raw.fields_of(3)[b"grpc-status"] == b"0"
    assert running.server.turns.budget.taken_bytes == 0


def test_a_reset_while_the_handler_runs_cancels_it(running: rpc_world.Running) -> None:
    running.seen.cancelled.clear()
    with connected(running.port) as raw:
        raw.send(headers(1, "/test.Echo/Sleep") + data(1, message(b"")) + frames.frame(frames.PING, 0, 0, bytes(8)))
        raw.frames_until(kind=frames.PING)
        raw.send(frames.rst_stream(1, Code.CANCEL) + headers(3) + data(3, message(b"next")))
        assert raw.fields_of(3)[b"grpc-status"] == b"0"
    assert running.seen.cancelled == ["/test.Echo/Sleep"]
