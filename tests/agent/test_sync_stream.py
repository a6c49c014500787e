"""The stream to the gateway: reports at every beat and at once on news, opened anew whenever it breaks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import agent_cascade
import agent_fakes
import pytest
from agent_world import Fetch, Node, Version, bring_up, desired

from skerry.agent import warning_watch
from skerry.agent.sync import desired_state, load_window, node_report, stream
from skerry.agent.update import ledger
from skerry.core import errors
from skerry.proto import fleet_pb2


class Gateway:
    """Streams that a test breaks. `reports` per stream; `outgoing` is what the next receive gives."""

    def __init__(self) -> None:
        self.reports: list[list[fleet_pb2.NodeReport]] = []
        self.outgoing: asyncio.Queue[fleet_pb2.DesiredState] = asyncio.Queue()
        self.broken = asyncio.Event()
        self.down = self.is_name_taken = False

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator["Gateway"]:
        if self.down:
            raise errors.UnavailableError("no route to the gateway")
        self.broken = asyncio.Event()
        self.reports.append([])
        yield self

    async def send(self, report: fleet_pb2.NodeReport) -> None:
        if self.broken.is_set():
            raise errors.UnavailableError("the stream is over")
        self.reports[-1].append(report)
        if self.is_name_taken:
            self.broken.set()

    async def receive(self) -> fleet_pb2.DesiredState:
        if self.is_name_taken:
            await self.broken.wait()
            raise errors.ConflictError("another agent holds the name edge-1")
        getting, breaking = asyncio.ensure_future(self.outgoing.get()), asyncio.ensure_future(self.broken.wait())
        try:
            await asyncio.wait([getting, breaking], return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                return getting.result()
            raise errors.UnavailableError("the stream is over")
        finally:
            getting.cancel()
            breaking.cancel()


class Link:
    def __init__(self, *, beat_s: float = 60.0) -> None:
        self.gateway, self.changed, self.taken = Gateway(), asyncio.Event(), []
        self.refuse = 0
        self.numbers = iter(range(1, 10_000))
        self.sync = stream.SyncLoop(
            self.gateway.connect,
            lambda now_s: fleet_pb2.NodeReport(node="edge-1", sequence=next(self.numbers)),
            self.take,
            self.changed,
            lambda: 0.0,
            beat_s=beat_s,
            base_s=0.01,
            cap_s=0.05,
            conflict_base_s=5.0,
            conflict_cap_s=300.0,
        )

    async def take(self, state: fleet_pb2.DesiredState) -> None:
        if self.refuse:
            self.refuse -= 1
            raise errors.UnavailableError("disk full")
        self.taken.append(state.revision)


async def test_the_first_report_goes_at_once_and_a_change_follows_without_waiting_for_the_beat() -> None:
    link = Link()
    async with agent_fakes.running(link.sync.run()):
        await agent_fakes.until(lambda: bool(link.gateway.reports and link.gateway.reports[0]))
        link.changed.set()
        await agent_fakes.until(lambda: len(link.gateway.reports[0]) == 2)


async def test_changes_that_come_together_are_one_report() -> None:
    link = Link()
    async with agent_fakes.running(link.sync.run()):
        await agent_fakes.until(lambda: bool(link.gateway.reports and link.gateway.reports[0]))
        for _ in range(50):
            link.changed.set()
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        assert len(link.gateway.reports[0]) <= 3


async def test_without_news_it_beats() -> None:
    link = Link(beat_s=0.01)
    async with agent_fakes.running(link.sync.run()):
        await agent_fakes.until(lambda: bool(link.gateway.reports) and len(link.gateway.reports[0]) >= 5)


async def test_a_broken_stream_is_opened_anew_with_a_whole_report_and_the_newest_state_is_taken() -> None:
    link = Link()
    async with agent_fakes.running(link.sync.run()):
        for revision in (1, 2, 3):
            link.gateway.outgoing.put_nowait(fleet_pb2.DesiredState(revision=revision))
            await agent_fakes.until(lambda: revision in link.taken)  # noqa: B023 - used at once
            assert link.sync.is_connected
            link.gateway.broken.set()
            await agent_fakes.until(lambda: not link.sync.is_connected)
        await agent_fakes.until(lambda: len(link.gateway.reports) >= 4)
    assert link.taken == [1, 2, 3]


async def test_an_absent_gateway_is_tried_until_it_is_there() -> None:
    link = Link()
    link.gateway.down = True
    async with agent_fakes.running(link.sync.run()):
        await asyncio.sleep(0.1)
        assert not link.sync.is_connected
        link.gateway.down = False
        await agent_fakes.until(lambda: bool(link.gateway.reports))


async def test_a_state_that_the_disk_refuses_to_note_is_asked_for_again() -> None:
    link = Link()
    link.refuse = 1
    async with agent_fakes.running(link.sync.run()):
        link.gateway.outgoing.put_nowait(fleet_pb2.DesiredState(revision=1))
        await agent_fakes.until(lambda: len(link.gateway.reports) >= 2)
        link.gateway.outgoing.put_nowait(fleet_pb2.DesiredState(revision=1))
        await agent_fakes.until(lambda: link.taken == [1])


V1, V2 = Version(1), Version(2)


def reporter(node: Node, tmp_path: Path) -> node_report.Reporter:
    me = node_report.NodeFacts("edge-1", "0.1.0", "boot-a", fleet_pb2.Runtime(arch="x86_64"), "h:1")
    counted = load_window.LoadWindow(lambda: 100.0)
    counted.answered("digits", "d", [0.99, 0.5], 0.002, offloaded=True, degraded=False)
    return node_report.Reporter(
        me,
        node.updater,
        agent_fakes.make_spool_thread(tmp_path),
        counted.read,
        warning_watch.WarningWatch(lambda: 0),
        lambda: 7,
        first_sequence=500,
    )


async def test_a_report_says_what_runs_and_never_what_was_sent(tmp_path: Path) -> None:
    node = Node(tmp_path, Fetch(V1, V2))
    async with agent_fakes.running(node.updater.run()):
        await bring_up(node, V1, 1)
        await node.updater.assign(desired(V2))
        await agent_fakes.until(lambda: node.target.state == "STAGED")
        made = reporter(node, tmp_path)
        first, second = made.report(1000.0), made.report(1001.0)
    (model,) = first.models
    assert (model.digest, model.version, model.target_digest) == (V1.digest, 1, V2.digest)
    assert (model.target_rollout, model.target_attempt, model.target_state) == ("digits-v2", 1, fleet_pb2.STAGED)
    assert (model.highest_permit, model.last_known_good, model.reason) == (1, "", "waits for a permit")
    assert (first.sequence, second.sequence) == (501, 502)
    assert model.permit_request == 501 == second.models[0].permit_request
    assert (first.readings[0].offloaded, sum(first.readings[0].confidence_counts)) == (1, 2)


async def test_an_offload_policy_is_applied_remembered_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    node, serving = Node(tmp_path / "a", Fetch(V1)), await agent_cascade.ready(tmp_path / "b")
    applier = desired_state.Applier(node.updater, serving.cascade, agent_fakes.nothing_erased(tmp_path))
    await applier.apply(desired(V1, offload_json=b'{"burst": 3, "enabled": true}'))
    assert serving.cascade._models["digits"].policy.burst == 3
    for broken in (b"{", b"[]", b'{"burts": 3}', b'{"burst": "x"}', b'{"burst": 3' + b" " * 100_000 + b"}", b"\xff"):
        await applier.apply(desired(V1, offload_json=broken))
        assert serving.cascade._models["digits"].policy.burst == 3
    await applier.apply(desired(V1, epoch=9, offload_json=b'{"burst": 4}'))
    await applier.apply(desired(V1, epoch=8, offload_json=b'{"burst": 5}'))
    assert serving.cascade._models["digits"].policy.burst == 4
    async with agent_fakes.running(node.updater.run()):
        await bring_up(node, V1, 1, epoch=9)
    again = await agent_cascade.ready(tmp_path / "c")
    desired_state.restore(ledger.Ledger(tmp_path / "a" / "ledger"), again.cascade)
    assert again.cascade._models["digits"].policy.burst == 4


def test_readings_slide_and_forget() -> None:
    now = [100.0]
    counted = load_window.LoadWindow(lambda: now[0], window_s=10)
    for second in range(20):
        now[0] = 100.0 + second
        counted.answered("digits", "d", [0.5], second / 1000, offloaded=False, degraded=True)
    (reading,) = counted.read()
    assert (reading.requests, reading.degraded, reading.confidence_counts[10]) == (10, 10, 10)
    assert (reading.p50_ms, reading.p99_ms) == (pytest.approx(15.0), pytest.approx(19.0))
    now[0] = 1000.0
    (reading,) = counted.read()
    assert (reading.requests, reading.p99_ms, list(reading.confidence_counts)) == (0, 0.0, [0] * 20)


async def test_an_agent_whose_name_another_one_holds_asks_less_and_less_often_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    link, waits = Link(beat_s=0.01), []
    link.gateway.is_name_taken = True

    async def wait(delay_s: float) -> None:
        waits.append(delay_s)
        if len(waits) == 9:
            link.gateway.is_name_taken = False
            link.gateway.outgoing.put_nowait(fleet_pb2.DesiredState(revision=7))

    monkeypatch.setattr(link.sync, "_rest", wait)
    async with agent_fakes.running(link.sync.run()):
        await agent_fakes.until(lambda: link.taken == [7])
        assert waits == [2.5, 5, 10, 20, 40, 80, 150, 150, 150]
        assert not link.sync.has_name_conflict
        await agent_fakes.until(lambda: link.gateway.reports[-1][-1].name_conflicts == 9)
    assert [record.message for record in caplog.records].count("name_conflict") == 1


async def test_while_another_one_holds_the_name_the_metric_says_so() -> None:
    link = Link()
    link.gateway.is_name_taken = True
    async with agent_fakes.running(link.sync.run()):
        await agent_fakes.until(lambda: link.sync.has_name_conflict)
        assert not link.sync.is_connected


async def test_a_version_whose_golden_set_was_erased_is_not_kept_beside_the_one_that_serves(tmp_path: Path) -> None:
    node, serving = Node(tmp_path / "a", Fetch(V1, V2)), await agent_cascade.ready(tmp_path / "b")
    async with agent_fakes.running(node.updater.run()):
        await bring_up(node, V1, 1)
        await bring_up(node, V2, 2)
    applier = desired_state.Applier(node.updater, serving.cascade, agent_fakes.nothing_erased(tmp_path))
    before = node.updater.ledger.pointers("digits")
    assert before.last_known_good is not None and before.last_known_good.digest == V1.digest
    told = desired(V2)
    told.retired.extend([V1.digest, V2.digest])
    await applier.apply(told)
    pointers = node.updater.ledger.pointers("digits")
    assert pointers.last_known_good is None
    assert pointers.active is not None and pointers.active.digest == V2.digest  # what serves goes on
    assert [slot.digest for slot in node.updater._versions.whole_slots()] == [V2.digest]
