"""Large messages and frames: read into their place, in whatever pieces they come, and refused as small ones are."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import rpc_world
from hypothesis import given, settings
from hypothesis import strategies as st
from rpc_raw import data, headers, message
from rpc_talk import Recorder, Talk, outcome

from skerry.rpc.h2 import blocks, frames
from skerry.rpc.h2.assembly import Assembly, Budget
from skerry.rpc.methods import Call, Kind, Message, Method


class _InPlace(Recorder):
    """Offers the space of an assembly, as a call does."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.assembly, self.messages = Assembly(8 << 20, Budget(64 << 20), b"identity"), list[bytes]()
        self.read_in_place = 0

    def received(self, chunk: bytes | memoryview, end: bool) -> None:
        self.messages += map(bytes, self.assembly.feed(chunk))
        self.ended = end

    def space(self) -> memoryview | None:
        return self.assembly.space

    def filled(self, size: int, end: bool) -> None:
        self.read_in_place += size
        self.messages += map(bytes, self.assembly.filled(size))
        self.ended = end


def _conversation(window: int) -> tuple[Talk, _InPlace]:
    talk = Talk(stream_window_bytes=window)
    talk.make = lambda *given: talk.made.setdefault(given[1], _InPlace(*given))  # type: ignore[method-assign]
    talk.connection._make_stream = talk.make
    talk.say(headers(1))
    talk.connection.frame_bytes = frames.LARGE_FRAME_BYTES
    return talk, talk.made[1]  # type: ignore[return-value]


def _talk(window: int) -> Talk:
    """With an open stream, where large frames were offered."""
    talk = Talk(stream_window_bytes=window)
    talk.say(headers(1))
    talk.connection.frame_bytes = frames.LARGE_FRAME_BYTES
    return talk


def _read(talk: Talk, content: bytes, reads: Iterator[int]) -> None:
    """As a socket does it: into the space where there is some."""
    at = 0
    while at < len(content):
        space, size = talk.connection.space(), next(reads)
        if space is None:
            talk.connection.receive(content[at : at + size], talk.now)
        else:
            size = min(size, len(space), len(content) - at)
            space[:size] = content[at : at + size]
            talk.connection.filled(size, talk.now)
        at += size


