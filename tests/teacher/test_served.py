"""The whole server as a process, over either transport: bad requests, sizes, health, draining, what it connects to."""

import importlib.util
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import footprint
import grpc
import models
import numpy as np
import psutil
import pytest
import selection
import teacher_process
from require import requires
from teacher_process import Teacher, call, channel, infer, status_of, until

from skerry.core.tensors import Spec
from skerry.proto import health_pb2
from skerry.proto import open_inference_pb2 as pb

GOOD = infer([[1, 2, 3, 4]])


@pytest.fixture(scope="module", params=selection.TRANSPORTS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Teacher]:
    root = tmp_path_factory.mktemp("models")
    models.write_linear(root, "digits", 1)
    models.write_identity(root, "echo", 1, "FP32", (-1,))
    models.write_slow(root, "slow", 1)
    models.write_not_finite(root, "log", 1)
    with teacher_process.started(root, request.param) as made:
        yield made.wait_ready()


def raw(shape: list[int], data: bytes, datatype: str = "FP32", name: str = "x", model: str = "digits") -> bytes:
    message = pb.ModelInferRequest(model_name=model, raw_input_contents=[data])
    message.inputs.add(name=name, datatype=datatype, shape=shape)
    return message.SerializeToString()


def typed(**contents: object) -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name="digits")
    message.inputs.add(name="x", datatype="FP32", shape=[1, 4], contents=pb.InferTensorContents(**contents))  # type: ignore[arg-type]
    return message


def two_inputs() -> bytes:
    message = pb.ModelInferRequest(model_name="digits", raw_input_contents=[b"\0" * 16] * 2)
    for name in ("x", "z"):
        message.inputs.add(name=name, datatype="FP32", shape=[1, 4])
    return message.SerializeToString()


SIXTEEN = b"\0" * 16
BAD = [
    ("no protobuf", b"\xff\xff\xff", "INVALID_ARGUMENT", "ModelInferRequest"),
    ("an unknown model", infer([[1, 2, 3, 4]], "other"), "NOT_FOUND", "other"),
    ("an unknown version", infer([[1, 2, 3, 4]], model_version="5"), "NOT_FOUND", "'5'"),
    ("dimension -1", raw([-1, 4], SIXTEEN), "INVALID_ARGUMENT", "'x'"),
    ("dimension 0", raw([0, 4], b""), "INVALID_ARGUMENT", "'x'"),
    ("a product that does not fit", raw([2, 4], SIXTEEN), "INVALID_ARGUMENT", "'x'"),
    ("an overflow", raw([1 << 31, 1 << 31], SIXTEEN), "INVALID_ARGUMENT", "'x'"),
    ("FP64 for FP32", raw([1, 4], b"\0" * 32, "FP64"), "INVALID_ARGUMENT", "'x' must be FP32"),
    ("a wrong rank", raw([4], SIXTEEN), "INVALID_ARGUMENT", "'x'"),
    ("a wrong input name", raw([1, 4], SIXTEEN, name="y"), "INVALID_ARGUMENT", "'x' is missing"),
    ("an input too many", two_inputs(), "INVALID_ARGUMENT", "'z' is unknown"),
    ("no input", pb.ModelInferRequest(model_name="digits").SerializeToString(), "INVALID_ARGUMENT", "'x' is missing"),
    (
        "raw and typed contents",
        (lambda m: m.raw_input_contents.append(SIXTEEN) or m)(typed(fp32_contents=[1, 2, 3, 4])).SerializeToString(),
        "INVALID_ARGUMENT",
        "'x'",
    ),
    ("typed contents of another kind", typed(int_contents=[1, 2, 3, 4]).SerializeToString(), "INVALID_ARGUMENT", "'x'"),
    ("truncated raw bytes", raw([1, 4], SIXTEEN[:-1]), "INVALID_ARGUMENT", "'x'"),
    ("NaN in", infer([[1, float("nan"), 3, 4]]), "INVALID_ARGUMENT", "NaN"),
    ("infinity in", infer([[1, float("inf"), 3, 4]]), "INVALID_ARGUMENT", "infinity"),
    ("NaN out", infer([[1, -2, 3, 4]], "log"), "INTERNAL", "NaN"),
]


