"""One simulated agent: the real agent's messages, plan and client, without a disk and without inference.

It reports, stages, asks for permits and swaps as `skerry.agent` decides it (`update_plan`, `permit_requests`), over the
real client and its loop. What a real one keeps in its ledger stands in memory and in the simulator's own ledger.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.scale import ledger
from skerry.agent.membership import Identity
from skerry.agent.sync import gateway_client, node_report
from skerry.agent.sync.stream import SyncLoop
from skerry.agent.update import awake_clock, progress, update_plan
from skerry.agent.update.ledger import Key, Pointer
from skerry.agent.update.states import State
from skerry.core import errors
from skerry.proto import edge_pb2, fleet_pb2

Download = Callable[[update_plan.Assignment], Awaitable[State]]


@dataclass(slots=True)
class World:
    """What the agents of a process share. `bad`: digest of a version -> share of its answers that is wrong."""

    gateways: Sequence[str]
    beat_s: float
    requests_per_s: float
    fetch_s: tuple[float, float]
    swap_s: tuple[float, float]
    write: Callable[[ledger.Entry], None]
    draw: random.Random
    is_cut: bool = False
    bad: dict[str, float] = field(default_factory=dict)


class Agent:
    """`download` None: a fetch only takes its time."""

    def __init__(
        self, name: str, world: World, identity: Identity, first_gateway: int, download: Download | None
    ) -> None:
        self.name = name
        self.serving: Pointer | None = None
        self.target = progress.Target()
        self.model = ""
        self.failed_downloads = 0
        self._world, self._identity, self._download = world, identity, download
        self._at, self._is_up = first_gateway, False
        self._clients: dict[int, gateway_client.GatewayClient] = {}
        self._changed = asyncio.Event()
        self._boot_id = f"{world.draw.getrandbits(128):032x}"
        self._sequence = world.draw.randrange(1 << 40)
        self._highest_permit = self._seen_permit = self._epoch = 0
        self._staged: set[Key] = set()
        self._known_good = ""
        self._since_s: dict[str, float] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._busy = False
        self.loop = SyncLoop(
            self._connect,
            self.report,
            self.apply,
            self._changed,
            world.draw.random,
            beat_s=world.beat_s,
            cap_s=min(30.0, max(2.0, 5 * world.beat_s)),  # as agent.wiring
        )

    @property
    def client(self) -> gateway_client.GatewayClient:
        """Of the gateway that it is connected to, or tries. Each is kept, with the pauses between its attempts."""
        if self._at not in self._clients:
            self._clients[self._at] = gateway_client.GatewayClient(self._world.gateways[self._at], self._identity)
        return self._clients[self._at]

    @property
    def gateway(self) -> int | None:
        """The one that it is connected to, by its place in the list."""
        return self._at if self._is_up else None

    async def run(self) -> None:
        await asyncio.sleep(self._world.draw.random() * self._world.beat_s)
        await self.loop.run()

    async def cut(self) -> None:
        """The line is gone; `World.is_cut` says when it is back."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.close()

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator["_Noticed"]:
        """A stream to one gateway, and the next time to the other: what a Service in front of both would do."""
        if self._world.is_cut:
            raise errors.UnavailableError("the line is cut")
        try:
            async with self.client.stream() as stream:
                yield _Noticed(stream, self._came_up)
        finally:
            if self._is_up:
                self._is_up = False
                self._note(ledger.DOWN)
                if (client := self._clients.pop(self._at, None)) is not None:
                    await client.close()
            self._at = (self._at + 1) % len(self._world.gateways)

    def _came_up(self) -> None:
        if not self._is_up:
            self._is_up = True
            self._note(ledger.UP, self._at)

    def report(self, now_s: float) -> fleet_pb2.NodeReport:
        self._sequence += 1
        models = [self._model_report(now_s)] if self.model else []
        return fleet_pb2.NodeReport(
            node=self.name, agent_version="0.1.0", boot_id=self._boot_id, sequence=self._sequence,
            runtime=fleet_pb2.Runtime(
                arch="aarch64", cpu_class="arm-v8.2", onnxruntime="1.32.0", max_ir_version=11, max_opset=24
            ),
            models=models, readings=self._readings(now_s), spool=edge_pb2.SpoolState(),
            serving_address="192.168.1.20:8001",
        )  # fmt: skip

    def _model_report(self, now_s: float) -> fleet_pb2.ModelReport:
        target = self.target
        requests = node_report.permit_requests({self.model: target}, self._sequence, now_s)
        report = fleet_pb2.ModelReport(
            model=self.model,
            digest=self.serving.digest if self.serving else "",
            version=self.serving.version if self.serving else 0,
            highest_permit=self._highest_permit,
            last_known_good=self._known_good,
        )
        if target.wanted is not None:
            report.target_digest, report.target_rollout = target.wanted.digest, target.wanted.rollout
            report.target_attempt, report.reason = target.wanted.attempt, target.shown.reason
            report.target_state = target.shown.state.value  # type: ignore[assignment]  # protobuf takes the name
            report.permit_request = requests.get(self.model, 0)
        return report

    def _readings(self, now_s: float) -> Sequence[fleet_pb2.Reading]:
        if self.serving is None:
            return ()
        rate, beat_s = self._world.requests_per_s, self._world.beat_s
        return [
            fleet_pb2.Reading(
                model=self.model, digest=self.serving.digest, window_s=beat_s, requests=int(rate * beat_s),
                offloaded=int(rate * beat_s / 10), confidence_counts=[int(rate * beat_s / 20)] * 20, p50_ms=1.0,
                p99_ms=4.0, requests_total=int(rate * (now_s - self._since_s[self.serving.digest])),
            )
        ]  # fmt: skip

    async def apply(self, desired: fleet_pb2.DesiredState) -> None:
        if desired.epoch < self._epoch:
            return
        self._epoch = desired.epoch
        for message in desired.assignments:
            wanted = update_plan.parse(message)
            self.model = wanted.model
            if self.target.wanted is None or self.target.wanted.key != wanted.key:
                progress.reset(self.target, wanted)
            self.target.wanted = wanted
            if wanted.permit is not None and wanted.permit.number > self._seen_permit:
                self._seen_permit = wanted.permit.number
                self._note(ledger.PERMIT, wanted.permit.number, wanted.digest)
        self._advance()

    def _advance(self) -> None:
        """The next step, unless one is under way."""
        wanted = self.target.wanted
        if wanted is None or self._busy:
            return
        step = update_plan.next_step(wanted, self._facts(wanted), now_s=awake_clock.now_s())
        if (step.state, step.reason) != (self.target.shown.state, self.target.shown.reason):
            self.target.shown = step
            if step.is_news:
                self._changed.set()
        if step.action is update_plan.Action.FETCH:
            self._do(self._fetch(wanted))
        elif step.action is update_plan.Action.SWAP:
            self._do(self._swap(wanted))
        elif step.action is update_plan.Action.GIVE_UP and wanted.permit is not None:
            self._highest_permit = wanted.permit.number
            self.target.requests.clear()
            self._changed.set()

    def _facts(self, wanted: update_plan.Assignment) -> update_plan.Facts:
        return update_plan.Facts(
            serving=self.serving,
            refusal=None,
            tries=0,
            is_staged=wanted.key in self._staged,
            retry_at_s=0.0,
            last_failure="",
            highest_permit=self._highest_permit,
            highest_epoch=self._epoch,
            requests=self.target.requests,
        )

    def _do(self, work: Awaitable[None]) -> None:
        async def done() -> None:
            try:
                await work
            finally:
                self._busy = False
            self._advance()

        self._busy = True
        task = asyncio.ensure_future(done())
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _fetch(self, wanted: update_plan.Assignment) -> None:
        if self._download is None:
            await asyncio.sleep(self._world.draw.uniform(*self._world.fetch_s))
        elif (await self._download(wanted)) is not State.STAGED:
            self.failed_downloads += 1
            await asyncio.sleep(5.0)
            return
        self._staged.add(wanted.key)

    async def _swap(self, wanted: update_plan.Assignment) -> None:
        assert wanted.permit is not None
        number, before = wanted.permit.number, self.serving
        self.target.swapping, self._highest_permit = wanted.permit.request, number
        self._note(ledger.BEGIN, number, wanted.digest)
        await asyncio.sleep(self._world.draw.uniform(*self._world.swap_s))
        self._known_good = before.digest if before else ""
        self.serving = wanted.pointer
        self._since_s[wanted.digest] = time.monotonic()
        self._note(ledger.END, number, wanted.digest)
        self.target.swapping = 0
        self.target.requests.clear()
        self._changed.set()

    def _note(self, what: str, number: int = 0, digest: str = "") -> None:
        self._world.write(ledger.Entry(time.monotonic(), self.name, what, number, digest))


class _Noticed:
    """A stream that tells when the gateway is heard first."""

    def __init__(self, stream: gateway_client.Stream, heard: Callable[[], None]) -> None:
        self._stream, self._heard = stream, heard

    async def send(self, report: fleet_pb2.NodeReport) -> None:
        await self._stream.send(report)

    async def receive(self) -> fleet_pb2.DesiredState:
        desired = await self._stream.receive()
        self._heard()
        return desired


def serving(agents: Sequence[Agent]) -> Mapping[str, int]:
    """How many serve each digest; empty: nothing."""
    counts: dict[str, int] = {}
    for agent in agents:
        digest = agent.serving.digest if agent.serving else ""
        counts[digest] = counts.get(digest, 0) + 1
    return counts
