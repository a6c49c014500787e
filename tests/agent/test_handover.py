"""Two agents on one state folder: the new one serves at once, and takes over when the old one has let go of it.

As a DaemonSet's surge does it: the new pod is ready before the old one is told to end, and for a moment both are asked.
"""

import asyncio
import collections
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import agent_fakes
import agent_process
import footprint
import grpc
import models
import numpy as np
import psutil
import pytest
from agent_cascade import SURE, UNSURE
from agent_process import World

from skerry.adapters.oip.remote import RemoteModel
from skerry.agent import slots
from skerry.core import errors, manifest
from skerry.core.inference import InferRequest
from skerry.proto import edge_pb2
from skerry.serving import selftest

CAPTURE_ALL = json.dumps({"explorationPermille": 1000, "hardPermille": 1000, "capturePerSecond": 10_000}).encode()
VICTIM = str(Path(agent_process.__file__).with_name("handover_victim.py"))
NOTICE_S = "0.7"
RECORDED = edge_pb2.FeedbackReply.RECORDED


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


async def assigned(world: World, number: int, **options: Any) -> slots.Slot:
    """Version `number` is assigned, and reported as serving."""
    slot = world.publish(world.make(number, **options))
    world.gateway.assign(slot, offload_json=CAPTURE_ALL)
    await agent_fakes.until(
        lambda: bool(world.gateway.reports) and slot.digest in [m.digest for m in world.gateway.reports[-1].models],
        timeout_s=60,
    )
    return slot


def written(state: Path) -> dict[str, tuple[int, int]]:
    """What is in the folder, by size and time; of the spool the old agent's own doing is left out."""
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in state.rglob("*")
        if path.is_file() and "spool" not in path.parts
    }


def requests_in_cloud(world: World) -> collections.Counter[str]:
    """How many different examples the cloud holds of each request."""
    return collections.Counter(example.request_id for example in world.gateway.cloud.examples())


