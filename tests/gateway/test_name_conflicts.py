"""Two agents of one name, as a cloned disk makes them: one holds the name, people are told, and little is written."""

from typing import Any

from sessions_world import FakeCall, Gateway, report, settled

from skerry.adapters.objects.memory import MemoryObjects
from skerry.core import name_claim, specs
from skerry.rpc.methods import Status


def condition(gateway: Gateway) -> dict[str, Any]:
    found: list[dict[str, Any]] = gateway.node.status.get("conditions", [])
    return next((one for one in found if one["type"] == "NameConflict"), {})


async def comes(gateway: Gateway, boot: str, sequence: int = 1) -> FakeCall:
    call = FakeCall(gateway.sessions)
    call.say(report(sequence, boot_id=boot))
    await gateway.sessions.written()
    gateway.look()
    return call


async def test_a_process_that_was_displaced_is_refused_while_the_other_is_connected() -> None:
    gateway = Gateway(MemoryObjects())
    first = await comes(gateway, "a")
    second = await comes(gateway, "b")
    assert first.ended is not None and first.ended.status is Status.ABORTED
    again = await comes(gateway, "a")
    assert again.ended is not None and again.ended.status is Status.ALREADY_EXISTS
    assert "SKERRY_NODE" in again.ended.message
    assert second.ended is None
    assert gateway.node.status["bootId"] == "b"


async def test_people_are_told_once_however_often_it_comes() -> None:
    gateway = Gateway(MemoryObjects())
    await comes(gateway, "a")
    held = await comes(gateway, "b")
    await comes(gateway, "a")
    before = gateway.objects.writes
    for sequence in range(2, 102):
        assert (await comes(gateway, "a")).ended is not None
        held.say(report(sequence, boot_id="b"))
        await gateway.sessions.written()
        gateway.look()
    assert gateway.objects.writes == before
    assert (condition(gateway)["status"], condition(gateway)["reason"]) == ("True", "TwoAgents")
    assert "two agents run as north" in condition(gateway)["message"]
    assert "10.0.0.1:1" in condition(gateway)["message"]
    assert [(*told[:3], told[4]) for told in gateway.events.told] == [("EdgeNode", "north", "TwoAgents", True)]
    assert gateway.instruments.name_conflicts.value() == 101
    specs.parse_node("north", gateway.node.spec, gateway.node.status)


async def test_a_conflict_that_goes_on_is_written_down_every_five_minutes_and_ends_when_it_is_over() -> None:
    gateway = Gateway(MemoryObjects())
    await comes(gateway, "a")
    held = await comes(gateway, "b")
    await comes(gateway, "a")
    gateway.now_ms += name_claim.REMEMBER_MS
    held.say(report(2, boot_id="b"))
    await comes(gateway, "a")
    assert gateway.node.status["conflictUnixMs"] == gateway.now_ms
    assert len(gateway.events.told) == 1
    gateway.now_ms += name_claim.OVER_MS
    held.say(report(3, boot_id="b"))
    await gateway.sessions.written()
    gateway.look()
    assert (condition(gateway)["status"], condition(gateway)["reason"]) == ("False", "OneAgent")
    assert "conflictUnixMs" not in gateway.node.status
    assert gateway.events.told[-1][2] == "OneAgent"
    before = gateway.objects.writes
    held.say(report(4, boot_id="b"))
    await gateway.sessions.written()
    assert gateway.objects.writes == before


async def test_when_the_holder_is_gone_the_other_one_may_come() -> None:
    gateway = Gateway(MemoryObjects())
    await comes(gateway, "a")
    held = await comes(gateway, "b")
    held.hang_up()
    await gateway.sessions.written()
    gateway.look()
    assert "earlierBootIds" not in gateway.node.status
    assert (await comes(gateway, "a")).ended is None
    assert gateway.node.status["bootId"] == "a"


async def test_a_restart_takes_the_place_of_a_stream_that_only_looks_open() -> None:
    gateway = Gateway(MemoryObjects())
    await comes(gateway, "a")
    restarted = await comes(gateway, "b")
    assert restarted.ended is None
    assert condition(gateway) == {} and not gateway.events.told


async def test_two_agents_at_two_gateways_do_not_take_turns_either() -> None:
    objects = MemoryObjects()
    one, two = Gateway(objects), Gateway(objects)

    async def look() -> None:
        for gateway in (one, two):
            await gateway.sessions.written()
            gateway.look()

    first = await comes(one, "a")
    await look()
    second = await comes(two, "b")
    await look()
    first.say(report(2, boot_id="a"))  # it lives, and its gateway has seen the other one
    await look()
    assert first.ended is not None and first.ended.status is Status.ALREADY_EXISTS
    before = objects.writes
    for sequence in range(2, 52):
        assert (await comes(one if sequence % 2 else two, "a")).ended is not None
        second.say(report(sequence, boot_id="b"))
        await look()
    assert second.ended is None
    assert objects.writes - before <= 1
    assert one.node.status["bootId"] == "b"


async def test_a_gateway_that_starts_anew_still_knows_who_was_displaced() -> None:
    objects = MemoryObjects()
    gateway = Gateway(objects)
    await comes(gateway, "a")
    await comes(gateway, "b")
    restarted = Gateway(objects)
    restarted.look()
    assert (await comes(restarted, "b")).ended is None
    assert (await comes(restarted, "a")).ended is not None
    await settled(lambda: condition(restarted) != {})


async def test_a_name_whose_holder_is_silent_for_long_is_free() -> None:
    objects = MemoryObjects()
    killed = Gateway(objects)
    await comes(killed, "a")
    await comes(killed, "b")
    other = Gateway(objects)
    other.now_ms += 61_000
    other.look()
    assert (await comes(other, "a")).ended is None
    assert "earlierBootIds" not in other.node.status
