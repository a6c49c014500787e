"""One caller against a whole agent: its node goes on for everybody else."""

import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import agent_fakes
import agent_process
import pytest
import rpc_raw
from agent_cascade import SURE
from agent_process import World

from skerry.adapters import descriptors

_FEW_DESCRIPTORS = """
import resource, runpy
resource.setrlimit(resource.RLIMIT_NOFILE, (512, 1024))
runpy.run_module("skerry.agent.main", run_name="__main__")
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with agent_process.world(tmp_path) as made:
        yield made


@contextlib.contextmanager
def held_open(port: int, count: int, said: bytes) -> Iterator[None]:
    """So many connections on which nothing but `said` ever comes."""
    assert descriptors.raise_limit() > count + 100
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            held = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
            with contextlib.suppress(ConnectionError):
                held.sendall(said)
        yield


def handshake() -> bytes:
    return rpc_raw.frames.PREFACE + rpc_raw.frames.settings({})


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="silent", marks=pytest.mark.long),
        pytest.param(b"PRI * HT", id="half a preface", marks=pytest.mark.long),
        pytest.param(handshake(), id="idle"),
    ],
)
async def test_a_thousand_connections_cost_the_node_nothing(world: World, said: bytes) -> None:
    world.program = ("-c", _FEW_DESCRIPTORS)
    ready = await world.start()
    ports = [int(str(ready[name]).rpartition(":")[2]) for name in ("address", "http")]
    with held_open(ports[0], 1_000, said), held_open(ports[1], 100, b"GET /hea"):
        slot = world.publish(world.make(1))  # it can still fetch in a child, and write
        world.gateway.assign(slot)
        await agent_fakes.until(lambda: world.gateway.state_of("digits") == "SERVING", timeout_s=60)
        with contextlib.closing(socket.create_connection(("127.0.0.1", ports[1]), 10)) as probe:
            probe.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
            assert probe.recv(100).startswith(b"HTTP/1.1 200")
        if said != handshake():  # whole connections have the places of their own address, and of no other
            assert (await world.ask(SURE)).version == "1"
    assert (await world.ask(SURE)).version == "1"
    assert world.process is not None and world.process.poll() is None
    assert await world.stop() == 0