async def status(world: World, method: str, request: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.call(method, request, edge_pb2.SpoolState)
    code: grpc.StatusCode = caught.value.code()
    return code


async def test_the_new_one_serves_at_once_and_writes_nothing(old: World, new: World) -> None:
    before = written(old.tmp / "state")
    ready = await new.start(SKERRY_GRACE_SECONDS="1")
    assert (ready["standby"], ready["models"]) == (True, {"digits": 1})
    assert (await new.ask(SURE, id="a")).version == "1"
    label = edge_pb2.FeedbackRequest(model="digits", request_id="a", label=2)
    assert await status(new, "Feedback", label) == grpc.StatusCode.UNAVAILABLE
    assert await status(new, "SpoolStatus", edge_pb2.SpoolStatusRequest()) == grpc.StatusCode.UNAVAILABLE
    assert written(old.tmp / "state") == before
    assert len(old.gateway.sessions) == 1
    assert new.process is not None
    assert footprint.own_mib(new.process.pid) < 48
    assert await new.stop() == 0  # an update that is called off: the old one notices nothing
    assert (await old.ask(SURE)).version == "1"
    assert [line["count"] for line in events(new, "captures_lost")] == [1]


def events(world: World, name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in world.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


async def test_the_new_one_takes_over_when_the_old_one_has_ended(old: World, new: World) -> None:
    await new.start()
    await new.ask(UNSURE, id="while-standing-by")
    assert await old.stop() == 0
    await agent_fakes.until(lambda: requests_in_cloud(old)["while-standing-by"] == 1, timeout_s=30)
    assert (len(set(old.gateway.sessions)), old.gateway.most_streams) == (2, 1)
    assert await new.feedback("while-standing-by", 1) == RECORDED
    await assigned(new, 2, scale=2.0)
    assert (await new.ask(SURE)).version == "2"


async def test_what_the_old_one_swaps_meanwhile_is_served_by_the_new_one(old: World, new: World) -> None:
    await new.start()
    slot = await assigned(old, 2, scale=2.0)
    await assigned(old, 3, scale=3.0)
    async with asyncio.timeout(20):
        while (await new.ask(SURE)).version != "3":  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
    old.gateway.assign(slot, offload_json=CAPTURE_ALL, rollout="back", rollback=True)
    async with asyncio.timeout(20):
        while (await new.ask(SURE)).version != "2":  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
    assert len(old.gateway.sessions) == 1
    await old.stop(signal.SIGKILL)
    await agent_fakes.until(lambda: len(old.gateway.sessions) == 2, timeout_s=30)
    assert (await new.ask(SURE)).version == "2"


class Service:
    """Clients that ask one of the `endpoints`, as a Service spreads them, and never ask twice."""

    def __init__(self) -> None:
        self.endpoints: list[RemoteModel] = []
        self.asked = 0
        self.answered: set[str] = set()
        self.failed: list[str] = []

    async def client(self, name: str) -> None:
        for number in range(1_000_000):
            remote, request_id = self.endpoints[number % len(self.endpoints)], f"{name}-{number}"
            self.asked += 1
            try:
                request = InferRequest("digits", (models.tensor([UNSURE]),), id=request_id)
                await remote.infer(request, 10.0)
                self.answered.add(request_id)
            except errors.SkerryError as exc:
                self.failed.append(f"{request_id}: {exc}")
            await asyncio.sleep(0.005)

    async def served(self, more: int) -> None:
        enough = len(self.answered) + more
        await agent_fakes.until(lambda: len(self.answered) >= enough, timeout_s=30)


async def test_an_update_under_load_loses_no_request_and_each_example_is_captured_once(old: World, new: World) -> None:
    """Twice in a row, the endpoints lagging behind as those of a Service do."""
    service = Service()
    async with asyncio.TaskGroup() as group:
        service.endpoints = [RemoteModel(old.address)]
        clients = [group.create_task(service.client(f"c{at}")) for at in range(4)]
        await service.served(100)
        leaving = old
        for _ in range(2):
            coming = leaving.beside()
            await coming.start()
            both = [*service.endpoints, RemoteModel(coming.address)]
            service.endpoints = both
            await service.served(50)
            assert leaving.process is not None
            leaving.process.send_signal(signal.SIGTERM)
            await service.served(30)  # told to end, and still asked
            service.endpoints = both[1:]
            await service.served(50)
            if leaving is not old:
                assert await leaving.stop(0) == 0
            leaving = coming
        for client in clients:
            client.cancel()
    assert service.failed == []
    await agent_fakes.until(lambda: set(requests_in_cloud(old)) >= service.answered, timeout_s=40)
    assert set(requests_in_cloud(old).values()) == {1}
    await agent_fakes.until(lambda: len(set(old.gateway.sessions)) == 3, timeout_s=30)
    assert old.gateway.most_streams == 1


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


async def test_of_two_that_stand_by_one_takes_over_and_the_other_stands_by(old: World, new: World) -> None:
    third = old.beside()
    assert (await new.start())["standby"] and (await third.start())["standby"]
    await old.stop()
    await agent_fakes.until(lambda: len(set(old.gateway.sessions)) == 2, timeout_s=30)
    for one in (new, third):
        assert (await one.ask(SURE)).version == "1"
    await one_that_holds_the_folder(new, third).stop(signal.SIGKILL)
    await agent_fakes.until(lambda: len(set(old.gateway.sessions)) == 3, timeout_s=30)
    assert old.gateway.most_streams == 1


def one_that_holds_the_folder(*worlds: World) -> World:
    (found,) = [
        one
        for one in worlds
        if one.process and any("spool.db" in opened.path for opened in psutil.Process(one.process.pid).open_files())
    ]
    return found


async def test_a_sequence_goes_on_where_it_began_and_begins_anew_elsewhere(tmp_path: Path) -> None:
    async with agent_process.world(tmp_path) as old:
        old.env["SKERRY_NOTICE_SECONDS"] = NOTICE_S
        await old.start()
        slot = old.publish(streaming(old.tmp / "made"))
        old.gateway.assign(slot)
        await agent_fakes.until(lambda: old.gateway.state_of("rnn") == "SERVING", timeout_s=60)
        x = np.random.default_rng(3).normal(size=(4, models.FEATURES)).astype(np.float32)
        expected, new = models.rnn_reference(x), old.beside()
        await new.start()
        async with RemoteModel(old.address) as there, RemoteModel(new.address) as here:
            await step(there, x[0], start=True)
            with pytest.raises(errors.NotFoundError, match="sequence_start"):
                await step(here, x[1])
            assert old.process is not None
            old.process.send_signal(signal.SIGTERM)
            np.testing.assert_allclose(await step(there, x[1]), expected[1], rtol=1e-4, atol=1e-5)
            found = [await step(here, row, start=at == 0) for at, row in enumerate(x)]
        np.testing.assert_allclose(np.stack(found), expected, rtol=1e-4, atol=1e-5)


def streaming(root: Path) -> slots.Slot:
    x = np.ones((2, models.FEATURES), dtype=np.float32)
    logits = np.stack([models.rnn_reference(row[None])[0] for row in x])
    data, golden = models.rnn(), selftest.pack({"x": x}, {"logits": logits})
    state = (manifest.State("h", "h_next", (models.HIDDEN,)),)
    made = models.manifest_for("rnn", data, [models.X], [models.LOGITS], state=state, golden=golden)
    return slots.Slot("rnn", 1, made.digest, models.write(root, "rnn", 1, data, made, golden))


async def step(remote: RemoteModel, row: Any, *, start: bool = False) -> Any:
    parameters = {"sequence_id": 7, "sequence_start": start}
    reply = await remote.infer(InferRequest("rnn", (models.tensor(row[None]),), parameters=parameters), 10.0)
    return reply.outputs[0].data[0]


STEPS_OF_THE_NEW = [
    ("skerry.agent.standby:until_first", "before", "as it begins to stand by"),
    ("skerry.agent.parts:State", "after", "as it has read what the old one serves"),
    ("skerry.agent.slots:Slots.clean", "before", "as it holds the folder"),
    ("skerry.agent.slots:Slots.clean", "after", "as it has cleaned it"),
    ("skerry.agent.parts:link", "before", "as it is about to be linked"),
    ("skerry.agent.salvage:open_spool", "before", "before it opens the spool"),
    ("skerry.agent.salvage:open_spool", "after", "as it has opened the spool"),
    ("skerry.agent.sync:Sync._both_ways", "before", "as it reports for the first time"),
]


@pytest.mark.parametrize(
    ("where", "moment"), [row[:2] for row in STEPS_OF_THE_NEW], ids=[row[2] for row in STEPS_OF_THE_NEW]
)
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
    ("skerry.serving.ending:drain", "before", "as it is told to end"),
    ("skerry.serving.ending:drain", "after", "as it has drained"),
    ("skerry.agent.main:_let_go", "before", "before it flushes"),
    ("skerry.agent.keeper:Keeper.close", "before", "as it has flushed"),
    ("skerry.agent.standby:Place.leave", "before", "before it lets go of the folder"),
    ("skerry.agent.standby:Place.leave", "after", "as it has let go of the folder"),
]


@pytest.mark.parametrize(
    ("where", "moment"), [row[:2] for row in STEPS_OF_THE_OLD], ids=[row[2] for row in STEPS_OF_THE_OLD]
)
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
