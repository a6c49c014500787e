"""Streams of nodes: their readings, what happens while Redis or the object store is away, and reports that are none."""

import asyncio
import json
import math
from collections.abc import Mapping
from typing import Any

import pytest
from sessions_world import DIGEST, FakeCall, Gateway, report, settled

from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.adapters.fleetstate.protocol import NOTHING
from skerry.adapters.objects.memory import MemoryObjects
from skerry.core import contract, errors, evidence_counters
from skerry.core.contract import Counted
from skerry.core.truth_delay import AT_ONCE
from skerry.gateway import reports
from skerry.proto import fleet_pb2
from skerry.rpc.methods import Status


async def test_readings_are_put_with_their_node_and_age_and_once_more_when_it_goes() -> None:
    gateway = Gateway(MemoryObjects())
    writing = asyncio.create_task(gateway.readings.run())
    async with gateway.stream(report()):
        await settled(lambda: len(gateway.fleetstate.get("node:", "spool:")) == 2)
        found = gateway.fleetstate.get("node:", "spool:")
        reading = json.loads(found["node:north:digits"])
        assert reading["requests"] == 5 and reading["windowS"] == 10.0
        assert (reading["node"], reading["atUnixMs"], reading["connected"]) == ("north", 1_000_000, True)
        assert json.loads(found["spool:north"])["pending"] == 2
    await settled(lambda: not json.loads(gateway.fleetstate.get("node:")["node:north:digits"])["connected"])
    writing.cancel()


def met(sequence: int, total: int, refused: int = 0, failed: int = 0, **changes: Any) -> fleet_pb2.NodeReport:
    reading = fleet_pb2.Reading(
        model="digits", digest=DIGEST, requests_total=total, refused_total=refused, failed_total=failed
    )
    return report(sequence, readings=[reading], **changes)


def requests(gateway: Gateway, *since: int) -> list[Mapping[str, int]]:
    """Of this moment, in each counter."""
    counters = evidence_counters.counters_of(Counted.REQUESTS, "digits", DIGEST, gateway.now_ms, since, AT_ONCE)
    return list(gateway.fleetstate.count([counter.key for counter in counters]))


async def test_requests_are_counted_by_version_as_they_rise_from_report_to_report_and_over_streams() -> None:
    gateway = Gateway(MemoryObjects())
    writing = asyncio.create_task(gateway.readings.run())
    async with gateway.stream(met(1, 1000, 7)) as call:  # of before this gateway heard the node: counted by another
        call.say(met(2, 1010, 9, 1))
        await settled(lambda: requests(gateway) == 2 * [{"north": 10, "north!": 3}])
        call.say(met(2, 2000, 9, 1))  # a report that came twice
        call.say(met(3, 1011, 9, 1))
    async with gateway.stream(met(4, 1031, 9, 1)) as call:
        await settled(lambda: requests(gateway) == 2 * [{"north": 31, "north!": 3}])
        call.say(met(1, 5, 5, boot_id="b2"))  # the agent was started again: its totals began at zero
        await settled(lambda: requests(gateway) == 2 * [{"north": 36, "north!": 8}])
    writing.cancel()


async def test_requests_count_for_the_comparison_that_goes_on() -> None:
    gateway = Gateway(MemoryObjects())
    writing = asyncio.create_task(gateway.readings.run())
    since = contract.comparison_counter(Counted.REQUESTS, "digits", DIGEST, 7)
    async with gateway.stream(met(1, 0)) as call:
        call.say(met(2, 4, 1))
        await settled(lambda: requests(gateway) == 2 * [{"north": 4, "north!": 1}])
        gateway.objects.create("ModelRollout", "r", {"model": "digits"}, manager="operator")
        for sequence, state in ((3, "Progressing"), (4, "Succeeded")):
            status = {"state": state, "evidenceSinceUnixMs": 7}
            gateway.objects.patch("ModelRollout", "r", manager="controller", status=status)
            gateway.look()
            call.say(met(sequence, 10 * sequence, 1))
        await settled(lambda: requests(gateway) == 2 * [{"north": 40, "north!": 1}])
    writing.cancel()
    assert dict(gateway.fleetstate.count([since])[0]) == {"north": 26}


async def test_counts_wait_while_redis_is_away() -> None:
    gateway = Gateway(MemoryObjects())
    here, gateway.readings._fleetstate = gateway.fleetstate, AwayState()
    writing = asyncio.create_task(gateway.readings.run())
    async with gateway.stream(met(1, 0)) as call:
        call.say(met(2, 4, 1))
        await asyncio.sleep(0.3)
        call.say(met(3, 10, 2))
        gateway.readings._fleetstate = here
        call.say(met(4, 12, 2))
        await settled(lambda: requests(gateway) == 2 * [{"north": 12, "north!": 2}])
    writing.cancel()


@pytest.mark.parametrize("totals", [(5, 6, 0), (5, -1, 0), (5, 3, 3)])
async def test_totals_that_cannot_be_end_the_stream(totals: tuple[int, int, int]) -> None:
    gateway = Gateway(MemoryObjects())
    call = FakeCall(gateway.sessions)
    call.say(met(1, *totals))
    assert call.ended is not None and call.ended.status is Status.INVALID_ARGUMENT
    assert "requests failed" in call.ended.message


def test_of_a_report_is_kept_what_its_readings_are_made_of_and_no_more() -> None:
    whole = report()
    kept = fleet_pb2.NodeReport.FromString(reports.readings_report(whole))
    for connected in (True, False):
        assert reports.readings(kept, 7, connected=connected) == reports.readings(whole, 7, connected=connected)
    assert not kept.models and not kept.boot_id and not kept.HasField("runtime")
    bare = report(readings=[])
    bare.ClearField("spool")
    assert reports.readings(fleet_pb2.NodeReport.FromString(reports.readings_report(bare)), 7, connected=True) == {}


class AwayState(MemoryFleetState):
    def put_all(self, readings: Mapping[str, str], *, ttl_s: float) -> None:
        raise errors.UnavailableError("Redis did not answer")

    def add(
        self, counter: str, amounts: Mapping[str, int], *, ttl_s: float, latest: Mapping[str, int] = NOTHING
    ) -> None:
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
    "an error that is not finite": report(readings=[fleet_pb2.Reading(model="m", truths=1, absolute_error=math.inf)]),
    "an error below nothing": report(readings=[fleet_pb2.Reading(model="m", truths=1, absolute_error=-1)]),
    "more rows of input than a node looks at": report(readings=[fleet_pb2.Reading(model="m", input_rows=10**6)]),
    "more features than a version has": report(readings=[fleet_pb2.Reading(model="m", input_sums=[0.0] * 33)]),
    "inputs that cannot be": report(readings=[fleet_pb2.Reading(model="m", input_rows=2, input_sums=[1e9])]),
    "inputs that are no numbers": report(
        readings=[fleet_pb2.Reading(model="m", input_rows=2, input_sums=[float("nan")])]
    ),
    "more truths covered than came": report(readings=[fleet_pb2.Reading(model="m", truths=1, coverage=1.01)]),
    "fewer truths than none": report(readings=[fleet_pb2.Reading(model="m", truths=-1)]),
    "more truths than are told": report(readings=[fleet_pb2.Reading(model="m", truths=501)]),
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