@settings(max_examples=60)
@given(
    sizes=st.lists(st.sampled_from([0, 1, 300, 16_384, 70_000, 300_001]), min_size=1, max_size=4),
    frame_sizes=st.lists(st.sampled_from([1, 9, 4_097, 16_384, 16_385, 65_536, 400_000]), min_size=1, max_size=5),
    seed=st.integers(0, 99),
)
def test_messages_are_the_same_in_whatever_frames_and_reads_they_come(
    sizes: list[int], frame_sizes: list[int], seed: int
) -> None:
    draw = random.Random(seed)
    sent = [draw.randbytes(size) for size in sizes]
    body, content, at, number = b"".join(map(message, sent)), b"", 0, 0
    while at < len(body):
        size = max(frame_sizes[number % len(frame_sizes)], len(body) // 50)
        part = body[at : at + size]
        at, number = at + size, number + 1
        content += data(1, part, end=at >= len(body))
    talk, stream = _conversation(window=4 << 20)
    _read(talk, content, iter(lambda: draw.choice([1_000, 9_000, 17_000, 130_000]), 0))
    assert stream.messages == sent and stream.ended and stream.remote_closed
    assert stream.receive_window == (4 << 20) - len(body) and talk.connection.flow is None
    assert outcome(talk.heard()) == "fine"


def test_a_large_frame_is_read_in_place_and_none_of_it_is_held_back() -> None:
    talk, stream = _conversation(window=4 << 20)
    content = data(1, message(bytes(3_000_000)))
    _read(talk, content, iter([100_000] * 100))
    assert len(stream.messages[0]) == 3_000_000
    assert stream.read_in_place > 2_850_000 and not talk.connection._tail


@pytest.mark.parametrize("split", [1 << 30, 20_000])
@pytest.mark.parametrize(
    ("window", "content", "expected"),
    [
        (100_000, data(1, bytes(100_001)), "RST 1 FLOW_CONTROL_ERROR"),
        (16 << 20, data(1, bytes(4 << 20), end=False) * 3, "fine"),
        (1 << 20, data(1, b"x") + data(1, bytes(50_000)), "RST 1 STREAM_CLOSED"),
        (1 << 20, data(3, bytes(50_000)), "GOAWAY PROTOCOL_ERROR"),
    ],
)
def test_what_a_large_frame_leads_to(window: int, content: bytes, expected: str, split: int) -> None:
    talk = _talk(window)
    answers = [frame for at in range(0, len(content), split) for frame in talk.say(content[at : at + split])]
    assert outcome(answers) == expected


@pytest.mark.parametrize(
    "content",
    [
        frames.frame(frames.HEADERS, 4, 3, bytes(70_000)),
        frames.frame(77, 0, 0, bytes(70_000)),
        frames.frame(0, frames.PADDED, 1, bytes(70_000)),
    ],
    ids=["HEADERS", "of an unknown kind", "padded DATA"],
)
def test_a_frame_that_must_be_held_to_be_read_may_not_be_large(content: bytes) -> None:
    talk = _talk(1 << 20)
    assert outcome(talk.say(content[: frames.HEAD_BYTES])) == "GOAWAY ENHANCE_YOUR_CALM"


def test_large_frames_are_offered_with_the_window_of_a_large_message() -> None:
    talk = Talk(stream_window_bytes=1 << 20)
    talk.say(headers(1))
    assert outcome(talk.say(data(1, bytes(16_385))[: frames.HEAD_BYTES])) == "GOAWAY FRAME_SIZE_ERROR"
    talk = Talk(stream_window_bytes=1 << 20)
    talk.say(headers(1))
    talk.connection.grant(talk.made[1], 65_536)
    assert [frame.kind for frame in talk.heard()] == [frames.WINDOW_UPDATE]
    for _ in range(2):
        talk.connection.grant(talk.made[1], 3_000_000)
    heard = talk.heard()
    assert [frame.kind for frame in heard] == [frames.SETTINGS, frames.WINDOW_UPDATE, frames.WINDOW_UPDATE]
    assert dict(frames.iter_settings(heard[0].payload)) == {frames.MAX_FRAME_SIZE: frames.LARGE_FRAME_BYTES}
    assert outcome(talk.say(data(1, bytes(100_000)))) == "fine"


def test_the_rest_of_a_frame_whose_stream_is_gone_is_passed_over() -> None:
    talk = _talk(1 << 20)
    content = data(1, bytes(200_000))
    talk.say(content[:80_000])
    talk.connection.reset(1, frames.Code.CANCEL)
    talk.heard()
    late = data(1, bytes(100_000))  # sent before the peer heard of the reset
    answers = talk.say(content[80_000:] + late[:60_000]) + talk.say(late[60_000:] + headers(3) + data(3, b"good"))
    assert outcome(answers) == "fine" and talk.made[3].body == b"good" and talk.made[3].ended


def test_an_announced_message_takes_one_block_and_no_more_while_messages_follow_one_another() -> None:
    made: list[int] = []
    pool = blocks.Blocks()
    original = blocks._mapped
    try:
        blocks._mapped = lambda size: made.append(size) or original(size)  # type: ignore[func-returns-value]
        for number in range(20):
            view = pool.take(3_000_000 + number)
            view[:5] = b"bytes"
            del view
        assert len(made) == 1
        first, second = pool.take(3_000_000), pool.take(3_000_000)
        first[0], second[0] = 1, 2
        assert len(made) == 2 and first[0] == 1, "a block in use was given again"
        part, numbers = first[7:9], np.frombuffer(second, np.uint8)  # what is left of them holds them as well
        del first, second
        pool.take(3_000_000)[7:9] = b"xx"
        assert len(made) == 3 and bytes(part) != b"xx" and numbers[0] == 2
    finally:
        blocks._mapped = original


def test_blocks_end_at_an_aligned_address_and_go_back_when_nobody_needs_them() -> None:
    pool = blocks.Blocks()
    for size in (1, 63, 70_001, 602_112, 3_981_312):
        numbers: Any = np.frombuffer(pool.take(size), np.uint8)
        assert len(numbers) == size and (numbers.ctypes.data + size) % 16 == 0
    del numbers
    assert 0 < pool.kept_bytes <= 8 << 20
    held = pool.take(500_000)
    for _ in range(3):
        pool.sweep()
    assert pool.kept_bytes == len(held.obj), "what is in use stays counted, all else is given back"


def _views(seen: list[Any]) -> Method:
    def keep(calls: Sequence[tuple[Call, Message]]) -> None:
        for call, content in calls:
            seen.append((type(content), hash(bytes(content))))
            call.reply(b"%d" % len(content))

    return Method(Kind.BATCH, keep, takes_views=True)


@pytest.mark.parametrize("secure", [False, True], ids=["clear", "tls"])
def test_messages_of_a_client_of_grpc_lie_in_one_block(
    secure: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4 MB each, of which nothing is copied on the way to the handler."""
    seen: list[Any] = []
    made: list[int] = []
    original = blocks._mapped
    monkeypatch.setattr(blocks, "_mapped", lambda size: made.append(size) or original(size))
    authority = rpc_world.Authority(tmp_path)
    with rpc_world.serving("h2", table={"/test.Echo/Views": _views(seen)}, tls=authority.tls()) as running:
        trusted = grpc.ssl_channel_credentials(authority.path.read_bytes())
        address = f"localhost:{running.tls_port if secure else running.port}"
        with grpc.secure_channel(address, trusted) if secure else grpc.insecure_channel(address) as channel:
            ask = channel.unary_unary("/test.Echo/Views")
            for number in range(6):
                content = random.Random(number).randbytes(4_000_000)
                assert ask(content, timeout=60) == b"4000000"
                assert seen[-1] == (memoryview, hash(content))
            assert ask(b"small", timeout=60) == b"5" and seen[-1][0] is bytes
    assert len(made) <= 2
