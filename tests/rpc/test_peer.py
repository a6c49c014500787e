"""One socket's life by a clock in the hands of the test: full sockets, silence, hanging up."""

from typing import Any

import pytest
import rpc_raw
from rpc_raw import data, headers, message

from skerry.rpc.h2 import frames
from skerry.rpc.h2.peer import Peer
from skerry.rpc.h2.server import H2Server
from skerry.rpc.limits import Limits
from skerry.rpc.methods import Kind, Method


class Socket:
    """A transport whose buffer the test fills and drains."""

    def __init__(self) -> None:
        self.written, self.buffered_bytes, self.is_reading = b"", 0, True
        self.is_open, self.was_aborted = True, False

    def get_extra_info(self, _name: str) -> None:
        return None

    def write(self, content: bytes) -> None:
        self.written += content
        self.buffered_bytes += len(content)

    def get_write_buffer_size(self) -> int:
        return self.buffered_bytes

    def is_closing(self) -> bool:
        return not self.is_open

    def close(self) -> None:
        self.is_open = False

    def abort(self) -> None:
        self.is_open, self.was_aborted = False, True

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True


class World:
    def __init__(self, **limits: Any) -> None:
        self.now = 1_000.0
        table = {"/e/Echo": Method(Kind.BATCH, lambda calls: [call.reply(request) for call, request in calls])}
        self.server = H2Server(table, Limits(**limits))
        self.server.turns.time = lambda: self.now
        assert self.server.peers.admission.enter("127.0.0.1")
        self.peer, self.socket = Peer(self.server.peers, "127.0.0.1:1", "127.0.0.1"), Socket()
        self.peer.connection_made(self.socket)  # type: ignore[arg-type]
        self.peer.data_received(rpc_raw.SETTLED)
        self.peer.flush()

    def pass_seconds(self, count: int, *, taken_bytes: int = 0) -> None:
        for _ in range(count):
            self.now += 1
            self.socket.buffered_bytes = max(0, self.socket.buffered_bytes - taken_bytes)
            if self.socket.is_open:
                self.peer.sweep(self.now)
                self.peer.flush()


@pytest.mark.parametrize(("taken_bytes", "survives"), [(0, False), (100, False), (2_000, True)])
async def test_a_full_socket_is_given_up_only_when_the_peer_takes_next_to_nothing(
    taken_bytes: int, survives: bool
) -> None:
    world = World(stalled_s=10, slowest_bytes_per_s=1_024, keepalive_s=5, keepalive_timeout_s=5)
    world.socket.buffered_bytes = 1 << 20
    world.peer.pause_writing()
    assert not world.socket.is_reading
    world.pass_seconds(200, taken_bytes=taken_bytes)
    assert world.socket.was_aborted is not survives
    if survives:
        world.peer.resume_writing()
        world.pass_seconds(4)
        assert world.socket.is_reading and world.socket.is_open, "silence while we did not listen is no silence"


async def test_silence_is_asked_and_then_hung_up_on() -> None:
    world = World(keepalive_s=60, keepalive_timeout_s=20)
    world.pass_seconds(60)
    assert not _pings(world)
    world.pass_seconds(2)
    assert _pings(world) == [b"skerry-k"]
    world.peer.data_received(frames.frame(frames.PING, frames.ACK, 0, b"skerry-k"))
    world.pass_seconds(61)
    assert len(_pings(world)) == 2 and world.socket.is_open
    world.pass_seconds(21)
    assert world.socket.was_aborted


async def test_a_peer_that_never_takes_our_goaway_is_cut_off() -> None:
    world = World(handshake_s=10)
    world.peer.data_received(frames.frame(frames.DATA, 0, 0, b"nonsense"))
    world.peer.flush()
    assert not world.socket.is_open and not world.socket.was_aborted
    world.socket.is_open = True  # the transport still has bytes to send
    world.pass_seconds(11)
    assert world.socket.was_aborted


async def test_a_drained_connection_closes_with_its_last_reply() -> None:
    world = World()
    world.peer.data_received(headers(1, "/e/Echo"))
    world.peer.drain()
    world.peer.data_received(frames.frame(frames.PING, frames.ACK, 0, b"drain..."))
    world.peer.flush()
    assert world.socket.is_open
    world.peer.data_received(data(1, message(b"last")))
    world.server.turns._turn()
    assert message(b"last") in world.socket.written and not world.socket.is_open
    world.peer.connection_lost(None)
    assert world.server.peers.admission.connections == 0 and world.server.peers.open_calls == 0


def _pings(world: World) -> list[bytes]:
    return [frame.payload for frame in rpc_raw.parse(world.socket.written) if frame.kind == frames.PING]
