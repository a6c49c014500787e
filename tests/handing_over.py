"""What tests ask of two agents on one state folder: versions, captured examples, and a client that never stops."""

import asyncio
import collections
import json
from pathlib import Path
from typing import Any

import agent_fakes
import grpc
import models
import pytest
from agent_cascade import UNSURE
from agent_process import World

from skerry.adapters.oip.remote import RemoteModel
from skerry.agent.update import version_store
from skerry.core import errors
from skerry.core.inference import InferRequest
from skerry.proto import edge_pb2

CAPTURE_ALL = json.dumps({"explorationPermille": 1000, "hardPermille": 1000, "capturePerSecond": 10_000}).encode()

NOTICE_S = "0.7"

RECORDED = edge_pb2.FeedbackReply.RECORDED


async def assigned(world: World, number: int, **options: Any) -> version_store.Slot:
    """Version `number` is assigned, and reported as serving."""
    slot = world.publish(world.make(number, **options))
    world.gateway.assign(slot, offload_json=CAPTURE_ALL)
    await agent_fakes.until(
        lambda: bool(world.gateway.reports) and slot.digest in [m.digest for m in world.gateway.reports[-1].models],
        timeout_s=60,
    )
    return slot


def written(state: Path) -> dict[str, tuple[int, int]]:
    """What is in the folder, by size and time; of the spool the old agent's own doing is left out."""
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in state.rglob("*")
        if path.is_file() and "spool" not in path.parts
    }


def requests_in_cloud(world: World) -> collections.Counter[str]:
    """How many different examples the cloud holds of each request."""
    return collections.Counter(example.request_id for example in world.gateway.cloud.examples())


async def status(world: World, method: str, request: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.call(method, request, edge_pb2.SpoolState)
    code: grpc.StatusCode = caught.value.code()
    return code


def events(world: World, name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in world.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


class Service:
    """Clients that ask one of the `endpoints`, as a Service spreads them, and never ask twice."""

    def __init__(self) -> None:
        self.endpoints: list[RemoteModel] = []
        self.asked = 0
        self.answered: set[str] = set()
        self.failed: list[str] = []

    async def client(self, name: str) -> None:
        for number in range(1_000_000):
            remote, request_id = self.endpoints[number % len(self.endpoints)], f"{name}-{number}"
            self.asked += 1
            try:
                request = InferRequest("digits", (models.tensor([UNSURE]),), id=request_id)
                await remote.infer(request, 10.0)
                self.answered.add(request_id)
            except errors.SkerryError as exc:
                self.failed.append(f"{request_id}: {exc}")
            await asyncio.sleep(0.005)

    async def served(self, more: int) -> None:
        enough = len(self.answered) + more
        await agent_fakes.until(lambda: len(self.answered) >= enough, timeout_s=30)
