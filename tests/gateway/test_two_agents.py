"""Two agents of one name at a real gateway, in clear and with one key and certificate: the name changes hands once, and
what is written does not grow with how often the other one comes."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import gateway_tls
import pytest
import selection
import valkey

from skerry.adapters.objects import Objects
from skerry.agent.sync import gateway_client, stream
from skerry.core import errors
from skerry.proto import fleet_pb2

MAX_WRITES = 6  # of both agents together: two takings of the name, a goodbye, the conflict, and one lagging word each


class Agent:
    """The agent's own loop and connection, in a hurry. `attempts` counts its streams."""

    def __init__(self, address: str, node: str, boot: str, identity: Any = None) -> None:
        self.attempts, self._numbers = 0, itertools.count(1)
        self._client = gateway_client.GatewayClient(address, identity)
        self._node, self._boot = node, boot
        self.loop = stream.SyncLoop(
            self._connect,
            self._report,
            self._apply,
            asyncio.Event(),
            lambda: 0.5,
            beat_s=0.02,
            base_s=0.01,
            cap_s=0.05,
            conflict_base_s=0.01,
            conflict_cap_s=0.05,
        )

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[Any]:
        self.attempts += 1
        async with self._client.stream() as opened:
            yield opened

    def _report(self, _: float) -> fleet_pb2.NodeReport:
        return fleet_pb2.NodeReport(node=self._node, boot_id=self._boot, sequence=next(self._numbers))

    async def _apply(self, _: fleet_pb2.DesiredState) -> None:
        pass

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Agent"]:
        task = asyncio.create_task(self.loop.run())
        try:
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, errors.SkerryError):
                await task
            await self._client.close()


async def until(condition: Any, what: str) -> None:
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(what)


async def one_holds_the_name(store: Objects, node: str, first: Agent, second: Agent) -> None:
    async with first.running():
        await until(lambda: first.loop.is_connected, "the first never connected")
        begun = revision(store)
        async with second.running():
            await until(lambda: first.attempts >= 40, "the first did not come again and again")
            assert second.attempts == 1, "the holder keeps its one stream"
            assert revision(store) - begun <= MAX_WRITES
            found = store.get("EdgeNode", node)
            assert found.status["bootId"] == "second"
            (condition,) = found.status["conditions"]
            assert (condition["type"], condition["status"], condition["reason"]) == (
                "NameConflict",
                "True",
                "TwoAgents",
            )
        await until(lambda: first.loop.is_connected, "the name is free and the other one does not get it")


def revision(store: Objects) -> int:
    return store.changes(0, timeout_s=0)[1]


@pytest.fixture
def redis_url() -> Iterator[str]:
    server = valkey.Valkey()
    yield server.url
    server.close()


@pytest.mark.parametrize("transport", selection.TRANSPORTS)
async def test_of_two_agents_of_one_name_one_holds_it_and_little_is_written(
    tmp_path: Path, redis_url: str, transport: str
) -> None:
    gateway = gateway_tls.Gateway(tmp_path, redis_url, transport)
    gateway.start_in_clear(SKERRY_MARK_SECONDS="600")
    address = gateway.addresses["listen"]
    try:
        await one_holds_the_name(
            gateway.store, "north", Agent(address, "north", "first"), Agent(address, "north", "second")
        )
    finally:
        gateway.stop()


@pytest.mark.long
async def test_the_same_key_and_certificate_in_two_processes_is_no_other_case(tmp_path: Path, redis_url: str) -> None:
    gateway = gateway_tls.Gateway(tmp_path, redis_url)
    gateway.start(SKERRY_MARK_SECONDS="600")
    try:
        assert gateway.enrol("edge-1", gateway.token())[0] == "ENROLLED"
        caller, address = gateway.identity("edge-1"), gateway.addresses["listen"]
        await one_holds_the_name(
            gateway.store,
            "edge-1",
            Agent(address, "edge-1", "first", caller),
            Agent(address, "edge-1", "second", caller),
        )
    finally:
        gateway.stop()
