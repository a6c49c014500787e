"""A node that is away for a month while something is erased: controller, gateway and agent, in simulated time.

The controller's and the gateway's clocks are set forward by a month; the gateway and the agent are other processes by
then, on the same objects and the same disk.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import agent_fakes
import controlling
import pytest
import sessions_world

from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.adapters.streams.memory import MemoryStreams
from skerry.agent import erased
from skerry.agent.capture import capture_queue, captured_row, spool, uploader
from skerry.agent.capture.spool_thread import SpoolThread
from skerry.agent.sync import stream
from skerry.core import conditions, contract, erasure_progress, erasures, errors, sampling, series_stamp, writers
from skerry.gateway import ingest
from skerry.gateway.given_versions import GivenVersions
from skerry.gateway.rates import Rate, Rates
from skerry.gateway.standing import StandingErasures
from skerry.proto import fleet_pb2

MARKER, OTHERS, SUBJECT = bytes(range(64, 128)), b"o" * 64, "cd" * 32
NODE, MONTH_MS = "edge-1", 31 * 86_400_000
ENDLESS = Rate(0.0, 1e9)


class Link:
    """The agent's stream, on a fake call to the gateway; it ends when the agent's loop does."""

    def __init__(self, call: sessions_world.FakeCall) -> None:
        self._call = call

    async def send(self, report: fleet_pb2.NodeReport) -> None:
        self._call.say(report)

    async def receive(self) -> fleet_pb2.DesiredState:
        return fleet_pb2.DesiredState.FromString(await self._call.states.get())


class Site:
    """The cloud, and one node of it that is away when its gateway cannot be reached."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "node"
        self.cloud = controlling.World(folder / "cloud", nodes=1)
        self.digest = str(self.cloud.get("ModelVersion", self.cloud.import_version(1)).spec["digest"])
        self.cloud.run(20)
        self.start_gateway()
        self.start_agent()

    def start_gateway(self) -> None:
        self.gateway = sessions_world.Gateway(self.cloud.objects)
        self.gateway.now_ms, self.stored = self.cloud.now_ms, MemoryBlobs()
        standing, given = StandingErasures(), GivenVersions(lambda: 0.0)
        changes, _ = self.cloud.objects.changes(0, timeout_s=0, kinds=("EdgeModel", "ModelVersion", "Erasure"))
        given.apply(changes)
        for change in changes:
            if change.object.kind == "Erasure":
                standing.apply(change)
        rates = (Rates(ENDLESS, clock=lambda: 0.0), Rates(ENDLESS, clock=lambda: 0.0))
        rules = ingest.Rules(given, standing, *rates, lambda node, fault, why: None, lambda: self.gateway.now_ms)
        self.intake = ingest.Ingest(self.stored, MemoryStreams(), rules)
        self.gateway.look()

    def start_agent(self) -> None:
        self.spool = SpoolThread(self.folder / "spool" / "spool.db", spool.Limits(), lambda: "x")
        self.queue = capture_queue.CaptureQueue(self.spool, captured_row.Source(NODE, "boot"))
        self.erased = erased.Erased(self.folder / "erasures.pb", NODE, self.spool)
        self.queue.erased = lambda: self.erased.rules

    async def capture(self, raw: bytes, subject: str) -> bool:
        row = captured_row.CapturedRow(
            model="digits",
            request_id=f"visit {raw[:1].hex()}",
            digest=self.digest,
            kind=sampling.Kind.HARD,
            inputs=(captured_row.CapturedTensor("image", "UINT8", (64,), raw),),
            local_logits=(0.5,),
            confidence=0.5,
            route="local",
            reason="LowConfidence",
            answered_unix_ms=self.cloud.now_ms,
            label_map="",
            stamp=series_stamp.NONE,
            answer=f"answer {raw[:1].hex()}",
            subject=subject,
        )
        taken = self.queue.offer(row)
        await self.queue.flush()
        return taken

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """The agent's own loop on a stream to the gateway."""
        changed, heard, numbers = asyncio.Event(), asyncio.Event(), iter(range(1, 100))

        @contextlib.asynccontextmanager
        async def connect() -> AsyncIterator[Link]:
            call = sessions_world.FakeCall(self.gateway.sessions)
            yield Link(call)
            call.hang_up()

        def report(now_s: float) -> fleet_pb2.NodeReport:
            said = {"node": NODE, "models": [], "readings": [], "erased_up_to": self.erased.up_to}
            return sessions_world.report(next(numbers), **said)

        async def apply(told: fleet_pb2.DesiredState) -> None:
            if await self.erased.carry_out(told):
                changed.set()

        loop = stream.SyncLoop(connect, report, apply, changed, lambda: 0.0, connected=heard.set, beat_s=60.0)
        async with agent_fakes.running(loop.run()):
            await agent_fakes.until(heard.is_set)
            yield
        await self.gateway.sessions.written()

    async def upload(self) -> None:
        async def send(request: fleet_pb2.UploadRequest) -> fleet_pb2.UploadReply:
            return self.intake.upload(request)

        await uploader.Uploader(self.spool, NODE, send, lambda: 0.0).step()

    def erase(self) -> None:
        """`skerry erase --subject`, and the curator's part of it: nothing of it had come to the cloud."""
        self.cloud.objects.create("Erasure", "e1", {"subject": SUBJECT}, manager=writers.OPERATOR)
        progress = erasure_progress.Progress(self.cloud.get("Erasure", "e1").uid, erasure_progress.DONE)
        self.cloud.blobs.write(contract.erasure_path("e1"), progress.to_json())

    def look(self) -> None:
        """The controller looks, and the gateway sees what it wrote; the agent of `controlling` plays no part here."""
        for _ in range(2):
            self.cloud.now_ms += 1000
            self.cloud.tick()
        self.gateway.now_ms = self.cloud.now_ms
        self.gateway.look()

    def said(self, kind: str) -> str:
        found = conditions.find(conditions.from_json(self.cloud.get("Erasure", "e1").status["conditions"]), kind)
        return "" if found is None else f"{found.status} {found.reason}"

    def files_with(self, marker: bytes) -> set[str]:
        return {one.name for one in self.folder.rglob("*") if one.is_file() and marker in one.read_bytes()}

    def examples(self) -> list[bytes]:
        return [self.stored.read(path, max_bytes=1 << 20) for path in self.stored.list("examples")]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    yield Site(tmp_path)