def _errors_counted(server: Teacher) -> float:
    lines = server.page("/metrics").splitlines()
    counted = [
        line
        for line in lines
        if line.startswith("skerry_malformed_requests_total ")
        or (line.startswith("skerry_requests_total{") and 'outcome="ok"' not in line)
    ]
    return sum(float(line.rsplit(" ", 1)[1]) for line in counted)


@pytest.mark.parametrize(("data", "status", "says"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_request_has_its_status_and_the_next_good_one_is_answered(
    server: Teacher, data: bytes, status: str, says: str
) -> None:
    with channel(server.address) as made:
        before = _errors_counted(server)
        found, text = status_of(made, "ModelInfer", data)
        assert found == status
        assert says in text
        assert _errors_counted(server) == before + 1
        reply = pb.ModelInferResponse.FromString(call(made, "ModelInfer", GOOD))
    np.testing.assert_allclose(
        np.frombuffer(reply.raw_output_contents[0], np.float32), [1, 2, 3, 4] @ models.weights(1.0), rtol=1e-6
    )
    assert server.process.poll() is None


@pytest.mark.parametrize("mib", [5, 20])
def test_large_tensors_pass_both_ways(server: Teacher, mib: int) -> None:
    x = np.random.default_rng(mib).random((1, mib << 18), dtype=np.float32)
    with channel(server.address) as made:
        reply = pb.ModelInferResponse.FromString(call(made, "ModelInfer", infer(x, "echo")))
    assert reply.raw_output_contents[0] == x.tobytes()


def test_one_byte_above_the_limit_is_refused_with_the_limit_named(server: Teacher) -> None:
    with channel(server.address) as made:
        at_limit, _ = status_of(made, "ModelInfer", _of_size(teacher_process.LIMIT_BYTES))
        above, text = status_of(made, "ModelInfer", _of_size(teacher_process.LIMIT_BYTES + 1))
        assert (at_limit, above) == ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")
        assert str(teacher_process.LIMIT_BYTES) in text
        call(made, "ModelInfer", GOOD)


def _of_size(size: int) -> bytes:
    """A request as long as asked, with many more numbers than its shape has."""
    head = len(raw([1, 4], b"")) - 2 + 5  # the numbers' tag and length: two bytes for none, five for so many
    data = raw([1, 4], b"\0" * (size - head))
    assert len(data) == size
    return data


def test_a_deadline_that_passed_in_the_queue_costs_no_run(server: Teacher) -> None:
    with channel(server.address) as made:
        futures = [
            made.unary_unary(teacher_process.OIP + "ModelInfer").future(infer([[1, 2, 3, 4]], "slow"), timeout=0.05)
            for _ in range(30)
        ]
        codes = [one.code().name for one in futures]
        assert set(codes) <= {"DEADLINE_EXCEEDED", "OK"}
        assert "DEADLINE_EXCEEDED" in codes
        call(made, "ModelInfer", GOOD)


def test_an_idle_server_connects_to_nobody(server: Teacher) -> None:
    process = psutil.Process(server.process.pid)
    assert process.environ().get("ORT_DISABLE_TELEMETRY") is None, "it must be the code that turns telemetry off"
    foreign = [
        one for one in process.net_connections() if one.raddr and one.raddr.ip.removeprefix("::ffff:") != "127.0.0.1"
    ]
    assert not foreign


def test_telemetry_is_off_before_the_runtime_loads() -> None:
    code = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            assert os.environ.get("ORT_DISABLE_TELEMETRY") == "1"
            print("seen")
sys.meta_path.insert(0, Watch())
from skerry.serving import runtime
"""
    env = {"PYTHONPATH": str(Path(__file__).parents[2] / "services")}
    done = subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True)
    assert "seen" in done.stdout


@requires(
    "torch", importlib.util.find_spec("torch") is not None, "torch makes the reference CNN; install skerry[trainer]"
)
def test_the_process_stays_small_with_a_cnn_loaded(tmp_path: Path) -> None:
    """With the reference CNN and after some requests: the part of the promised 85 MB that is not mapped libraries."""
    from skerry.nets import cnn, export

    exported = export.export(cnn.reference(10), np.zeros((1, 1, 28, 28), dtype=np.float32))
    spec, logits = Spec("x", "FP32", (1, 28, 28)), Spec("logits", "FP32", (10,))
    made = models.manifest_for(
        "cnn", exported.data, [spec], [logits], network_inputs=[Spec("input", "FP32", (1, 28, 28))]
    )
    models.write(tmp_path, "cnn", 1, exported.data, made, None)
    with teacher_process.started(tmp_path, "h2") as server, channel(server.wait_ready().address) as link:
        for _ in range(200):
            call(link, "ModelInfer", infer(np.zeros((1, 1, 28, 28)), "cnn"))
        assert footprint.own_mib(server.process.pid) < 42


@pytest.mark.parametrize("transport", selection.TRANSPORTS)
def test_one_bad_model_does_not_keep_the_others_away(tmp_path: Path, transport: str) -> None:
    models.write_linear(tmp_path, "good", 3)
    broken = models.write_linear(tmp_path, "broken", 1)
    (broken / "model.onnx").write_bytes(b"x")
    models.write_linear(tmp_path, "good", "011")
    with teacher_process.started(tmp_path, transport) as made:
        made.wait_ready()
        assert list(made.ready["failed"]) == ["broken"]
        with channel(made.address) as link:
            call(link, "ModelInfer", infer([[1, 2, 3, 4]], "good"))
            assert not pb.ServerReadyResponse.FromString(call(link, "ServerReady", b"")).ready
            index = pb.RepositoryIndexResponse.FromString(call(link, "RepositoryIndex", b""))
        rows = {(one.name, one.version): one.reason for one in index.models}
        assert "digest" in rows["broken", "1"]
        assert "leading zeros" in rows["good", "011"]
        assert "odd_version" in made.log()


@pytest.mark.parametrize("transport", selection.TRANSPORTS)
def test_sigterm_under_load_loses_no_call_that_runs(tmp_path: Path, transport: str) -> None:
    models.write_linear(tmp_path, "digits", 1)
    models.write_slow(tmp_path, "slow", 1)
    with teacher_process.started(tmp_path, transport) as made, channel(made.wait_ready().address) as link:
        watch = link.unary_stream("/grpc.health.v1.Health/Watch")(
            health_pb2.HealthCheckRequest(service="digits").SerializeToString(), timeout=60
        )
        states = health_pb2.HealthCheckResponse
        assert states.FromString(next(watch)).status == states.SERVING
        running = [
            link.unary_unary(teacher_process.OIP + "ModelInfer").future(infer([[1, 2, 3, 4]], "slow"), timeout=60)
            for _ in range(6)
        ]
        outcomes: list[str] = []
        stopping = threading.Event()

        def load() -> None:
            while not stopping.is_set():
                outcomes.append(status_of(link, "ModelInfer", GOOD)[0])

        thread = threading.Thread(target=load)
        thread.start()
        until(lambda: len(outcomes) > 20)
        code = made.stop()
        stopping.set()
        thread.join()
        told = [states.FromString(one).status for one in _rest(watch)]
        assert code == 0
        assert [one.result() for one in running]
        assert told[:1] == [states.NOT_SERVING]
        # What came too late is refused in a way that clients retry; gRPC's own core calls some of it cancelled.
        refusals = {"UNAVAILABLE"} if transport == "h2" else {"UNAVAILABLE", "CANCELLED"}
        assert set(outcomes) - {"OK"} <= refusals


@pytest.mark.parametrize("transport", selection.TRANSPORTS)
def test_a_setting_that_is_wrong_is_told(tmp_path: Path, transport: str) -> None:
    with teacher_process.started(tmp_path, transport, SKERRY_PROVIDER="abacus") as made:
        assert made.process.wait(30) == 1
        assert "abacus" in made.log()


def _rest(stream: Iterator[bytes]) -> Iterator[bytes]:
    """What the stream still tells before it ends, however it ends."""
    try:
        yield from stream
    except grpc.RpcError:
        return
