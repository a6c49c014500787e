"""What one turn of the loop gathers, and when the loop polls instead of sleeping."""

import asyncio
from collections.abc import Sequence

import pytest
import rpc_raw
from rpc_raw import data, headers, message

from skerry.rpc.h2.peer import Peer
from skerry.rpc.h2.polling import Polling
from skerry.rpc.h2.server import H2Server
from skerry.rpc.limits import Limits
from skerry.rpc.methods import Call, Kind, Method

A, B = object(), object()


class Socket(asyncio.Transport):
    writes = 0

    def write(self, content: object) -> None:
        self.writes += 1

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("arrivals", "batches"),
    [
        pytest.param([1, 1], [1, 1], id="a call alone is answered at once"),
        pytest.param([2, 1], [3], id="several wait until the sockets were read once more"),
        pytest.param([2, 0, 1], [2, 1], id="and when that brought nothing they are answered"),
        pytest.param([2, 1, 1, 1, 1], [5, 1], id="nobody waits for ever while more come"),
        pytest.param([2, 1, 0, 2, 2], [3, 4], id="each turn anew"),
    ],
)
async def test_calls_gather_without_a_timer(arrivals: Sequence[int], batches: Sequence[int]) -> None:
    """`arrivals` are calls that come between one reading of the sockets and the next."""
    seen: list[int] = []

    def echo(calls: Sequence[tuple[Call, bytes]]) -> None:
        seen.append(len(calls))
        for call, request in calls:
            call.reply(request)

    server, socket, number = H2Server({"/e/Echo": Method(Kind.BATCH, echo)}, Limits()), Socket(), 1
    assert server.peers.admission.enter("127.0.0.1")
    peer = Peer(server.peers, "127.0.0.1:1", "127.0.0.1")
    peer.connection_made(socket)
    peer.data_received(rpc_raw.SETTLED)
    await asyncio.sleep(0)
    handshake_writes = socket.writes
    for count in arrivals:
        for _ in range(count):
            peer.data_received(headers(number, "/e/Echo") + data(number, message(b"a")))
            number += 2
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (seen, socket.writes - handshake_writes) == (batches, len(batches))
    peer.connection_lost(None)
    await server.drain(0)


@pytest.mark.parametrize(("poll_s", "looks"), [(3600.0, True), (0.0, False)], ids=["on", "off"])
async def test_the_loop_of_a_server_goes_round_while_polling_goes_on(poll_s: float, looks: bool) -> None:
    """Who is waited for so is answered as soon as its bytes are read, without another turn of the loop."""
    table = {"/e/Echo": Method(Kind.BATCH, lambda calls: [call.reply(request) for call, request in calls])}
    server, socket = H2Server(table, Limits(poll_s=poll_s)), Socket()
    assert server.peers.admission.enter("127.0.0.1")
    peer = Peer(server.peers, "127.0.0.1:1", "127.0.0.1")
    peer.connection_made(socket)
    peer.data_received(rpc_raw.SETTLED)
    for _ in range(20):
        server.turns.touch(peer)
        await asyncio.sleep(0)
    before = socket.writes
    peer.data_received(headers(1, "/e/Echo") + data(1, message(b"a")))
    assert (socket.writes == before + 1) is looks
    seen, look = list[None](), server.turns._poll
    server.turns._poll = lambda: (seen.append(None), look())  # type: ignore[method-assign]
    for _ in range(20):
        await asyncio.sleep(0)
    assert (len(seen) >= 18) is looks
    server.turns._polling = Polling(0.0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not server.turns._is_polling
    peer.connection_lost(None)
    await server.drain(0)


class Loop:
    """Turns of a server by a clock in the test's hands; `looks` counts how often the loop was kept from sleeping."""

    def __init__(self, poll_s: float = 200e-6) -> None:
        self.now, self.looks, self.polling = 10.0, 0, Polling(poll_s)

    def turn(self, after_us: float, *connections: object) -> None:
        """The next turn begins so long after the latest; a loop that polls looks every 10 µs until then."""
        begins = self.now + after_us * 1e-6
        while self.now + 10e-6 < begins and self.polling.goes_on(self.now):
            self.now += 10e-6
            self.looks += 1
        self.now = begins
        self.polling.turn_begins(set(connections), self.now)
        self.polling.turn_ended(self.now)

    def looks_after(self, turns: int, *connections: object) -> int:
        """Looks of an idle second after so many turns, 50 µs apart."""
        for _ in range(turns):
            self.turn(50, *connections)
        before = self.looks
        self.turn(1e6, *connections)
        return self.looks - before


def test_a_caller_that_comes_back_at_once_is_waited_for_awake_and_not_for_long() -> None:
    loop = Loop()
    assert loop.looks_after(20, A) in range(19, 23)  # 200 µs of them


@pytest.mark.parametrize(
    ("turns", "connections"),
    [
        pytest.param(0, [A], id="nobody has come"),
        pytest.param(5, [A], id="a few requests are no habit"),
        pytest.param(50, [A, B], id="several callers gather while the loop sleeps"),
    ],
)
def test_else_the_loop_sleeps(turns: int, connections: list[object]) -> None:
    assert Loop().looks_after(turns, *connections) == 0


def test_two_callers_in_turn_are_several() -> None:
    loop = Loop()
    for _ in range(50):
        loop.turn(50, A)
        loop.turn(50, B)
    assert loop.looks == 0


def test_zero_turns_polling_off() -> None:
    assert Loop(poll_s=0.0).looks_after(50, A) == 0


def test_late_requests_end_it_and_an_idle_process_never_polls() -> None:
    loop = Loop()
    loop.looks_after(20, A)
    for _ in range(3):
        loop.turn(1e6, A)
    before = loop.looks
    for _ in range(100):
        loop.turn(1e6, A)
    assert loop.looks == before


def test_one_late_request_in_ten_does_not_end_it() -> None:
    loop = Loop()
    for number in range(100):
        loop.turn(1e3 if number % 10 == 9 else 50, A)
    assert loop.looks_after(5, A) > 0


def test_one_late_request_in_four_does() -> None:
    loop = Loop()
    for number in range(400):
        loop.turn(1e3 if number % 4 == 3 else 50, A)
    assert loop.looks == 0
