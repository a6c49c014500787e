"""A Unix domain socket: programs beside the agent ask there, an update hands the path on, its end removes it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import agent_fakes
import agent_process
import grpc
import pytest
from agent_process import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with agent_process.world(tmp_path) as made:
        yield made


async def live(path: Path) -> bool:
    async with grpc.aio.insecure_channel(f"unix://{path}") as channel:
        reply = await channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"", timeout=10)
        return bool(reply == b"\x08\x01")


async def test_an_agent_answers_at_its_socket_and_leaves_none_behind(world: World, tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    users = f"{os.getuid()},4321"
    ready = await world.start(SKERRY_UNIX_LISTEN=f"unix://{path}", SKERRY_UNIX_USERS=users)
    assert ready["unix"] == f"unix://{path}"
    assert await live(path)
    await world.stop(signal.SIGKILL)
    assert path.exists()
    await world.start(SKERRY_UNIX_LISTEN=f"unix://{path}")  # in the place of what a dead one left
    assert await live(path)
    await world.stop()
    await agent_fakes.until(lambda: not path.exists())


async def test_the_folder_of_the_socket_must_be_there(world: World, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"."):
        async with asyncio.timeout(20):
            await world.start(SKERRY_UNIX_LISTEN=f"unix://{tmp_path}/none/agent.sock")
