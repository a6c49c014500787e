"""A gateway that is slow to let a node in, and a link that was cut: the node gets in, and soon."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import agent_fakes
import grpc
import pytest

from skerry.agent.sync.gateway_client import GatewayClient
from skerry.agent.sync.stream import SyncLoop
from skerry.proto import fleet_pb2

_SLOW_S = 1.5  # what thousands of handshakes before it take; more than five times the pause between attempts


class Line:
    """A line to a gateway. `hold_s`: how long a connection that was accepted lies before anything is passed on, as with
    a gateway that is busy; `cut`: what is sent is lost, of old and new connections. `tries`: connections so far."""

    def __init__(self, port: int) -> None:
        self.hold_s, self.cut, self.tries = 0.0, False, 0
        self._port, self._open = port, set[asyncio.StreamWriter]()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tries += 1
        if self.cut:
            await self._swallow(reader)
            writer.close()
            return
        await asyncio.sleep(self.hold_s)
        from_gateway, to_gateway = await asyncio.open_connection("127.0.0.1", self._port)
        self._open |= {writer, to_gateway}
        await asyncio.gather(self._pass(reader, to_gateway), self._pass(from_gateway, writer))

    def reset(self) -> None:
        for writer in self._open:
            writer.close()
        self._open.clear()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def _swallow(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(65536):
                pass


@contextlib.asynccontextmanager
async def _line() -> AsyncIterator[tuple[Line, str]]:
    """To a gateway that answers every stream with a desired state."""

    async def answers(reports: AsyncIterator[bytes], _: object) -> AsyncIterator[bytes]:
        yield fleet_pb2.DesiredState(revision=1).SerializeToString()
        async for _report in reports:
            pass

    server = grpc.aio.server()
    handlers = {"Sync": grpc.stream_stream_rpc_method_handler(answers)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("skerry.fleet.v1.Fleet", handlers),))
    line = Line(server.add_insecure_port("127.0.0.1:0"))
    await server.start()
    listening = await asyncio.start_server(line.take, "127.0.0.1", 0)
    yield line, f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    listening.close()
    line.reset()
    await server.stop(None)


def _loop(link: GatewayClient, cap_s: float = 10.0) -> SyncLoop:
    return SyncLoop(
        link.stream,
        lambda now_s: fleet_pb2.NodeReport(node="edge-1"),
        lambda desired: asyncio.sleep(0),
        asyncio.Event(),
        lambda: 0.5,
        beat_s=0.1,
        cap_s=cap_s,
    )


async def test_a_gateway_that_is_slow_to_accept_lets_the_node_in_at_the_first_attempt() -> None:
    async with _line() as (line, address):
        line.hold_s = _SLOW_S
        link = GatewayClient(address)
        loop = _loop(link)
        async with agent_fakes.running(loop.run()):
            await agent_fakes.until(lambda: loop.is_connected)
        assert line.tries == 1
        await link.close()


async def test_a_node_is_back_with_the_first_attempt_after_a_link_that_was_cut_is_healed() -> None:
    async with _line() as (line, address):
        link = GatewayClient(address, connect_s=0.6)
        loop = _loop(link)
        async with agent_fakes.running(loop.run()):
            await agent_fakes.until(lambda: loop.is_connected)
            line.cut = True
            line.reset()
            await agent_fakes.until(lambda: line.tries >= 4)
            line.cut, tries = False, line.tries
            await agent_fakes.until(lambda: loop.is_connected)
            assert line.tries <= tries + 1
        await link.close()


async def test_what_a_failed_attempt_took_counts_as_the_pause() -> None:
    loop = _loop(GatewayClient("127.0.0.1:1"))
    loop._failures = 10
    assert loop._pause_s(0.0) == 7.5
    assert loop._pause_s(5.0) == 2.5
    assert loop._pause_s(60.0) == pytest.approx(0.15), (
        "the shortest pause stays, so that a gateway is not asked without end"
    )
