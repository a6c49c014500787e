"""Attacks on a server process: each ends as it should, memory stays flat, and a good call is served after it."""

import json
import os
import pathlib
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import grpc
import psutil
import pytest
import rpc_raw
from rpc_raw import Raw, connected, data, headers, message

from skerry.rpc.h2 import frames
from skerry.rpc.h2.frames import Code
from skerry.rpc.h2.hpack import encode

_TESTS = pathlib.Path(__file__).parents[1]
_MAX = 2**31 - 1
_LIMIT = 32 << 20  # the process's limit of a message
_FLAT_BYTES = 40 << 20
_MANY_BYTES = 30_000_000
_SLEEP, _SAME = "/test.Echo/Sleep", "/test.Echo/Same"


@dataclass
class Target:
    port: int
    process: psutil.Process

    @property
    def memory_bytes(self) -> int:
        return int(self.process.memory_info().rss)


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    paths = os.pathsep.join(str(path) for path in (_TESTS, _TESTS.parent / "services"))
    command = [sys.executable, str(_TESTS / "testservice.py"), "h2"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": paths}
    ) as started:
        assert started.stdout is not None
        port = json.loads(started.stdout.readline())["port"]
        rpc_raw.check_alive(port)
        yield Target(port, psutil.Process(started.pid))
        started.terminate()
        assert started.wait(20) == 0


@pytest.fixture(autouse=True)
def survives(target: Target) -> Iterator[None]:
    before = target.memory_bytes
    yield
    rpc_raw.check_alive(target.port)
    assert target.memory_bytes - before < _FLAT_BYTES


def _flood(target: Target, content: bytes, *, first: bytes = b"", chunk: int = 50) -> tuple[int, list[rpc_raw.Frame]]:
    """How many bytes went out before the server hung up (30 MB would be all), and what it said."""
    with connected(target.port) as raw:
        raw.send(first)
        sent = raw.push(content * chunk, _MANY_BYTES // (len(content) * chunk))
        return sent * len(content) * chunk, raw.frames_until(closed=True)


def _calmed(answers: list[rpc_raw.Frame]) -> bool:
    """The reason may be lost when the server hangs up on one who still sends."""
    codes = [frame.code for frame in answers if frame.kind == frames.GOAWAY]
    return not codes or codes == [Code.ENHANCE_YOUR_CALM]


@pytest.mark.parametrize(
    ("content", "first"),
    [
        (frames.frame(frames.PING, 0, 0, b"12345678"), b""),
        (frames.settings({frames.INITIAL_WINDOW_SIZE: 65_535}), b""),
        (frames.SETTINGS_ACK, b""),
        (frames.frame(frames.DATA, 0, 1), headers(1)),
        (frames.frame(frames.DATA, frames.PADDED, 1, b"\x03\0\0\0"), headers(1)),
        (frames.frame(frames.PRIORITY, 0, 3, b"\0\0\0\0\x10"), b""),
        (frames.window_update(0, 1), b""),
        (frames.frame(20, 0, 0), b""),
        (frames.rst_stream(1, 8), headers(1, end=True)),
    ],
    ids=[
        "PING",
        "SETTINGS",
        "acks",
        "empty DATA",
        "only padding",
        "PRIORITY",
        "tiny window updates",
        "unknown",
        "late RST",
    ],
)
def test_floods_of_frames(target: Target, content: bytes, first: bytes) -> None:
    sent, answers = _flood(target, content, first=first)
    assert sent < _MANY_BYTES // 2 and _calmed(answers)


@pytest.mark.parametrize("end", ["reset", "made to reset"])
def test_rapid_reset(target: Target, end: str) -> None:
    def burst(first: int) -> bytes:
        parts = []
        for number in range(first, first + 40, 2):
            ending = frames.rst_stream(number, 8) if end == "reset" else frames.window_update(number, 0)
            parts.append(headers(number, _SLEEP) + data(number, message(b"abc")) + ending)
        return b"".join(parts)

    with connected(target.port) as raw:
        sent = next((number for number in range(1, 60_000, 40) if not raw.push(burst(number), 1)), 60_000)
        assert sent < 60_000 and _calmed(raw.frames_until(closed=True))


@pytest.mark.parametrize("part", [b"", b"\x00\x01x\x01y" * 200], ids=["empty", "full"])
def test_continuation_flood(target: Target, part: bytes) -> None:
    begun = frames.frame(frames.HEADERS, 0, 1, encode(rpc_raw.request()))
    sent, answers = _flood(target, frames.frame(frames.CONTINUATION, 0, 1, part), first=begun, chunk=5)
    assert sent < _MANY_BYTES // 2 and _calmed(answers)


def test_header_compression_bomb(target: Target) -> None:
    entry = b"\x40" + encode([(b"x", b"v" * 3_900)])[1:]
    with connected(target.port) as raw:
        raw.send(frames.frame(frames.HEADERS, 5, 1, encode(rpc_raw.request()) + entry))
        raw.push(frames.frame(frames.HEADERS, 5, 3, encode(rpc_raw.request()) + b"\xbe" * 12_000), 1)
        assert _calmed(raw.frames_until(closed=True))


def test_more_streams_than_announced_are_refused(target: Target) -> None:
    with connected(target.port) as raw:
        opened = [headers(number, _SLEEP) + data(number, message(b"")) for number in range(1, 801, 2)]
        raw.send(b"".join(opened) + frames.frame(frames.PING, 0, 0, b"the end."))
        answers = raw.frames_until(kind=frames.PING)
    refused = [frame for frame in answers if frame.kind == frames.RST_STREAM]
    assert len(refused) == 400 - 256 and {frame.code for frame in refused} == {Code.REFUSED_STREAM}


def _unread(target: Target, raw: Raw, requests: Callable[[int], bytes], count: int) -> int:
    """Bytes that the server holds after `count` requests (or fewer, when it stops to read)."""
    before = target.memory_bytes
    raw.socket.settimeout(0.5)
    try:
        for number in range(1, 2 * count, 2):
            raw.send(requests(number))
    except OSError:
        pass
    return target.memory_bytes - before


def _large(number: int) -> bytes:
    body = message(bytes(60_000))
    parts = [body[at : at + 16_384] for at in range(0, len(body), 16_384)]
    return headers(number) + b"".join(data(number, part, end=part is parts[-1]) for part in parts)


def test_replies_that_are_never_taken_by_flow_control(target: Target) -> None:
    with connected(target.port, {frames.INITIAL_WINDOW_SIZE: 0}) as raw:
        assert _unread(target, raw, _large, 2_000) < 80 << 20


def test_replies_that_are_never_taken_from_the_socket(target: Target) -> None:
    with connected(target.port, {frames.INITIAL_WINDOW_SIZE: _MAX}) as raw:
        raw.send(frames.window_update(0, _MAX - 65_535))
        assert _unread(target, raw, _large, 4_000) < 80 << 20


def test_large_replies_beyond_what_may_wait_fail_alone(target: Target) -> None:
    with connected(target.port, {frames.INITIAL_WINDOW_SIZE: 0}) as raw:
        for number in range(1, 41, 2):
            raw.send(headers(number, "/test.Echo/ReplyOf") + data(number, message(b"%d" % (20 << 20))))
        raw.send(frames.frame(frames.PING, 0, 0, b"the end."))
        raw.frames_until(ended=39)
        statuses = [raw.fields_of(number)[b"grpc-status"] for number in range(7, 41, 2)]
        assert statuses == [b"8"] * 17, "three replies of 20 MiB may wait, the others are refused"


def test_announced_messages_that_do_not_come_are_bounded_by_a_budget(target: Target) -> None:
    before = target.memory_bytes
    with connected(target.port) as raw:
        for number in range(1, 101, 2):
            raw.send(headers(number) + data(number, b"\0" + (_LIMIT - 9).to_bytes(4, "big") + bytes(100), end=False))
        raw.frames_until(ended=99)
        refused = [frame for frame in raw.frames_until(ended=99) if frame.kind == frames.HEADERS]
        assert len(refused) == 50 - 8  # 8 x 32 MiB
        assert raw.fields_of(99)[b"grpc-status"] == b"8"
        assert target.memory_bytes - before < 20 << 20


def test_zip_bomb(target: Target) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(500)) + packer.flush()
    body = b"\1" + len(bomb).to_bytes(4, "big") + bomb
    with connected(target.port) as raw:
        raw.send(headers(1, _SAME, (b"grpc-encoding", b"gzip")))
        raw.send(data(1, body[:16_384], end=False) + data(1, body[16_384:32_768], end=False))
        for at in range(32_768, len(body), 16_384):
            raw.frames_until(kind=frames.WINDOW_UPDATE)
            raw.send(data(1, body[at : at + 16_384], end=at + 16_384 >= len(body)))
        fields = raw.fields_of(1)
    assert fields[b"grpc-status"] == b"8" and str(_LIMIT).encode() in fields[b"grpc-message"]


