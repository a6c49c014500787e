"""Large requests and the memory of a whole process."""

import concurrent.futures
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx_files
import psutil
import pytest
import teacher_process
from onnx import helper

from skerry.core.tensors import Spec
from skerry.proto import open_inference_pb2 as pb

MIB = 1 << 20
ROWS = 40_000


def write_wide(root: Path) -> None:
    """Images of bytes to ten numbers, by way of 100 KB a row: 4 GB for the rows of one request."""
    draw = np.random.default_rng(0)
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=1),
        helper.make_node("Unsqueeze", ["f", "one"], ["image"]),
        helper.make_node("Conv", ["image", "filters"], ["wide"], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["wide"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["logits"]),
    ]
    held: dict[str, Any] = {
        "one": np.array([1], dtype=np.int64),
        "filters": draw.normal(size=(32, 1, 3, 3)).astype(np.float32),
        "w": draw.normal(size=(32, 3)).astype(np.float32),
    }
    x, logits = Spec("x", "UINT8", (28, 28)), Spec("logits", "FP32", (3,))
    data = onnx_files.packed(nodes, [x], [logits], held)
    models.write(root, "wide", 1, data, models.manifest_for("wide", data, [x], [logits]), None)


@pytest.mark.long
def test_large_requests_leave_no_memory_behind(tmp_path: Path) -> None:
    """31 MB each, four at once and then one alone, within the 512 MiB that a pod has: 4 GB before."""
    write_wide(tmp_path)
    request = pb.ModelInferRequest(model_name="wide")
    request.inputs.add(name="x", datatype="UINT8", shape=[ROWS, 28, 28])
    request.raw_input_contents.append(bytes(ROWS * 28 * 28))
    body = request.SerializeToString()
    with teacher_process.started(tmp_path, "h2", SKERRY_MEMORY_LIMIT_MB="512") as made:
        address, process = made.wait_ready().address, psutil.Process(made.process.pid)
        before = process.memory_info().rss

        def ask(_: int) -> str:
            with teacher_process.channel(address) as on:
                return teacher_process.status_of(on, "ModelInfer", body)[0]

        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            together = list(threads.map(ask, range(4)))
        assert "OK" in together and set(together) <= {"OK", "RESOURCE_EXHAUSTED"}
        assert ask(0) == "OK"
        peak = int(Path(f"/proc/{made.process.pid}/status").read_text().partition("VmHWM:")[2].split()[0]) << 10
        assert peak < 320 * MIB
        assert process.memory_info().rss - before < 32 * MIB
