"""Truths of earlier requests, as those who can reach an agent may and may not tell them."""

import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import agent_fakes
import agent_process
import grpc
import pytest
from agent_cascade import UNSURE
from agent_process import World, serving, token_of

from skerry.core import feedback
from skerry.proto import edge_pb2

RECORDED, NOT_CAPTURED = edge_pb2.FeedbackReply.RECORDED, edge_pb2.FeedbackReply.NOT_CAPTURED


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with agent_process.world(tmp_path) as made:
        yield made


async def refused(world: World, **fields: Any) -> tuple[grpc.StatusCode, str]:
    request = edge_pb2.FeedbackRequest(**({"model": "digits", "request_id": "part-17", "label": 0} | fields))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.call("Feedback", request, edge_pb2.FeedbackReply)
    return caught.value.code(), str(caught.value.details())


async def test_nobody_tells_a_false_truth_of_another_callers_request(world: World) -> None:
    """The attack: whoever reaches the port and knows, or guesses, the name of a camera's request. It may even ask under
    that name, before the camera or after it, and so come to a token of its own."""
    await world.start()
    await serving(world, 1)
    before = token_of(await world.ask([0.1, 0.0, 0.0, 0.0], id="part-17"))
    camera = token_of(await world.ask(UNSURE, id="part-17"))
    after = token_of(await world.ask([0.2, 0.0, 0.0, 0.0], id="part-17"))
    other = token_of(await world.ask(UNSURE, id="mine"))

    code, text = await refused(world)
    assert (code, "skerry_feedback_token" in text) == (grpc.StatusCode.UNAUTHENTICATED, True)
    for token in (other, "x", camera[:-1] + ("A" if camera[-1] != "A" else "B")):
        assert (await refused(world, token=token))[0] == grpc.StatusCode.PERMISSION_DENIED
    assert await world.feedback("part-17", 2, before) == RECORDED, "of its own answer alone"
    assert await world.feedback("part-17", 2, after) == RECORDED
    assert await world.feedback("part-17", 1, camera) == RECORDED

    await agent_fakes.until(lambda: labels_by_question(world) == {1: 2, 2: 1, 3: 2}, timeout_s=20)
    assert camera not in world.log() and other not in world.log()


def labels_by_question(world: World) -> dict[int, int]:
    """What the cloud was told, by the number of the captured answer."""
    cloud = world.gateway.cloud
    ids = [one for one in cloud.order if cloud.kinds[one] == "example"]
    numbers = {one: example.boot_sequence for one, example in zip(ids, cloud.examples(), strict=True)}
    return {numbers[truth.example_id]: truth.label for truth in cloud.truths() if truth.example_id in numbers}


async def test_what_makes_no_sense_is_refused_by_field(world: World) -> None:
    await world.start()
    await serving(world, 1)
    token = token_of(await world.ask(UNSURE, id="part-17"))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"label": 3}, "must be in 0..2"),
        ({"label": -1}, "must be in 0..2"),
        ({"request_id": ""}, "request_id"),
    ]
    for fields, text in wrong:
        code, details = await refused(world, token=token, **fields)
        assert (code, text in details) == (grpc.StatusCode.INVALID_ARGUMENT, True), details


async def test_a_token_is_good_after_a_power_cut_until_its_time_is_over(world: World) -> None:
    await world.start()
    await serving(world, 1)
    token = token_of(await world.ask(UNSURE, id="part-17"))
    await agent_fakes.until(lambda: bool(world.gateway.cloud.records), timeout_s=20)
    await world.stop(signal.SIGKILL)
    await world.start()
    assert await world.feedback("part-17", 2, token) == RECORDED
    assert await world.feedback("part-17#1", 2, token) == NOT_CAPTURED
    key = (world.tmp / "state" / "feedback.key").read_bytes()
    old = feedback.issue(key, "digits", "part-17", bytes(feedback.ANSWER_BYTES), int(time.time()) - 32 * 86_400)
    code, text = await refused(world, token=old)
    assert (code, "days old and was good for 31.0" in text) == (grpc.StatusCode.PERMISSION_DENIED, True), text


async def test_where_feedback_is_off_answers_have_no_token(world: World) -> None:
    await world.start(SKERRY_FEEDBACK="Off")
    await serving(world, 1)
    assert "skerry_feedback_token" not in (await world.ask(UNSURE, id="part-17")).parameters
    code, text = await refused(world)
    assert (code, "SKERRY_FEEDBACK=Off" in text) == (grpc.StatusCode.PERMISSION_DENIED, True)
