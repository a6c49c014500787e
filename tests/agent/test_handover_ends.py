"""Two agents on one state folder, of which one or both are killed or told to end: nothing is lost or doubled."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import agent_fakes
import agent_process
import pytest
import selection
from agent_cascade import SURE, UNSURE
from agent_process import World
from handing_over import NOTICE_S, Service, assigned, events, requests_in_cloud

from skerry.adapters.oip.remote import RemoteModel

VICTIM = str(Path(agent_process.__file__).with_name("handover_victim.py"))


@pytest.fixture
async def old(tmp_path: Path) -> AsyncIterator[World]:
    """An agent that serves version 1 and captures every answer."""
    async with agent_process.world(tmp_path) as made:
        made.env["SKERRY_NOTICE_SECONDS"] = NOTICE_S
        await made.start()
        await assigned(made, 1)
        yield made


@pytest.fixture
def new(old: World) -> World:
    """Another one on the same folder, not yet started."""
    return old.beside()


async def test_the_new_one_goes_on_while_the_old_one_is_killed(old: World, new: World) -> None:
    await new.start()
    service = Service()
    service.endpoints = [RemoteModel(new.address)]
    async with asyncio.TaskGroup() as group:
        clients = [group.create_task(service.client(f"c{at}")) for at in range(4)]
        await service.served(50)
        await old.stop(signal.SIGKILL)
        await service.served(50)
        await agent_fakes.until(lambda: len(set(old.gateway.sessions)) == 2, timeout_s=30)
        await service.served(50)
        for client in clients:
            client.cancel()
    assert service.failed == []
    await agent_fakes.until(lambda: set(requests_in_cloud(old)) >= service.answered, timeout_s=40)
    assert set(requests_in_cloud(old).values()) == {1}


async def test_who_was_next_puts_down_what_it_captured_though_it_is_told_to_end_first(old: World, new: World) -> None:
    """Two updates in quick succession: the first new one ends without ever having had the folder to itself."""
    third = old.beside()
    await new.start()
    await third.start()
    await new.ask(UNSURE, id="of-the-second")
    await third.ask(UNSURE, id="of-the-third")
    assert old.process is not None and new.process is not None
    for one in (new, old):
        one.process.send_signal(signal.SIGTERM)  # type: ignore[union-attr]
    for request_id in ("of-the-second", "of-the-third"):
        await agent_fakes.until(lambda name=request_id: requests_in_cloud(old)[name] == 1, timeout_s=30)  # type: ignore[misc]
    assert events(old, "captures_lost") == []


async def test_what_was_captured_while_standing_by_survives_the_end_of_both(old: World, new: World) -> None:
    await old.gateway.stop()
    await new.start()
    await new.ask(UNSURE, id="late")
    assert old.process is not None and new.process is not None
    for one in (new, old):
        one.process.send_signal(signal.SIGTERM)  # type: ignore[union-attr]
    assert [await one.stop(0) for one in (new, old)] == [0, 0]
    await old.gateway.start()
    await new.start()
    await agent_fakes.until(lambda: requests_in_cloud(old)["late"] == 1, timeout_s=30)


STEPS_OF_THE_NEW = [
    ("skerry.agent.handover:until_held", "before", "as it begins to stand by"),
    ("skerry.agent.wiring:State", "after", "as it has read what the old one serves"),
    ("skerry.agent.update.version_store:VersionStore.clean", "before", "as it holds the folder"),
    ("skerry.agent.update.version_store:VersionStore.clean", "after", "as it has cleaned it"),
    ("skerry.agent.wiring:open_link", "before", "as it is about to be linked"),
    ("skerry.agent.capture.spool_recovery:open_spool", "before", "before it opens the spool"),
    ("skerry.agent.capture.spool_recovery:open_spool", "after", "as it has opened the spool"),
    ("skerry.agent.sync.stream:SyncLoop._both_ways", "before", "as it reports for the first time"),
]


@pytest.mark.parametrize(("where", "moment"), selection.sampled(STEPS_OF_THE_NEW, every=8))
async def test_a_new_one_that_is_killed_costs_nothing_but_itself(old: World, where: str, moment: str) -> None:
    victim, third = old.beside(), old.beside()
    victim.program = (VICTIM, where, moment)
    await old.gateway.stop()
    for at in range(5):
        await old.ask(UNSURE, id=f"before-{at}")
    await started_or_dead(victim)
    if victim.process and victim.process.poll() is None:
        assert await old.stop() == 0
    assert victim.process and await asyncio.to_thread(victim.process.wait, 30) == -signal.SIGKILL
    ready = await third.start()
    assert ready["models"] == {"digits": 1}
    if old.process:
        assert ready["standby"] and (await old.ask(SURE)).version == "1"
        await old.stop()
    await old.gateway.start()
    await agent_fakes.until(lambda: sum(requests_in_cloud(old).values()) >= 5, timeout_s=30)
    assert {f"before-{at}" for at in range(5)} <= set(requests_in_cloud(old))
    assert set(requests_in_cloud(old).values()) == {1}
    await assigned(third, 2, scale=2.0)


async def started_or_dead(world: World) -> None:
    """It may be killed before it says that it is ready."""
    try:
        await world.start()
    except AssertionError:
        assert world.process and await asyncio.to_thread(world.process.wait, 10) == -signal.SIGKILL


STEPS_OF_THE_OLD = [
    ("skerry.serving.draining:drain", "before", "as it is told to end"),
    ("skerry.serving.draining:drain", "after", "as it has drained"),
    ("skerry.agent.main:_release_state_folder", "before", "before it flushes"),
    ("skerry.agent.capture.spool_thread:SpoolThread.close", "before", "as it has flushed"),
    ("skerry.agent.handover:StateLock.release", "before", "before it lets go of the folder"),
    ("skerry.agent.handover:StateLock.release", "after", "as it has let go of the folder"),
]


@pytest.mark.parametrize(("where", "moment"), selection.sampled(STEPS_OF_THE_OLD, every=6))
async def test_an_old_one_that_is_killed_as_it_ends_is_succeeded_all_the_same(
    tmp_path: Path, where: str, moment: str
) -> None:
    async with agent_process.world(tmp_path) as old:
        old.program = (VICTIM, where, moment)
        await old.start()
        await assigned(old, 1)
        new = old.beside()
        new.program = World.program
        assert (await new.start())["standby"]
        for at in range(5):
            await old.ask(UNSURE, id=f"before-{at}")
        await agent_fakes.until(lambda: len(requests_in_cloud(old)) >= 5, timeout_s=30)
        await new.ask(UNSURE, id="beside")
        assert await old.stop() == -signal.SIGKILL
        await agent_fakes.until(lambda: requests_in_cloud(old)["beside"] == 1, timeout_s=30)
        assert set(requests_in_cloud(old).values()) == {1}
        assert (await new.ask(SURE)).version == "1"
