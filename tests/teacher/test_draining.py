"""SIGTERM: not ready first, accepting for the notice, then drained; and an end that nothing which hangs puts off."""

import asyncio
import json
import os
import signal
import time
import urllib.error
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import models
import pytest
import selection
import teacher_process
from models import tensor
from teacher_process import Teacher, call

from skerry.adapters.oip.remote import RemoteModel
from skerry.core import errors
from skerry.core.inference import InferRequest
from skerry.proto import health_pb2
from skerry.proto import open_inference_pb2 as pb

ROW = [1.0, 2.0, 3.0, 4.0]


@pytest.fixture(params=selection.TRANSPORTS)
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Teacher]:
    """Gives notice for longer than any test here takes until it is killed, if it has to be."""
    models.write_linear(tmp_path, "digits", 1)
    with teacher_process.started(tmp_path, request.param, SKERRY_NOTICE_SECONDS="2", SKERRY_GRACE_SECONDS="5") as made:
        yield made.wait_ready()


def page(server: Teacher) -> int:
    try:
        server.page("/readyz")
    except urllib.error.HTTPError as exc:
        return exc.code
    return 200


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)


async def until_not_ready(server: Teacher) -> None:
    async with asyncio.timeout(10):
        while await asyncio.to_thread(page, server) == 200:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)


async def test_while_it_gives_notice_it_is_not_ready_and_answers_new_connections(
    server: Teacher,
) -> None:
    assert await asyncio.to_thread(page, server) == 200
    server.process.send_signal(signal.SIGTERM)
    await until_not_ready(server)
    with teacher_process.channel(server.address) as new:
        assert not pb.ModelReadyResponse.FromString(
            call(new, "ModelReady", pb.ModelReadyRequest(name="digits").SerializeToString())
        ).ready
        asked = health_pb2.HealthCheckRequest(service="inference.GRPCInferenceService").SerializeToString()
        found = health_pb2.HealthCheckResponse.FromString(call(new, "/grpc.health.v1.Health/Check", asked))
        assert found.status == health_pb2.HealthCheckResponse.NOT_SERVING
    async with RemoteModel(server.address) as remote:
        reply = await remote.infer(InferRequest("digits", (tensor([ROW]),)), 5.0)
    assert reply.outputs[0].data.tolist() == (tensor([ROW]).data @ models.weights(1.0)).tolist()
    assert server.process.wait(20) == 0


async def test_a_client_that_leaves_during_the_notice_loses_nothing(server: Teacher) -> None:
    """As an endpoint that is taken out of a Service: requests go on to come for a moment after the signal."""
    failed: list[errors.SkerryError] = []
    answered = 0

    async def client(until: asyncio.Event) -> None:
        nonlocal answered
        async with RemoteModel(server.address) as remote:
            while not until.is_set():
                try:
                    await remote.infer(InferRequest("digits", (tensor([ROW]),)), 5.0)
                    answered += 1
                except errors.SkerryError as exc:
                    failed.append(exc)

    left = asyncio.Event()
    clients = [asyncio.ensure_future(client(left)) for _ in range(4)]
    await until(lambda: answered >= 20)
    server.process.send_signal(signal.SIGTERM)
    await until_not_ready(server)
    before = answered
    await until(lambda: answered >= before + 50)
    left.set()
    await asyncio.gather(*clients)
    assert failed == []
    assert await asyncio.to_thread(server.process.wait, 20) == 0


@pytest.mark.long
def test_a_load_that_never_ends_is_ended_with_the_process(tmp_path: Path) -> None:
    folder = models.write_linear(tmp_path, "digits", 1)
    (folder / "model.onnx").unlink()
    os.mkfifo(folder / "model.onnx")  # whoever reads it waits for a writer
    with teacher_process.started(tmp_path, "h2", SKERRY_GRACE_SECONDS="0") as made:
        writing = os.open(folder / "model.onnx", os.O_WRONLY)  # returns when the load has begun to read
        assert made.stop() == 1
        os.close(writing)
        assert _last_event(made)["event"] == "ended_by_force"


def test_a_run_that_never_ends_is_stopped_when_the_process_ends(tmp_path: Path) -> None:
    models.write_looping(tmp_path, "digits", 1)
    with (
        teacher_process.started(tmp_path, "h2", SKERRY_GRACE_SECONDS="0") as made,
        teacher_process.channel(made.wait_ready().address) as on,
    ):
        request = pb.ModelInferRequest(model_name="digits")
        request.inputs.add(name="x", datatype="FP32", shape=[1, 4]).contents.fp32_contents.extend([0, 0, 0, 9e9])
        running = on.unary_unary(teacher_process.OIP + "ModelInfer").future(request.SerializeToString(), timeout=60)
        time.sleep(1.0)
        assert not running.done()
        assert made.stop() == 0
        assert running.exception().code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        assert "ended_by_force" not in made.log()


def _last_event(made: Teacher) -> dict[str, object]:
    found: dict[str, object] = json.loads(made.log().splitlines()[-1])
    return found
