"""Networks that take their time, for tests of queues, deadlines and shutdown."""

import numpy as np
import onnx_files
from numpy.typing import NDArray
from onnx import TensorProto, helper

from skerry.core.tensors import Spec

FEATURES, CLASSES = 4, 3  # as in `models`


def slow(size: int = 300, depth: int = 30) -> bytes:
    """`linear` behind a chain of large matrix products: some 10 ms a row on a slow core, more for more depth."""
    spread = np.ones((FEATURES, size), dtype=np.float32)
    square = np.eye(size, dtype=np.float32)
    nodes = [helper.make_node("MatMul", ["x", "spread"], ["h"]), helper.make_node("Unsqueeze", ["h", "one"], ["a0"])]
    nodes += [helper.make_node("Expand", ["a0", "shape"], ["b0"])]
    nodes += [helper.make_node("MatMul", [f"b{at}", "square"], [f"b{at + 1}"]) for at in range(depth)]
    nodes += [helper.make_node("ReduceMean", [f"b{depth}"], ["mean"], axes=[1, 2], keepdims=0)]
    nodes += [helper.make_node("Unsqueeze", ["mean", "one"], ["m"]), helper.make_node("MatMul", ["m", "w"], ["logits"])]
    held = {
        "spread": spread,
        "square": square,
        "one": np.array([1], dtype=np.int64),
        "shape": np.array([1, size, size], dtype=np.int64),
        "w": np.ones((1, CLASSES), dtype=np.float32),
    }
    return onnx_files.packed(nodes, [Spec("x", "FP32", (FEATURES,))], [Spec("logits", "FP32", (CLASSES,))], held)


def looping(weights: NDArray[np.float32]) -> bytes:
    """`linear`, after as many empty turns as the largest number of x says: some 10 million a minute."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go_on"], ["still"]), helper.make_node("Sin", ["kept"], ["kept_next"])],
        "turn",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("kept", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("kept_next", TensorProto.FLOAT, []),
        ],
    )
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
        helper.make_node("Cast", ["largest"], ["turns"], to=TensorProto.INT64),
        helper.make_node("Loop", ["turns", "yes", "largest"], ["last"], body=body),
        helper.make_node("Mul", ["last", "zero"], ["nothing"]),
        helper.make_node("MatMul", ["x", "w"], ["answer"]),
        helper.make_node("Add", ["answer", "nothing"], ["logits"]),
    ]
    held = {"yes": np.array(True), "zero": np.array(0, dtype=np.float32), "w": weights}
    return onnx_files.packed(nodes, [Spec("x", "FP32", (FEATURES,))], [Spec("logits", "FP32", (CLASSES,))], held)
