"""Truths of earlier requests, as those who can reach an agent may and may not tell them."""

import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import agent_fakes
import agent_process
import certificates
import grpc
import pytest
from agent_cascade import UNSURE
from agent_process import World, serving, token_of

from skerry.core import feedback
from skerry.proto import edge_pb2

RECORDED, NOT_CAPTURED = edge_pb2.FeedbackReply.RECORDED, edge_pb2.FeedbackReply.NOT_CAPTURED
SECRET = "a-secret-of-this-site"
NO_CLASS = "the truth of a request to 'digits': label {} is no class: it must be in 0..2"


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

    assert (await refused(world, token=camera, label=3)) == (grpc.StatusCode.INVALID_ARGUMENT, NO_CLASS.format(3))
    assert (await refused(world, token=camera, label=-1)) == (grpc.StatusCode.INVALID_ARGUMENT, NO_CLASS.format(-1))
    assert (await refused(world, token=camera, request_id=""))[0] == grpc.StatusCode.INVALID_ARGUMENT
    await agent_fakes.until(lambda: labels_by_question(world) == {1: 2, 2: 1, 3: 2}, timeout_s=20)
    assert camera not in world.log() and other not in world.log()


def labels_by_question(world: World) -> dict[int, int]:
    """What the cloud was told, by the number of the captured answer."""
    cloud = world.gateway.cloud
    ids = [one for one in cloud.order if cloud.kinds[one] == "example"]
    numbers = {one: example.boot_sequence for one, example in zip(ids, cloud.examples(), strict=True)}
    return {numbers[truth.example_id]: truth.label for truth in cloud.truths() if truth.example_id in numbers}


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
    away = feedback.issue(key, "away", "part-17", bytes(feedback.ANSWER_BYTES), int(time.time()) - 32 * 86_400)
    code, text = await refused(world, model="away", token=away)
    assert code == grpc.StatusCode.NOT_FOUND and "days old" not in text, "how long its truth takes is not known now"
    old = feedback.issue(key, "digits", "part-17", bytes(feedback.ANSWER_BYTES), int(time.time()) - 32 * 86_400)
    code, text = await refused(world, token=old)
    assert (code, "days old and was good for 31.0" in text) == (grpc.StatusCode.PERMISSION_DENIED, True), text


@pytest.mark.long
async def test_systems_that_know_only_the_name_show_the_sites_secret_or_a_certificate(
    world: World, tmp_path: Path
) -> None:
    site, strangers = certificates.Authority(tmp_path, "site"), certificates.Authority(tmp_path, "strangers")
    certificate, key = site.issue("agent")
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    ready = await world.start(
        SKERRY_FEEDBACK="Secret,Certificate",
        SKERRY_FEEDBACK_SECRET_FILE=str(tmp_path / "secret"),
        SKERRY_TLS_LISTEN="127.0.0.1:0",
        SKERRY_TLS_CERT=certificate,
        SKERRY_TLS_KEY=key,
        SKERRY_CLIENT_CA=str(site.path),
    )
    await serving(world, 1)
    reply = await world.ask(UNSURE, id="part-17")
    assert "skerry_feedback_token" not in reply.parameters
    code, text = await refused(world)
    assert (code, "secret" in text, "certificate" in text) == (grpc.StatusCode.UNAUTHENTICATED, True, True)

    truth = edge_pb2.FeedbackRequest(model="digits", request_id="part-17", label=2)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await tell(grpc.aio.insecure_channel(world.address), truth, "Bearer guessed")
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert await tell(grpc.aio.insecure_channel(world.address), truth, f"Bearer {SECRET}") == RECORDED

    def over_tls(authority: certificates.Authority) -> grpc.aio.Channel:
        chain, private = (Path(path).read_bytes() for path in authority.issue("mes"))
        credentials = grpc.ssl_channel_credentials(site.path.read_bytes(), private, chain)
        return grpc.aio.secure_channel(ready["tls"], credentials)

    assert await tell(over_tls(site), truth) == RECORDED
    with pytest.raises(grpc.aio.AioRpcError):
        await tell(over_tls(strangers), truth)
    await world.ask([0.1, 0.0, 0.0, 0.0], id="part-17")
    with pytest.raises(grpc.aio.AioRpcError, match="several requests"):
        await tell(over_tls(site), truth)
    assert SECRET not in world.log()


async def tell(channel: grpc.aio.Channel, truth: edge_pb2.FeedbackRequest, authorization: str = "") -> int:
    async with channel:
        call = channel.unary_unary(
            "/skerry.edge.v1.Edge/Feedback",
            request_serializer=edge_pb2.FeedbackRequest.SerializeToString,
            response_deserializer=edge_pb2.FeedbackReply.FromString,
        )
        metadata = [("authorization", authorization)] if authorization else []
        return int((await call(truth, timeout=10, metadata=metadata)).outcome)
