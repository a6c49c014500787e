"""One gateway on shared objects and a node's side of its streams, without a transport."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from skerry.adapters.events.memory import MemoryEvents
from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.adapters.objects.memory import MemoryObjects
from skerry.gateway import desired, identity, metrics, readings_writer, sessions
from skerry.proto import edge_pb2, fleet_pb2
from skerry.rpc.methods import CallError, Receiver, Status

DIGEST = "sha256:" + "ab" * 32
ASSIGNMENT = {"model": "digits", "digest": DIGEST, "version": 3, "targetPath": "retrained/digits/3"}


def report(sequence: int = 1, **changes: Any) -> fleet_pb2.NodeReport:
    model = fleet_pb2.ModelReport(model="digits", digest=DIGEST, version=3, target_state=fleet_pb2.SERVING)
    reading = fleet_pb2.Reading(model="digits", digest=DIGEST, window_s=10, requests=5, confidence_counts=[1] * 20)
    given = {
        "node": "north",
        "agent_version": "0.1",
        "boot_id": "b1",
        "sequence": sequence,
        "runtime": fleet_pb2.Runtime(arch="x86_64", cpu_class="x86-vnni", onnxruntime="1.32", max_ir_version=14),
        "models": [model],
        "readings": [reading],
        "spool": edge_pb2.SpoolState(pending=2),
        "serving_address": "10.0.0.1:9000",
    }
    return fleet_pb2.NodeReport(**given | changes)


class FakeCall:
    """A node's side of a stream: reports go in by `say`, states come out by `hear`, and `ended` is why it was ended."""

    method, metadata, deadline, done, peer_address, peer_certificate = "", {}, None, False, "10.0.0.1:1", None

    def __init__(self, fleet: sessions.Sessions) -> None:
        self.states: asyncio.Queue[bytes] = asyncio.Queue()
        self.ended: CallError | None = None
        self._receiver: Receiver = fleet.open(self)  # type: ignore[arg-type]  # a fake has what is used

    def say(self, one: fleet_pb2.NodeReport | bytes) -> None:
        try:
            self._receiver.received(one.SerializeToString() if isinstance(one, fleet_pb2.NodeReport) else one)
        except CallError as exc:
            self.fail(exc.status, exc.message)

    def hang_up(self) -> None:
        if not self.done:
            self.done = True
            self._receiver.closed()

    async def hear(self) -> fleet_pb2.DesiredState:
        return fleet_pb2.DesiredState.FromString(await asyncio.wait_for(self.states.get(), 5))

    async def send(self, message: bytes) -> None:
        self.states.put_nowait(message)

    def fail(self, status: Status, message: str) -> None:
        if not self.done:
            self.ended = CallError(status, message)
            self.hang_up()


class Gateway:
    """One gateway on shared objects; `look` is what its watch does."""

    def __init__(self, objects: MemoryObjects, report_timeout_s: float = 60.0) -> None:
        self.objects, self.fleetstate, self.now_ms = objects, MemoryFleetState(), 1_000_000
        self.events = MemoryEvents()
        self.instruments, self.view = metrics.Instruments(), desired.View()
        self.readings = readings_writer.ReadingsWriter(self.fleetstate)
        self.sessions = sessions.Sessions(
            objects,
            self.view,
            self.readings,
            self.instruments,
            guard=identity.Guard(self.view),
            events=self.events,
            clock=lambda: self.now_ms,
            report_timeout_s=report_timeout_s,
        )

    def look(self) -> None:
        self.sessions.apply(*self.objects.changes(self.view.revision, timeout_s=0, kinds=desired.KINDS))

    @contextlib.asynccontextmanager
    async def stream(self, report: fleet_pb2.NodeReport) -> AsyncIterator[FakeCall]:
        call = FakeCall(self.sessions)
        call.say(report)
        await call.hear()
        await self.sessions.written()
        yield call
        call.hang_up()
        await self.sessions.written()

    @property
    def node(self) -> Any:
        return self.objects.get("EdgeNode", "north")


async def settled(true: Any, what: str = "not in time") -> None:
    for _ in range(500):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(what)
