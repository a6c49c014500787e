"""Alive, ready, and whose pages say so: the whole server as a process, over either transport."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import models
import pytest
import selection
import teacher_process
from teacher_process import Teacher, call, channel, infer, status_of, until

from skerry.proto import health_pb2
from skerry.proto import open_inference_pb2 as pb

GOOD = infer([[1, 2, 3, 4]])


@pytest.fixture(scope="module", params=selection.TRANSPORTS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Teacher]:
    root = tmp_path_factory.mktemp("models")
    models.write_linear(root, "digits", 1)
    models.write_slow(root, "slow", 1)
    with teacher_process.started(root, request.param) as made:
        yield made.wait_ready()


def test_health_answers_while_every_worker_is_in_a_slow_model(server: Teacher) -> None:
    with channel(server.address) as made:
        slow = [
            made.unary_unary(teacher_process.OIP + "ModelInfer").future(infer([[1, 2, 3, 4]], "slow"), timeout=60)
            for _ in range(4)
        ]
        request = health_pb2.HealthCheckRequest(service="digits").SerializeToString()
        reply = health_pb2.HealthCheckResponse.FromString(call(made, "/grpc.health.v1.Health/Check", request))
        call(made, "ModelInfer", GOOD)
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
        assert not all(one.done() for one in slow), "the slow model was too quick for this test"
        for one in slow:
            one.result()


def test_pages_for_probes_and_prometheus(server: Teacher) -> None:
    assert server.page("/healthz") == "ok\n"
    assert server.page("/readyz") == "ok\n"
    assert 'skerry_requests_total{model="digits",version="1",outcome="ok"}' in server.page("/metrics")


@pytest.mark.parametrize("transport", selection.TRANSPORTS)
def test_alive_but_not_ready_while_a_model_loads(tmp_path: Path, transport: str) -> None:
    models.write_linear(tmp_path, "a-quick", 1)
    folder = models.write_linear(tmp_path, "b-slow", 1)
    data = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").unlink()
    os.mkfifo(folder / "model.onnx")  # reading it waits until somebody writes
    port = _free_port()
    with (
        teacher_process.started(tmp_path, transport, SKERRY_LISTEN=f"127.0.0.1:{port}") as made,
        channel(f"127.0.0.1:{port}") as link,
    ):
        live = call(link, "ServerLive", b"", wait_for_ready=True)
        assert pb.ServerLiveResponse.FromString(live).live
        ready = pb.ModelReadyRequest(name="a-quick").SerializeToString()
        until(lambda: status_of(link, "ModelInfer", infer([[1, 2, 3, 4]], "a-quick"))[0] == "OK")
        assert pb.ModelReadyResponse.FromString(call(link, "ModelReady", ready)).ready
        assert not pb.ServerReadyResponse.FromString(call(link, "ServerReady", b"")).ready
        assert status_of(link, "ModelInfer", infer([[1, 2, 3, 4]], "b-slow"))[0] == "UNAVAILABLE"
        (folder / "model.onnx").write_bytes(data)
        made.wait_ready()
        assert made.ready["failed"] == {}
        assert pb.ServerReadyResponse.FromString(call(link, "ServerReady", b"")).ready
        assert made.stop() == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
