"""Small networks as others export them, and their import: what the tests of `skerry models import` share."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
from cli_system import StillSystem
from onnx import TensorProto, helper, numpy_helper

from skerry.adapters import blobs
from skerry.adapters.trust import repository
from skerry.core import manifest

ROWS = np.random.default_rng(3).normal(size=(6, models.FEATURES)).astype(np.float32)
W = models.weights(0.1)
X = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", models.FEATURES])
SCORES = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", models.CLASSES])
PRODUCT = helper.make_node("MatMul", ["x", "w"], ["scores"])


def file(
    nodes: Sequence[onnx.NodeProto],
    outputs: Sequence[onnx.ValueInfoProto],
    *,
    inputs: Sequence[onnx.ValueInfoProto] = (X,),
    ml: bool = False,
    **weights: Any,
) -> bytes:
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid("ai.onnx.ml", 3)] if ml else [])]
    graph = helper.make_graph(list(nodes), "g", list(inputs), list(outputs), held)
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def value(name: str, kind: int, shape: list[Any] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def words(tmp_path: Path, data: bytes, *more: str, golden: dict[str, Any] | None = None) -> list[str | Path]:
    (tmp_path / "model.onnx").write_bytes(data)
    np.savez(tmp_path / "golden.npz", **(golden or {"x": ROWS}))
    named = [] if "--labels" in more else ["--labels", "a,b,c"]
    given = ["models", "import", tmp_path / "model.onnx", "--name", "level", *named]
    return [*given, "--golden", tmp_path / "golden.npz", *more]


def told(system: StillSystem, tmp_path: Path, data: bytes, *more: str, **golden: Any) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(system.good(*words(tmp_path, data, *more, **golden), "--json"))
    return answer


def refusal(system: StillSystem, tmp_path: Path, data: bytes, *more: str, code: int = 2, **golden: Any) -> str:
    before = [version.name for version in system.objects.list("ModelVersion")]
    said = system.bad(code, *words(tmp_path, data, *more, **golden))
    assert [version.name for version in system.objects.list("ModelVersion")] == before
    assert len(said.strip().splitlines()) == 1
    return said


def manifest_of(system: StillSystem, version: str) -> manifest.Manifest:
    reader = repository.Repository(blobs.open_shared(system.description.repository), {})
    signed = reader.find_version(system.objects.get("ModelVersion", version).spec["targetPath"])
    return manifest.from_json(reader.read_target(signed, "manifest.json"))
