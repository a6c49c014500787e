"""Two agents on one state folder: the new one serves at once, and takes over when the old one has let go of it.

As a DaemonSet's surge does it: the new pod is ready before the old one is told to end, and for a moment both are asked.
"""

import asyncio
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
from agent_process import World, token_of
from handing_over import CAPTURE_ALL, NOTICE_S, RECORDED, Service, assigned, events, requests_in_cloud, status, written

from skerry.adapters.oip.remote import RemoteModel
from skerry.agent.update import version_store
from skerry.core import errors, manifest
from skerry.core.inference import InferRequest
from skerry.proto import edge_pb2
from skerry.serving import selftest


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


async def test_the_new_one_takes_over_when_the_old_one_has_ended(old: World, new: World) -> None:
    await new.start()
    by_the_old_one = token_of(await old.ask(UNSURE, id="before"))
    by_the_new_one = token_of(await new.ask(UNSURE, id="while-standing-by"))
    assert await old.stop() == 0
    await agent_fakes.until(lambda: requests_in_cloud(old)["while-standing-by"] == 1, timeout_s=30)
    assert (len(set(old.gateway.sessions)), old.gateway.most_streams) == (2, 1)
    assert await new.feedback("while-standing-by", 1, by_the_new_one) == RECORDED
    assert await new.feedback("before", 2, by_the_old_one) == RECORDED
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
    await assigned(leaving, 2, scale=2.0)  # the last one speaks with the cloud; the one between may never have had to
    assert (await leaving.ask(SURE)).version == "2"
    assert old.gateway.most_streams == 1


@pytest.mark.long
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


def streaming(root: Path) -> version_store.Slot:
    x = np.ones((2, models.FEATURES), dtype=np.float32)
    logits = np.stack([models.rnn_reference(row[None])[0] for row in x])
    data, golden = models.rnn(), selftest.pack({"x": x}, {"logits": logits})
    state = (manifest.State("h", "h_next", (models.HIDDEN,)),)
    made = models.manifest_for("rnn", data, [models.X], [models.LOGITS], state=state, golden=golden)
    return version_store.Slot("rnn", 1, made.digest, models.write(root, "rnn", 1, data, made, golden))


async def step(remote: RemoteModel, row: Any, *, start: bool = False) -> Any:
    parameters = {"sequence_id": 7, "sequence_start": start}
    reply = await remote.infer(InferRequest("rnn", (models.tensor(row[None]),), parameters=parameters), 10.0)
    return reply.outputs[0].data[0]
