"""Streams of nodes: what a report leaves behind, what goes out and when, and which stream counts."""

import asyncio

import pytest
from sessions_world import ASSIGNMENT, DIGEST, Gateway, report, settled

from skerry.adapters.objects.memory import MemoryObjects
from skerry.core import errors, specs
from skerry.dashboard import nodes
from skerry.gateway import reports
from skerry.proto import edge_pb2, fleet_pb2
from skerry.rpc.methods import Status


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


async def test_what_a_node_warns_of_is_written_as_long_as_it_does() -> None:
    gateway = Gateway(MemoryObjects())
    warning = edge_pb2.Warning(model="digits", series="press-4", since_unix_ms=5, text="3 forecasts in a row are off")
    async with gateway.stream(report(warnings=[warning])) as call:
        gateway.look()
        (seen,) = nodes.view([gateway.node], [], {}, now_ms=gateway.now_ms)
        assert [(one.subject, one.since_ms, one.message) for one in seen.warnings] == [
            ("digits, press-4", 5, "3 forecasts in a row are off")
        ]
        assert seen.notes == ["warns of digits"]
        call.say(report(2))
        await gateway.sessions.written()
        assert "warnings" not in gateway.node.status


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"model": "No!"}, "EdgeModel"),
        ({"series": "x" * 200}, "a series is named by"),
        ({"series_unix_ms": -1}, "the time of a series"),
        ({"since_unix_ms": 1 << 62}, "cannot be"),
        ({"text": "x" * 2000}, "cannot be"),
    ],
)
def test_a_warning_that_cannot_be_is_refused(fields: dict[str, object], told: str) -> None:
    warning = edge_pb2.Warning(**{"model": "digits", **fields})  # type: ignore[arg-type]
    with pytest.raises(errors.InputError, match=told):
        reports.check(report(warnings=[warning]))
    with pytest.raises(errors.TooLargeError, match="more than 16 warnings"):
        reports.check(report(warnings=[edge_pb2.Warning(model="digits")] * 17))


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
        assert gateway.instruments.reports.value() == 61
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
        assert gateway.instruments.stale_reports.value() == 2
        async with gateway.stream(report(7, agent_version="old")):
            assert gateway.instruments.stale_reports.value() == 3
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
    await settled(lambda: gateway.instruments.streams == 0)


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
