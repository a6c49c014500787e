"""What requests and networks may hold, and that what cannot fit is refused before it is read."""

import subprocess
import sys
from pathlib import Path

import models
import numpy as np
import pytest
import rpc_world
from models import tensor
from plane import Plane, error_of
from rpc_raw import connected, data, headers

from skerry.adapters.oip import wire
from skerry.core import errors
from skerry.core.inference import InferRequest
from skerry.core.tensors import Spec
from skerry.proto import open_inference_pb2 as pb
from skerry.rpc.h2 import frames
from skerry.serving import batch_rules, cgroup, request_memory, server
from skerry.serving.request_memory import RequestMemory
from skerry.serving.version import Options

MIB = 1 << 20
INFER = "/inference.GRPCInferenceService/ModelInfer"

_ARENA = """
import sys
sys.path[:0] = [{tests!r}, {services!r}]
import numpy as np, onnx_files
from onnx import helper
from skerry.core import errors
from skerry.core.tensors import Spec
from skerry.serving import runtime
nodes = [helper.make_node("Expand", ["x", "shape"], ["y"]), helper.make_node("ReduceSum", ["y"], ["z"], keepdims=0)]
held = {{"shape": np.array([1, 1 << 20], dtype=np.int64)}}
data = onnx_files.packed(nodes[:1], [Spec("x", "FP32", (1,))], [Spec("y", "FP32", (1 << 20,))], held)
runtime.bound_memory(64 << 20)
session = runtime.Session(data, "a network")
session.run(["y"], {{"x": np.ones((1, 1), np.float32)}})
try:
    session.run(["y"], {{"x": np.ones((64, 1), np.float32)}})
except errors.TooLargeError as exc:
    print(exc)
print(len(session.run(["y"], {{"x": np.ones((8, 1), np.float32)}})[0]))
"""


@pytest.mark.parametrize(
    ("limit_mib", "shares_mib"),
    [
        pytest.param(0, (32, 256, 192, 256, 0, 64), id="no limit is known"),
        pytest.param(512, (32, 64, 64, 128, 320, 16), id="the chart's"),
        pytest.param(128, (8, 16, 16, 32, 80, 4), id="a small one"),
    ],
)
def test_requests_have_shares_of_the_containers_memory(limit_mib: int, shares_mib: tuple[int, ...]) -> None:
    shares = RequestMemory.of(limit_mib * MIB)
    found = (shares.message_bytes, shares.arriving_bytes, shares.waiting_bytes, shares.request_bytes)
    assert tuple(size // MIB for size in (*found, shares.arena_bytes, shares.window_bytes)) == shares_mib


@pytest.mark.parametrize(
    ("inputs", "outputs", "rows", "message_bytes"),
    [
        pytest.param([("UINT8", (28, 28))], [("FP32", (10,))], 79_512, 32 * MIB, id="small rows: as many as fit"),
        pytest.param([("FP32", (4,))], [("FP32", (1 << 20,))], 8, 65_664, id="the answer is what is large"),
        pytest.param([("FP32", (-1,))], [("FP32", (10,))], 838_860, 32 * MIB, id="a free axis: any message"),
        pytest.param([("FP32", (1 << 24,))], [("FP32", (10,))], 1, 32 * MIB, id="one row is never refused here"),
    ],
)
def test_a_model_takes_what_fits_with_its_answer(
    inputs: list[tuple[str, tuple[int, ...]]],
    outputs: list[tuple[str, tuple[int, ...]]],
    rows: int,
    message_bytes: int,
) -> None:
    specs = [
        [Spec(f"{name}{at}", *one) for at, one in enumerate(given)] for name, given in (("x", inputs), ("y", outputs))
    ]
    made = models.manifest_for("m", b"", *specs)
    bound = request_memory.bound_of(made, RequestMemory.of(512 * MIB))
    assert (bound.rows, bound.message_bytes) == (rows, message_bytes)


async def test_too_many_rows_are_refused_with_the_number_that_fits(tmp_path: Path) -> None:
    models.write_linear(tmp_path, "digits", 1)
    memory = RequestMemory(request_bytes=10 * (2 * 16 + 3 * 12))
    plane = await Plane(tmp_path, Options(requests=memory)).load_all()
    (answer,) = await plane.answers([InferRequest("digits", (tensor(np.ones((11, 4))),))])
    assert isinstance(error_of(answer), errors.TooLargeError)
    assert "at most 10 in one request" in str(answer)


def test_the_answer_to_many_rows_is_bounded_while_it_grows() -> None:
    whole = batch_rules.Whole(3, 12, [], room_bytes=100)
    assert whole.add([np.zeros(10, np.float32)], 1) is None
    with pytest.raises(errors.TooLargeError, match="send fewer rows"):
        whole.add([np.zeros(20, np.float32)], 1)


@pytest.mark.parametrize(
    ("model", "text"),
    [("digits", b"takes at most 65696 bytes (10 rows)"), ("nobody", b"is not served here")],
    ids=["too large for the model", "no such model"],
)
def test_a_request_that_cannot_fit_is_refused_before_it_is_read(tmp_path: Path, model: str, text: bytes) -> None:
    models.write_linear(tmp_path, "digits", 1)
    memory = RequestMemory(request_bytes=10 * (2 * 16 + 3 * 12))
    table: dict[str, rpc_world.Method] = {}
    with rpc_world.serving("h2", table=table) as running:

        async def load() -> None:
            plane = await Plane(tmp_path, Options(requests=memory)).load_all()
            methods = server.build_methods(plane.data, plane.registry, plane.instruments)
            running.server.peers.router._methods.update({path.encode(): method for path, method in methods.items()})

        running.ask(load)
        beginning = pb.ModelInferRequest(model_name=model, id="x" * 20_000).SerializeToString()
        announced = (0).to_bytes(1, "big") + (1_000_000).to_bytes(4, "big")
        with connected(running.port) as raw:
            raw.send(headers(1, INFER) + data(1, announced + beginning[:16_000], end=False))
            fields = raw.fields_of(1)
            assert fields[b"grpc-status"] in (b"8", b"5") and text in fields[b"grpc-message"]
            granted = [frame for frame in raw.frames_until(ended=1) if frame.kind == frames.WINDOW_UPDATE]
            assert not [frame for frame in granted if frame.stream_id == 1]
            assert running.server.turns.budget.taken_bytes == 0


@pytest.mark.parametrize(
    ("beginning", "model"),
    [
        (b"\x0a\x06digitsrest", "digits"),
        (b"\x0a\x81\x01" + b"n" * 129, "n" * 129),
        (b"\x0a\x06dig", None),
        (b"\x12\x06digits", None),
        (b"\x0a\xff\xff\xff\xff\x0f", None),
        (b"", None),
    ],
)
def test_the_model_is_read_from_the_first_bytes(beginning: bytes, model: str | None) -> None:
    assert wire.model_of(beginning) == model


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"sys/fs/cgroup/memory.max": "536870912"}, 512 * MIB),
        ({"sys/fs/cgroup/memory.max": "max"}, None),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}, None),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824"}, 1024 * MIB),
    ],
    ids=["v2", "v2 without", "v1 without", "v1"],
)
def test_the_containers_memory_is_read(tmp_path: Path, files: dict[str, str], limit: int | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    assert cgroup.memory_bytes(tmp_path) == limit


def test_networks_share_a_bounded_memory_and_a_run_that_needs_more_is_refused() -> None:
    tests = Path(__file__).parent.parent
    code = _ARENA.format(tests=str(tests), services=str(tests.parent / "services"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "a network needs more memory for these inputs than it may use: send less",
        "8",
    ]
