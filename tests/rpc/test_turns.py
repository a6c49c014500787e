"""What one turn of the loop gathers."""

import asyncio
from collections.abc import Sequence

import pytest
import rpc_raw
from rpc_raw import data, headers, message

from skerry.rpc.h2.peer import Peer
from skerry.rpc.h2.server import H2Server
from skerry.rpc.limits import Limits
from skerry.rpc.methods import Call, Kind, Method


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
    peer = Peer(server, "127.0.0.1:1", lambda: None)
    peer.connection_made(socket)
    peer.data_received(rpc_raw.SETTLED)
    await asyncio.sleep(0)
    greetings = socket.writes
    for count in arrivals:
        for _ in range(count):
            peer.data_received(headers(number, "/e/Echo") + data(number, message(b"a")))
            number += 2
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (seen, socket.writes - greetings) == (batches, len(batches))
    peer.connection_lost(None)
    await server.drain(0)
