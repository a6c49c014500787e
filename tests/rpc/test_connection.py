"""One connection without a socket: flow control both ways, credit, memory of header blocks, draining, time."""

import pytest
import rpc_raw
from rpc_raw import data, headers, message
from rpc_talk import Talk, outcome

from skerry.rpc.h2 import frames
from skerry.rpc.h2.connection import Connection
from skerry.rpc.h2.hpack import encode
from skerry.rpc.h2.routing import Router
from skerry.rpc.limits import Limits

_MAX = 2**31 - 1
_REQUEST = rpc_raw.request()


def _frame(kind: int, stream_id: int, payload: bytes = b"", flags: int = 0) -> bytes:
    return frames.frame(kind, flags, stream_id, payload)


def test_an_oversized_header_list_ends_the_connection_only_when_it_bursts_the_decoder() -> None:
    talk = Talk()
    talk.say(headers(1))
    big = encode([*_REQUEST, (b"x-big", b"v" * 17_000)])
    assert outcome(talk.say(_frame(1, 3, big[:9_000]) + _frame(9, 3, big[9_000:], 4))) == "fine"
    assert talk.made[3].head.error.status.name == "RESOURCE_EXHAUSTED"
    huge = encode([*_REQUEST, *([(b"x-big", b"v" * 7_000)] * 10)])
    parts = [huge[at : at + 16_000] for at in range(0, len(huge), 16_000)]
    content = _frame(1, 5, parts[0]) + b"".join(_frame(9, 5, part) for part in parts[1:])
    assert outcome(talk.say(content)) == "GOAWAY ENHANCE_YOUR_CALM"


def test_replies_wait_for_both_windows_and_streams_take_turns() -> None:
    talk = Talk({frames.INITIAL_WINDOW_SIZE: 10})
    talk.say(headers(1, end=True) + headers(3, end=True))
    for stream in talk.made.values():
        talk.connection.send_reply(stream, b"\x88", b"0123456789abcdefghij", b"\x88")
    first = [(frame.stream_id, frame.payload) for frame in talk.heard() if frame.kind == frames.DATA]
    assert first == [(1, b"0123456789"), (3, b"0123456789")]
    assert talk.connection.unsent_bytes == 20
    more = talk.say(frames.window_update(1, 4) + frames.window_update(3, 100))
    assert [(frame.kind, frame.stream_id, frame.payload) for frame in more if frame.stream_id] == [
        (frames.DATA, 1, b"abcd"),
        (frames.DATA, 3, b"abcdefghij"),
        (frames.HEADERS, 3, b"\x88"),
    ]
    assert list(talk.connection.streams) == [1] and talk.connection.unsent_bytes == 6
    talk.say(frames.settings({frames.INITIAL_WINDOW_SIZE: 0}))  # a stream's window may become negative
    assert talk.made[1].send_window == -10
    assert not [frame for frame in talk.say(frames.window_update(1, 10)) if frame.kind == frames.DATA]
    assert [frame.payload for frame in talk.say(frames.window_update(1, 6))] == [b"efghij", b"\x88"]
    assert not talk.connection.streams and not talk.connection.unsent_bytes


def test_the_connection_window_is_shared_fairly() -> None:
    talk = Talk({frames.INITIAL_WINDOW_SIZE: _MAX})
    talk.say(b"".join(headers(number, end=True) for number in (1, 3, 5)))
    for number, size in ((1, 65_535), (3, 40_000), (5, 40_000)):  # the first takes the whole window
        talk.connection.send_data(talk.made[number], bytes(size))
    assert {frame.stream_id for frame in talk.heard() if frame.kind == frames.DATA} == {1}
    more = talk.say(frames.window_update(0, 4 * 16_384))
    assert [frame.stream_id for frame in more] == [3, 5, 3, 5]


def test_a_larger_frame_size_of_the_peer_is_used() -> None:
    talk = Talk({frames.MAX_FRAME_SIZE: 60_000, frames.INITIAL_WINDOW_SIZE: 60_000})
    talk.say(headers(1, end=True))
    talk.connection.send_data(talk.made[1], bytes(60_000))
    assert [len(frame.payload) for frame in talk.heard()] == [60_000]


def test_the_peer_gets_its_window_back_in_large_steps() -> None:
    talk = Talk(stream_window_bytes=1 << 20, connection_window_bytes=1 << 20)
    talk.say(headers(1))
    answers = [frame for _ in range(60) for frame in talk.say(data(1, bytes(16_384), end=False))]
    granted = [frame for frame in answers if frame.kind == frames.WINDOW_UPDATE]
    assert len(granted) == 1 and granted[0].stream_id == 0


def test_a_lowered_header_table_is_acknowledged_with_the_next_block() -> None:
    talk = Talk({frames.HEADER_TABLE_SIZE: 100})
    talk.say(headers(1, end=True) + headers(3, end=True))
    for stream in list(talk.made.values()):
        talk.connection.send_reply(stream, b"\x88", b"", b"\x88")
    assert [frame.payload for frame in talk.heard() if frame.kind == frames.HEADERS] == [
        b"\x20\x88",
        b"\x88",
        b"\x88",
        b"\x88",
    ]


def test_blocks_are_remembered_only_while_the_table_stands_still() -> None:
    talk = Talk()
    same = encode(_REQUEST)
    with_index = encode(_REQUEST) + b"\x40" + encode([(b"x-a", b"1")])[1:]
    by_index = encode(_REQUEST) + b"\xbe"
    for stream_id, block in ((1, same), (3, same), (5, with_index), (7, by_index), (9, by_index)):
        talk.say(_frame(1, stream_id, block, 5))
    assert talk.made[1].head is talk.made[3].head and talk.made[7].head is talk.made[9].head
    talk.say(_frame(1, 11, b"\x20" + same, 5))  # the table is emptied
    assert outcome(talk.say(_frame(1, 13, by_index, 5))) == "GOAWAY COMPRESSION_ERROR"


