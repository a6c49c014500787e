"""The channel to the gateway is given up for a new one, as a renewed certificate wants it: nobody stops for that."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import agent_fakes
import grpc
import pytest

from skerry.agent import main
from skerry.agent.sync import gateway_client, stream
from skerry.agent.sync.gateway_client import GatewayClient
from skerry.core import errors
from skerry.proto import fleet_pb2


@pytest.fixture
async def address(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A gateway that takes streams and uploads, and never says anything."""
    monkeypatch.setattr(gateway_client, "_GRACE_S", 0.05)

    async def silent(*_: object) -> None:
        await asyncio.sleep(3600)

    handlers = {
        "Sync": grpc.stream_stream_rpc_method_handler(silent),
        "Upload": grpc.unary_unary_rpc_method_handler(silent),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("skerry.fleet.v1.Fleet", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def _receive(link: GatewayClient) -> None:
    async with link.stream() as stream:
        await stream.send(fleet_pb2.NodeReport(node="edge-1"))
        await stream.receive()


async def _upload(link: GatewayClient) -> None:
    await link.upload(fleet_pb2.UploadRequest(node="edge-1"))


@pytest.mark.parametrize("work", [_receive, _upload], ids=["stream", "upload"])
async def test_what_runs_on_a_channel_that_is_given_up_fails_and_is_not_taken_for_cancelled(work, address: str) -> None:
    link = GatewayClient(address)
    running = asyncio.ensure_future(work(link))
    await asyncio.sleep(0.2)
    link.renewed()
    with pytest.raises(errors.UnavailableError, match="given up for a new one"):
        await asyncio.wait_for(running, 10)
    await link.close()


async def test_a_name_that_another_process_holds_is_a_conflict_whatever_was_being_sent() -> None:
    async def refuse(reports: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:  # type: ignore[type-arg]
        async for _ in reports:
            await context.abort(grpc.StatusCode.ALREADY_EXISTS, "another agent holds the name edge-1")
        yield b""

    server = grpc.aio.server()
    handlers = {"Sync": grpc.stream_stream_rpc_method_handler(refuse)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("skerry.fleet.v1.Fleet", handlers),))
    link = GatewayClient(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    await server.start()
    loop = stream.SyncLoop(
        link.stream,
        lambda now_s: fleet_pb2.NodeReport(node="edge-1"),
        lambda desired: asyncio.sleep(0),
        asyncio.Event(),
        lambda: 0.0,
        beat_s=0.001,  # many reports are on their way while the stream ends
    )
    async with agent_fakes.running(loop.run()):
        await agent_fakes.until(lambda: loop.has_name_conflict)
    await link.close()
    await server.stop(None)


@pytest.mark.parametrize("work", [_receive, _upload], ids=["stream", "upload"])
async def test_who_is_told_to_end_ends(work, address: str) -> None:
    link = GatewayClient(address)
    running = asyncio.ensure_future(work(link))
    await asyncio.sleep(0.2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 10)
    await link.close()


async def test_a_loop_of_the_agent_that_ends_by_itself_ends_the_agent() -> None:
    async def ends() -> None:
        pass

    async def hears_of_a_cancellation() -> None:
        raise asyncio.CancelledError

    for loop in (ends, hears_of_a_cancellation):
        with pytest.raises(RuntimeError, match="the agent's sync has ended"):
            await main._run_forever("sync", loop)

    async def waits() -> None:
        await asyncio.Event().wait()

    asked = asyncio.ensure_future(main._run_forever("sync", waits))
    await asyncio.sleep(0)
    asked.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asked
    assert asked.cancelled()
