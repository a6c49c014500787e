"""A whole agent as a process, with a gateway and a repository that a test plays."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import agent_cascade
import agent_fakes
import grpc
import mirror
import models

from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.oip.remote import RemoteModel
from skerry.adapters.trust import ceremony, keys, repository, store
from skerry.agent.update import version_store
from skerry.core import contract, feedback
from skerry.core.inference import InferReply, InferRequest
from skerry.proto import edge_pb2, fleet_pb2

NOW = datetime.now(UTC)


class Gateway:
    """Assigns `wanted`, grants a permit to whoever asks, keeps uploads in a fake cloud. `reports` are all seen."""

    def __init__(self) -> None:
        self.cloud = agent_fakes.Cloud()
        self.reports: list[fleet_pb2.NodeReport] = []
        self.wanted: list[fleet_pb2.Assignment] = []
        self.permits = 0
        self.grants = True
        self.sessions: list[str] = []  # boot ids, as their streams opened
        self.open_streams: list[str] = []
        self.most_streams = 0
        self._changed = asyncio.Event()
        self._server: grpc.aio.Server | None = None
        self.port = 0

    def assign(self, slot: version_store.Slot, **fields: Any) -> None:
        assignment = fleet_pb2.Assignment(
            model=slot.model,
            digest=slot.digest,
            version=slot.version,
            target_path=f"retrained/{slot.model}/{slot.version}",
            **({"rollout": f"v{slot.version}", "attempt": 1} | fields),
        )
        self.wanted = [assignment]
        self._changed.set()

    async def start(self) -> None:
        handlers = {
            "Sync": grpc.stream_stream_rpc_method_handler(
                self._sync, fleet_pb2.NodeReport.FromString, fleet_pb2.DesiredState.SerializeToString
            ),
            "Upload": grpc.unary_unary_rpc_method_handler(
                self._upload, fleet_pb2.UploadRequest.FromString, fleet_pb2.UploadReply.SerializeToString
            ),
        }
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        generic = grpc.method_handlers_generic_handler(contract.SYNC.split("/")[1], handlers)
        self._server.add_generic_rpc_handlers((generic,))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)

    async def _upload(self, request: fleet_pb2.UploadRequest, context: Any) -> fleet_pb2.UploadReply:
        return await self.cloud.send(request)

    async def _sync(self, reports: Any, context: Any) -> AsyncIterator[fleet_pb2.DesiredState]:
        mine: list[str] = []

        async def read() -> None:
            async for report in reports:
                if not mine:
                    mine.append(report.boot_id)
                    self.sessions.append(report.boot_id)
                    self.open_streams.append(report.boot_id)
                    self.most_streams = max(self.most_streams, len(self.open_streams))
                self.reports.append(report)
                self._permit(report)

        reading = asyncio.ensure_future(read())
        try:
            while True:
                self._changed.clear()
                yield fleet_pb2.DesiredState(revision=1, epoch=1, assignments=self.wanted)
                await self._changed.wait()
        finally:
            reading.cancel()
            for boot in mine:
                self.open_streams.remove(boot)

    def _permit(self, report: fleet_pb2.NodeReport) -> None:
        for model in report.models:
            for wanted in self.wanted:
                asks = wanted.model == model.model and wanted.digest == model.target_digest and model.permit_request
                if self.grants and asks and wanted.permit.request != model.permit_request:
                    self.permits = max(self.permits, model.highest_permit) + 1
                    permit = fleet_pb2.Permit(number=self.permits, ttl_ms=60_000, request=model.permit_request, epoch=1)
                    wanted.permit.CopyFrom(permit)
                    self._changed.set()

    def state_of(self, model: str) -> str:
        for report in reversed(self.reports):
            for one in report.models:
                if one.model == model:
                    return fleet_pb2.ModelState.Name(one.target_state)
            return ""
        return ""


@dataclass
class World:
    """Everything around one agent. `env` is added to its environment, the interpreter `python` runs `program`."""

    tmp: Path
    gateway: Gateway
    served: mirror.Mirror
    teacher: str = ""
    env: dict[str, str] = field(default_factory=dict)
    python: str = sys.executable
    program: tuple[str, ...] = ("-m", "skerry.agent.main")
    address: str = ""
    others: list["World"] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def make(self, number: int, *, scale: float = 1.0, threshold: float = 0.8) -> version_store.Slot:
        """A version on this test's disk, not yet published."""
        return agent_cascade.write(self.tmp / "made", number, scale=scale, threshold=threshold)

    def publish(self, slot: version_store.Slot) -> version_store.Slot:
        signing = repository.Repository(
            DirectoryBlobs(self.tmp / "repository"), keys.load(self.tmp / "keys" / "online")
        )
        files = {path.name: path.read_bytes() for path in slot.folder.iterdir()}
        signing.add_version(store.RETRAINED, slot.model, slot.version, slot.digest, files, now=NOW)
        signing.publish(now=NOW)
        return slot

    async def start(self, **env: str) -> dict[str, Any]:
        """Start the agent; returns its ready line."""
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parent.parent / "services"),
            "OMP_NUM_THREADS": "1",
            "SKERRY_NODE": "edge-1",
            "SKERRY_STATE": str(self.tmp / "state"),
            "SKERRY_TRUST_ROOT": str(self.tmp / "repository" / "metadata" / "1.root.json"),
            "SKERRY_GATEWAY": f"127.0.0.1:{self.gateway.port}",
            "SKERRY_REPOSITORY_URL": self.served.url,
            "SKERRY_TEACHER": self.teacher,
            "SKERRY_LISTEN": "127.0.0.1:0",
            "SKERRY_HTTP": "127.0.0.1:0",
            "SKERRY_TRANSPORT": "h2",
            "SKERRY_BEAT_SECONDS": "0.2",
        }
        command = [self.python, *self.program]
        with (self.tmp / "agent.log").open("ab") as errors:
            self.process = subprocess.Popen(  # noqa: ASYNC220 - it starts at once
                command, stdout=subprocess.PIPE, stderr=errors, env=environment | self.env | env, umask=0o022
            )
        async with asyncio.timeout(60):
            line = await asyncio.to_thread(self.process.stdout.readline)  # type: ignore[union-attr]
        assert line, self.log()
        found: dict[str, Any] = json.loads(line)
        self.address = found["address"]
        return found

    def beside(self) -> "World":
        """Another agent on the same state folder, not yet started; killed with this one at the end."""
        self.others.append(World(self.tmp, self.gateway, self.served, self.teacher, self.env, self.python))
        return self.others[-1]

    def kill(self) -> None:
        for other in self.others:
            other.kill()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()  # type: ignore[union-attr]
            self.process = None

    def log(self) -> str:
        return (self.tmp / "agent.log").read_text()

    async def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = await asyncio.to_thread(self.process.wait, 30)
        self.process.stdout.close()  # type: ignore[union-attr]
        self.process = None
        return code

    async def ask(self, row: list[float], remote: RemoteModel | None = None, **fields: Any) -> InferReply:
        async with contextlib.AsyncExitStack() as stack:
            asked = remote or await stack.enter_async_context(RemoteModel(self.address))
            return await asked.infer(InferRequest("digits", (models.tensor([row]),), **fields), 10.0)

    async def call(self, method: str, request: Any, reply: Any) -> Any:
        async with grpc.aio.insecure_channel(self.address) as channel:
            call = channel.unary_unary(
                f"/skerry.edge.v1.Edge/{method}",
                request_serializer=type(request).SerializeToString,
                response_deserializer=reply.FromString,
            )
            return await call(request, timeout=10)

    async def feedback(self, request_id: str, label: int, token: str) -> int:
        request = edge_pb2.FeedbackRequest(model="digits", request_id=request_id, label=label, token=token)
        return int((await self.call("Feedback", request, edge_pb2.FeedbackReply)).outcome)

    async def spool(self) -> edge_pb2.SpoolState:
        return await self.call("SpoolStatus", edge_pb2.SpoolStatusRequest(), edge_pb2.SpoolState)  # type: ignore[no-any-return]


async def serving(world: World, number: int, **options: float) -> None:
    """Version `number` is assigned, and reported as serving."""
    slot = world.publish(world.make(number, **options))
    world.gateway.assign(slot)
    await agent_fakes.until(
        lambda: (
            bool(world.gateway.reports) and any(one.digest == slot.digest for one in world.gateway.reports[-1].models)
        ),
        timeout_s=60,
    )


def token_of(reply: InferReply) -> str:
    """By which its caller may tell the truth of it."""
    return str(reply.parameters[feedback.PARAMETER])


def readable_by_others(state: Path) -> list[Path]:
    """Of all that the agent and its children made: spool and its log, ledger, locks, versions, trusted metadata."""
    return [path for path in state.rglob("*") if path.stat().st_mode & 0o077]


@contextlib.asynccontextmanager
async def world(tmp: Path) -> AsyncIterator[World]:
    ceremony.ensure(DirectoryBlobs(tmp / "repository"), tmp / "keys", now=NOW)
    served, gateway = mirror.Mirror(tmp / "repository"), Gateway()
    await gateway.start()
    made = World(tmp, gateway, served)
    try:
        yield made
        assert readable_by_others(tmp / "state") == []
    finally:
        made.kill()
        await gateway.stop()
        served.close()