@pytest.mark.parametrize(
    ("content", "allowed"),
    [
        (frames.frame(frames.PING, 0, 0, bytes(8)), 1_000),
        (frames.settings({}), 999),  # one was spent on the handshake
        (frames.SETTINGS_ACK, 1_000),
        (frames.frame(77, 0, 0, b""), 1_000),
        (frames.window_update(0, 1), 1_000),
        (frames.frame(frames.PRIORITY, 0, 3, bytes(5)), 1_000),
    ],
    ids=["PING", "SETTINGS", "acknowledgments", "unknown frames", "tiny window updates", "PRIORITY"],
)
def test_floods_use_up_the_credit(content: bytes, allowed: int) -> None:
    talk = Talk()
    for number in range(1_100):  # noqa: B007
        answers = talk.say(content)
        if talk.connection.closed:
            break
    assert outcome(answers) == "GOAWAY ENHANCE_YOUR_CALM"
    assert allowed - 1 <= number <= allowed


def test_time_and_frames_that_we_send_earn_credit() -> None:
    talk = Talk({frames.INITIAL_WINDOW_SIZE: _MAX}, credit=10, credit_per_s=5, credit_per_sent_frame=4)
    ping = frames.frame(frames.PING, 0, 0, bytes(8))
    for number in range(1, 400, 2):  # grpc-core: a window update or two and a PING for each reply
        talk.say(headers(number, end=True))
        talk.connection.send_reply(talk.made[number], b"\x88", b"reply", b"\x88")
        talk.say(ping + frames.window_update(0, 5) + ping)
    assert not talk.connection.closed
    talk.say(ping * 9)
    talk.now += 2
    talk.say(ping * 10)
    assert not talk.connection.closed
    assert outcome(talk.say(ping * 13)) == "GOAWAY ENHANCE_YOUR_CALM"


def test_tiny_window_updates_earn_nothing() -> None:
    talk = Talk({frames.INITIAL_WINDOW_SIZE: 0})
    talk.say(headers(1, end=True))
    talk.connection.send_data(talk.made[1], bytes(100_000))
    sent = 0
    while not talk.connection.closed and sent < 2_000:
        sent += sum(frame.kind == frames.DATA for frame in talk.say(frames.window_update(1, 1)))
    assert talk.connection.closed and sent <= 1_000


@pytest.mark.parametrize("with_reset", [True, False], ids=["rapid reset", "made you reset"])
def test_resets_by_either_side_use_up_the_credit(with_reset: bool) -> None:
    talk = Talk()
    for number in range(1, 4_000, 2):
        talk.say(headers(number) + (frames.rst_stream(number, 8) if with_reset else frames.window_update(number, 0)))
        if talk.connection.closed:
            break
    assert number <= 2_002 and not talk.connection.streams
    assert all(stream.abort_code >= 0 for stream in talk.made.values())


def test_more_streams_than_allowed_are_refused_so_that_clients_retry() -> None:
    talk = Talk(max_streams=2)
    assert outcome(talk.say(headers(1) + headers(3) + headers(5))) == "RST 5 REFUSED_STREAM"
    talk.say(frames.rst_stream(1, 8) + headers(7))
    assert sorted(talk.connection.streams) == [3, 7]


def test_draining_takes_two_steps_and_serves_what_was_under_way() -> None:
    talk = Talk()
    talk.say(headers(1))
    talk.connection.drain()
    first, ping = talk.heard()
    assert (first.kind, first.payload[:8]) == (frames.GOAWAY, _MAX.to_bytes(4, "big") + bytes(4))
    assert outcome(talk.say(headers(3))) == "fine"  # it was sent before our GOAWAY arrived
    (last,) = talk.say(frames.frame(frames.PING, frames.ACK, 0, ping.payload))
    assert last.payload[:8] == (3).to_bytes(4, "big") + bytes(4)
    assert outcome(talk.say(headers(5))) == "RST 5 REFUSED_STREAM"
    assert sorted(talk.connection.streams) == [1, 3] and not talk.connection.closed


def test_what_waits_too_long_is_ended() -> None:
    silent = Connection(Limits(handshake_s=5), Router({}, 100), Talk().make, 0.0)
    silent.sweep(4.9)
    assert not silent.closed
    silent.sweep(5.1)
    assert silent.closed
    half = Talk(handshake_s=5)
    half.say(_frame(1, 1, encode(_REQUEST)))
    half.connection.sweep(half.now + 5.1)
    assert half.connection.fault == "the handshake or a header block is unfinished"


def test_a_peer_that_takes_bytes_too_slowly_is_ended_and_a_slow_one_is_not() -> None:
    for increment, survives in ((2_048, True), (16, False)):
        talk = Talk({frames.INITIAL_WINDOW_SIZE: 0}, stalled_s=10, slowest_bytes_per_s=1_024, credit=10**9)
        talk.say(headers(1, end=True))
        talk.connection.send_data(talk.made[1], bytes(1 << 20))
        for _ in range(30):
            talk.now += 1
            talk.say(frames.window_update(1, increment))
            talk.connection.sweep(talk.now)
        assert talk.connection.closed is not survives, increment


def test_a_request_that_goes_on_after_its_reply_is_stopped_without_an_error() -> None:
    talk = Talk()
    talk.say(headers(1) + data(1, message(b"x"), end=False))
    talk.connection.send_reply(talk.made[1], b"\x88", b"reply", b"\x88")
    assert outcome(talk.heard()) == "RST 1 NO_ERROR"
    assert outcome(talk.say(data(1, bytes(1_000), end=False))) == "fine"  # it could not know
