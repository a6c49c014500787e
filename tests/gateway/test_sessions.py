"""Streams of nodes: what a report leaves behind, what goes out and when, and which stream counts."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.adapters.objects.memory import MemoryObjects
from skerry.core import errors, specs
from skerry.gateway import desired, identity, liveness, metrics, reports, sessions
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
        self.numbers, self.view = metrics.Numbers(), desired.View()
        self.readings = liveness.Readings(self.fleetstate)
        self.sessions = sessions.Sessions(
            objects,
            self.view,
            self.readings,
            self.numbers,
            guard=identity.Guard(self.view),
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


async def test_the_first_report_enrols_the_node_and_tells_what_runs_there() -> None:
    gateway = Gateway(MemoryObjects())
    async with gateway.stream(report()):
        node = specs.parse_node("north", gateway.node.spec, gateway.node.status)
        assert node.connected
        assert node.last_seen_ms == 1_000_000
        assert node.report("digits") == specs.ModelReport("digits", DIGEST, 3, target_state="Serving")
        assert gateway.node.status["runtime"]["maxIrVersion"] == 14
        assert gateway.node.status["servingAddress"] == "10.0.0.1:9000"


async def test_the_desired_state_comes_at_once_and_when_it_changes() -> None:
    gateway = Gateway(MemoryObjects())
    async with gateway.stream(report()) as call:
        gateway.look()
        gateway.objects.patch("EdgeNode", "north", spec={"assignments": [ASSIGNMENT]}, manager="controller")
        gateway.look()
        state = await call.hear()
        assert [one.digest for one in state.assignments] == [DIGEST]
        gateway.objects.patch("EdgeNode", "north", spec={"labels": {"a": "b"}}, manager="operator")
        gateway.look()
        call.say(report(2))
        await gateway.sessions.written()
        assert call.states.empty()


async def test_a_steady_fleet_writes_a_sign_of_life_every_five_seconds_and_nothing_else() -> None:
    gateway = Gateway(MemoryObjects())
    async with gateway.stream(report(1)) as call:
        gateway.look()
        before = gateway.objects.writes
        for sequence in range(2, 62):  # a minute of reports, one a second
            gateway.now_ms += 1000
            call.say(report(sequence))
            await gateway.sessions.written()
            gateway.look()
        assert gateway.numbers.reports._value.get() == 61
        assert gateway.node.status["lastSeenUnixMs"] == 1_060_000
        assert gateway.objects.writes - before == 12
        assert gateway.node.generation == 1


async def test_what_changes_is_written_at_once() -> None:
    gateway = Gateway(MemoryObjects())
    async with gateway.stream(report(1)) as call:
        gateway.look()
        refused = fleet_pb2.ModelReport(
            model="digits", digest=DIGEST, target_digest=DIGEST, target_state=fleet_pb2.REFUSED, reason="r" * 5000
        )
        call.say(report(2, models=[refused]))
        await settled(lambda: gateway.node.status["models"][0]["targetState"] == "Refused")
        assert len(gateway.node.status["models"][0]["reason"]) == reports.MAX_REASON_CHARS


async def test_a_stream_that_ends_leaves_the_node_disconnected() -> None:
    gateway = Gateway(MemoryObjects())
    async with gateway.stream(report()):
        assert gateway.node.status["connected"] is True
        gateway.look()
    assert gateway.node.status["connected"] is False
    assert gateway.node.status["models"][0]["digest"] == DIGEST


async def test_a_node_that_falls_silent_is_hung_up_on() -> None:
    gateway = Gateway(MemoryObjects(), report_timeout_s=0.05)
    async with gateway.stream(report()) as call:
        await settled(lambda: call.ended)
    assert call.ended is not None and call.ended.status is Status.UNAVAILABLE
    assert "sent no report" in call.ended.message
    assert gateway.node.status["connected"] is False


async def test_who_goes_on_reporting_is_not_taken_for_silent() -> None:
    gateway = Gateway(MemoryObjects(), report_timeout_s=0.2)
    async with gateway.stream(report()) as silent, gateway.stream(report(node="south")) as talking:
        for sequence in range(2, 22):
            talking.say(report(sequence, node="south"))
            await asyncio.sleep(0.02)
        assert silent.ended is not None and talking.ended is None
        assert len(gateway.sessions._open) == 1


async def test_streams_in_silence_have_no_task_and_one_timer_for_all() -> None:
    gateway = Gateway(MemoryObjects())
    async with gateway.stream(report()), gateway.stream(report(node="south")), gateway.stream(report(node="west")):
        assert len(asyncio.all_tasks()) == 1
        assert gateway.sessions._silence is not None
        assert gateway.sessions._silence.when() == gateway.sessions._open["north"].heard_at_s + 60


async def test_a_report_of_the_past_is_ignored_on_any_stream() -> None:
    gateway = Gateway(MemoryObjects())
    async with gateway.stream(report(7)) as call:
        call.say(report(6, agent_version="old"))
        call.say(report(7, agent_version="old"))
        assert gateway.numbers.stale_reports._value.get() == 2
        async with gateway.stream(report(7, agent_version="old")):
            assert gateway.numbers.stale_reports._value.get() == 3
    async with gateway.stream(report(5, agent_version="old")):
        assert gateway.node.status["agentVersion"] == "0.1"
    async with gateway.stream(report(1, boot_id="b2", agent_version="new")):
        assert gateway.node.status["agentVersion"] == "new"


async def test_the_newest_stream_of_a_node_wins() -> None:
    gateway = Gateway(MemoryObjects())
    async with gateway.stream(report(1)) as old, gateway.stream(report(2)) as new:
        assert old.ended is not None and old.ended.status is Status.ABORTED
        assert "another stream" in old.ended.message
        assert gateway.node.status["connected"] is True
        gateway.look()
        gateway.objects.patch("EdgeNode", "north", spec={"assignments": [ASSIGNMENT]}, manager="controller")
        gateway.look()
        assert len((await new.hear()).assignments) == 1


async def test_of_two_gateways_the_one_that_lost_the_node_does_not_say_it_is_gone() -> None:
    objects = MemoryObjects()
    one, other = Gateway(objects), Gateway(objects)
    other.now_ms += 2000
    async with one.stream(report(1)):
        other.look()
        async with other.stream(report(2)):
            one.look()
            await one_ends(one)
            assert one.node.status["connected"] is True


async def one_ends(gateway: Gateway) -> None:
    gateway.sessions.end_all()
    await settled(lambda: gateway.numbers.streams._value.get() == 0)


async def test_a_node_said_to_be_gone_by_another_gateway_is_put_right_by_its_next_report() -> None:
    gateway = Gateway(MemoryObjects())
    async with gateway.stream(report(1)) as call:
        gateway.objects.patch("EdgeNode", "north", status={"connected": False}, manager="gateway")
        gateway.look()
        call.say(report(2))
        await settled(lambda: gateway.node.status["connected"] is True)


async def test_a_node_whose_object_was_deleted_is_enrolled_again() -> None:
    gateway = Gateway(MemoryObjects())
    async with gateway.stream(report(1)) as call:
        gateway.look()
        gateway.objects.delete("EdgeNode", "north")
        gateway.look()
        call.say(report(2))
        await settled(lambda: any(one.status for one in gateway.objects.list("EdgeNode")))


async def test_readings_are_put_with_their_node_and_age_and_once_more_when_it_goes() -> None:
    gateway = Gateway(MemoryObjects())
    writing = asyncio.create_task(gateway.readings.run())
    async with gateway.stream(report()):
        await settled(lambda: len(gateway.fleetstate.get("")) == 2)
        found = gateway.fleetstate.get("")
        reading = json.loads(found["node:north:digits"])
        assert reading["requests"] == 5 and reading["windowS"] == 10.0
        assert (reading["node"], reading["atUnixMs"], reading["connected"]) == ("north", 1_000_000, True)
        assert json.loads(found["spool:north"])["pending"] == 2
    await settled(lambda: not json.loads(gateway.fleetstate.get("node:")["node:north:digits"])["connected"])
    writing.cancel()


def test_of_a_report_is_kept_what_its_readings_are_made_of_and_no_more() -> None:
    whole = report()
    kept = fleet_pb2.NodeReport.FromString(reports.last_words(whole))
    for connected in (True, False):
        assert reports.readings(kept, 7, connected=connected) == reports.readings(whole, 7, connected=connected)
    assert not kept.models and not kept.boot_id and not kept.HasField("runtime")
    bare = report(readings=[])
    bare.ClearField("spool")
    assert reports.readings(fleet_pb2.NodeReport.FromString(reports.last_words(bare)), 7, connected=True) == {}


class AwayState(MemoryFleetState):
    def put(self, key: str, value: str, *, ttl_s: float) -> None:
        raise errors.UnavailableError("Redis did not answer")


async def test_while_redis_is_away_nodes_are_served_all_the_same() -> None:
    gateway = Gateway(MemoryObjects())
    gateway.readings._fleetstate = AwayState()
    writing = asyncio.create_task(gateway.readings.run())
    async with gateway.stream(report(1)) as call:
        call.say(report(2, agent_version="next"))
        await settled(lambda: gateway.node.status["agentVersion"] == "next")
    assert not writing.done()
    writing.cancel()


class AwayObjects(MemoryObjects):
    away = False

    def patch(self, *args: Any, **fields: Any) -> Any:
        if self.away:
            raise errors.UnavailableError("the object store did not answer: database is locked")
        return super().patch(*args, **fields)


async def test_while_the_object_store_is_away_the_stream_stays_and_the_status_is_written_later() -> None:
    objects = AwayObjects()
    gateway = Gateway(objects)
    async with gateway.stream(report(1)) as call:
        gateway.look()
        objects.away = True
        call.say(report(2, agent_version="next"))
        await gateway.sessions.written()
        assert gateway.node.status["agentVersion"] == "0.1" and call.ended is None
        objects.away = False
        call.say(report(3, agent_version="next"))
        await settled(lambda: gateway.node.status["agentVersion"] == "next")


BAD_REPORTS: dict[str, Any] = {
    "bytes that are no report": b"\xff\xff\xff",
    "no name": report(node=""),
    "a name that is a path": report(node="../x"),
    "no boot id": report(boot_id=""),
    "a text without end": report(agent_version="x" * 10_000),
    "a model name that is none": report(models=[fleet_pb2.ModelReport(model="A B")]),
    "a digest that is none": report(models=[fleet_pb2.ModelReport(model="digits", digest="sha256:x")]),
    "a negative permit": report(models=[fleet_pb2.ModelReport(model="digits", highest_permit=-1)]),
    "too many models": report(models=[fleet_pb2.ModelReport(model=f"m{n}") for n in range(300)]),
    "a reading that is not finite": report(readings=[fleet_pb2.Reading(model="digits", p99_ms=float("nan"))]),
    "a reading of a model that is none": report(readings=[fleet_pb2.Reading(model="a:b")]),
}


@pytest.mark.parametrize("bad", BAD_REPORTS.values(), ids=BAD_REPORTS.keys())
async def test_a_bad_first_report_is_an_error_of_the_node_and_leaves_nothing(bad: Any) -> None:
    gateway = Gateway(MemoryObjects())
    call = FakeCall(gateway.sessions)
    call.say(bad)
    assert call.ended is not None
    assert call.ended.status in (Status.INVALID_ARGUMENT, Status.RESOURCE_EXHAUSTED)
    assert gateway.objects.writes == 0


async def test_a_stream_cannot_report_for_another_node() -> None:
    gateway = Gateway(MemoryObjects())
    async with gateway.stream(report(1)) as call:
        call.say(report(1, node="south"))
        assert call.ended is not None and "reports for south" in call.ended.message
    assert [one.name for one in gateway.objects.list("EdgeNode")] == ["north"]