def test_one_byte_above_the_limit_is_refused_before_it_comes(target: Target) -> None:
    with connected(target.port) as raw:
        raw.send(headers(1) + data(1, b"\0" + (_LIMIT + 1).to_bytes(4, "big") + b"q", end=False))
        fields = raw.fields_of(1)
    expected = b"message of %d bytes exceeds the limit of %d" % (_LIMIT + 1, _LIMIT)
    assert (fields[b"grpc-status"], fields[b"grpc-message"]) == (b"8", expected)


def test_a_message_in_frames_of_one_byte(target: Target) -> None:
    body = message(bytes(20_000))
    with connected(target.port) as raw:
        raw.send(headers(1) + b"".join(data(1, body[at : at + 1], end=at + 1 == len(body)) for at in range(len(body))))
        assert raw.fields_of(1)[b"grpc-status"] == b"0"


def test_memory_of_large_messages_goes_back(target: Target) -> None:
    before = target.memory_bytes
    sizes = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{target.port}", sizes) as channel:
        for size in (20 << 20, 31 << 20, 8 << 20):
            waiting = [channel.unary_unary(_SAME).future(bytes(size), timeout=60) for _ in range(2)]
            assert [len(one.result()) for one in waiting] == [size] * 2
    pause = threading.Event()
    assert any(target.memory_bytes - before < 15 << 20 or pause.wait(0.1) for _ in range(100))


def test_many_connections_that_say_nothing(target: Target) -> None:
    before, silent = target.memory_bytes, []
    try:
        silent = [Raw(target.port, handshake=False) for _ in range(300)]
        assert target.memory_bytes - before < 300 * 16_384
    finally:
        for raw in silent:
            raw.close()