async def leave_and_come_back(site: Site) -> None:
    """The node captures a row of the subject and one of somebody else; while it is away the subject is erased, a month
    passes, and both processes are others."""
    async with site.connected():
        pass
    assert await site.capture(MARKER, SUBJECT)
    assert await site.capture(OTHERS, "")
    await site.spool.close()
    site.erase()
    site.look()
    assert site.said(erasures.STORAGE) == "True Erased"
    assert site.said(erasures.COMPLETE) == "False NodesWaiting"
    site.cloud.now_ms += MONTH_MS
    site.look()
    assert site.said(erasures.NODES) == "False NodesWaiting"
    assert site.cloud.get("Erasure", "e1").status["waitingNodes"] == [NODE]
    assert site.files_with(MARKER), "the row waits on the disk of the node that heard of nothing"
    site.start_gateway()
    site.start_agent()


async def check_over(site: Site) -> None:
    assert site.files_with(MARKER) == set()
    site.look()
    assert site.said(erasures.NODES) == "True Confirmed"
    assert site.said(erasures.COMPLETE) == "True Erased"
    assert not await site.capture(MARKER, SUBJECT), "nor is it captured again"
    assert not any(MARKER in example for example in site.examples())
    assert site.files_with(MARKER) == set()


async def test_it_is_told_with_its_first_word_and_removes_the_row_and_nothing_else(site: Site) -> None:
    await leave_and_come_back(site)
    async with site.connected():
        await agent_fakes.until(lambda: site.erased.up_to > 0)
        await agent_fakes.until(lambda: bool(site.gateway.objects.get("EdgeNode", NODE).status.get("erasedUpTo")))
    await site.upload()
    assert [OTHERS in example for example in site.examples()] == [True]
    await check_over(site)


async def test_what_it_uploads_before_it_is_told_is_refused(site: Site) -> None:
    await leave_and_come_back(site)
    await site.upload()
    assert [OTHERS in example for example in site.examples()] == [True]
    assert site.said(erasures.COMPLETE) == "False NodesWaiting"
    async with site.connected():
        await agent_fakes.until(lambda: site.erased.up_to > 0)
        await agent_fakes.until(lambda: bool(site.gateway.objects.get("EdgeNode", NODE).status.get("erasedUpTo")))
    await check_over(site)


async def test_a_disk_that_fails_then_confirms_nothing_until_it_is_carried_out(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(use: Any) -> Any:
        raise errors.UnavailableError("the disk is full")

    await leave_and_come_back(site)
    with monkeypatch.context() as full:
        full.setattr(site.spool, "call", refuses)
        async with site.connected():
            pass
    site.look()
    assert site.said(erasures.COMPLETE) == "False NodesWaiting"
    assert site.files_with(MARKER)
    async with site.connected():
        await agent_fakes.until(lambda: site.erased.up_to > 0)
        await agent_fakes.until(lambda: bool(site.gateway.objects.get("EdgeNode", NODE).status.get("erasedUpTo")))
    await check_over(site)
