"""ONNX files for tests, written with onnx.helper from nodes, inputs, outputs and weights."""

from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from skerry.core.tensors import Spec

IR_VERSION, OPSET = 8, 17

TYPES = {
    "BOOL": TensorProto.BOOL,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BF16": TensorProto.BFLOAT16,
    "BYTES": TensorProto.STRING,
    **{f"{sign}INT{bits}": getattr(TensorProto, f"{sign}INT{bits}") for sign in ("", "U") for bits in (8, 16, 32, 64)},
}


def value(spec: Spec) -> onnx.ValueInfoProto:
    shape = ["batch", *(f"{spec.name}_{at}" if size == -1 else size for at, size in enumerate(spec.shape))]
    return helper.make_tensor_value_info(spec.name, TYPES[spec.datatype], shape)


def packed(
    nodes: list[onnx.NodeProto],
    inputs: list[Spec],
    outputs: list[Spec],
    weights: dict[str, NDArray[Any]],
    *,
    ir_version: int = IR_VERSION,
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "test",
        [value(spec) for spec in inputs],
        [value(spec) for spec in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=ir_version)
    return made.SerializeToString()
