"""Tiny ONNX versions for tests, written with onnx.helper: what a test needs of a network and nothing else."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_files
import slow_networks
from numpy.typing import NDArray
from onnx import TensorProto, helper

from skerry.core import manifest, preprocessing, tensors
from skerry.core.tasks import Classification
from skerry.core.tensors import Spec

FEATURES, CLASSES, HIDDEN = 4, 3, 5


def weights(scale: float) -> NDArray[np.float32]:
    """The matrix of `linear`, FEATURES × CLASSES."""
    return (np.arange(FEATURES * CLASSES, dtype=np.float32).reshape(FEATURES, CLASSES) - 5) * scale


def linear(scale: float = 1.0, *, datatype: str = "FP32") -> bytes:
    """logits = x · weights(scale)."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["logits"])]
    return onnx_files.packed(
        nodes, [Spec("x", "FP32", (FEATURES,))], [Spec("logits", "FP32", (CLASSES,))], {"w": weights(scale)}
    )


def with_softmax(scale: float = 1.0) -> bytes:
    """`linear` that ends in a Softmax: its output `logits` holds probabilities."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Softmax", ["h"], ["logits"], axis=1)]
    return onnx_files.packed(
        nodes, [Spec("x", "FP32", (FEATURES,))], [Spec("logits", "FP32", (CLASSES,))], {"w": weights(scale)}
    )


def quantized(scale: float = 1.0) -> bytes:
    """`linear` with int8 weights behind DequantizeLinear and a quantized input: a QDQ graph."""
    step = float(np.abs(weights(scale)).max() / 127)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
        helper.make_node("DequantizeLinear", ["wq", "ws", "wz"], ["w"]),
        helper.make_node("MatMul", ["xd", "w"], ["logits"]),
    ]
    held = {
        "xs": np.array(4 / 127, dtype=np.float32),
        "xz": np.array(0, dtype=np.int8),
        "wq": np.clip(np.round(weights(scale) / step), -127, 127).astype(np.int8),
        "ws": np.array(step, dtype=np.float32),
        "wz": np.array(0, dtype=np.int8),
    }
    return onnx_files.packed(nodes, [Spec("x", "FP32", (FEATURES,))], [Spec("logits", "FP32", (CLASSES,))], held)


def not_finite() -> bytes:
    """log(x): fine for positive x, NaN for negative."""
    return onnx_files.packed(
        [helper.make_node("Log", ["x"], ["logits"])],
        [Spec("x", "FP32", (FEATURES,))],
        [Spec("logits", "FP32", (FEATURES,))],
        {},
    )


def rows_together(kind: str) -> bytes:
    """`linear`, whose rows then influence one another: `softmax`, `statistics` or `sum` over the batch."""
    axis = {"axes": [0], "keepdims": 1}
    after = {
        "softmax": [helper.make_node("Softmax", ["a"], ["logits"], axis=0)],
        "statistics": [
            helper.make_node("ReduceMean", ["a"], ["mean"], **axis),
            helper.make_node("Sub", ["a", "mean"], ["logits"]),
        ],
        "sum": [
            helper.make_node("ReduceL1", ["a"], ["sum"], **axis),
            helper.make_node("Add", ["a", "sum"], ["logits"]),
        ],
    }[kind]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), *after]
    return onnx_files.packed(
        nodes, [Spec("x", "FP32", (FEATURES,))], [Spec("logits", "FP32", (CLASSES,))], {"w": weights(1.0)}
    )


def rnn_with_rows_together() -> bytes:
    """`rnn`, whose hidden state takes the mean over the sequences that share a run. The first step, from zeros, shows
    nothing of it."""
    w, u, v = rnn_weights()
    nodes = [
        helper.make_node("ReduceMean", ["h"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("MatMul", ["x", "w"], ["xw"]),
        helper.make_node("MatMul", ["mean", "u"], ["hu"]),
        helper.make_node("Add", ["xw", "hu"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["h_next"]),
        helper.make_node("MatMul", ["h_next", "v"], ["logits"]),
    ]
    inputs = [Spec("x", "FP32", (FEATURES,)), Spec("h", "FP32", (HIDDEN,))]
    outputs = [Spec("logits", "FP32", (CLASSES,)), Spec("h_next", "FP32", (HIDDEN,))]
    return onnx_files.packed(nodes, inputs, outputs, {"w": w, "u": u, "v": v})


def with_fixed_rows(data: bytes, rows: int) -> bytes:
    """The same network, exported for exactly so many rows at a time."""
    network = onnx.load_from_string(data)
    for value in (*network.graph.input, *network.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = rows
    return network.SerializeToString()


def identity(datatype: str, shape: tuple[int, ...]) -> bytes:
    """y = x; -1 in `shape` is a free axis."""
    spec = Spec("x", datatype, shape)
    return onnx_files.packed([helper.make_node("Identity", ["x"], ["y"])], [spec], [Spec("y", datatype, shape)], {})


def cast_linear(datatype: str, output: str = "FP32") -> bytes:
    """logits = float(x) · weights(1) for an `x` of any type of number; the logits are cast to `output`."""
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["f", "w"], ["h"]),
        helper.make_node("Cast", ["h"], ["logits"], to=onnx_files.TYPES[output]),
    ]
    specs = [Spec("x", datatype, (FEATURES,))], [Spec("logits", output, (CLASSES,))]
    return onnx_files.packed(nodes, *specs, {"w": weights(1.0)})


def pair() -> bytes:
    """Two inputs a, b; two outputs sum, difference."""
    specs = [Spec(name, "FP32", (2,)) for name in ("a", "b")]
    nodes = [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Sub", ["a", "b"], ["difference"])]
    return onnx_files.packed(nodes, specs, [Spec(name, "FP32", (2,)) for name in ("sum", "difference")], {})


def rnn() -> bytes:
    """One step of h' = tanh(x·w + h·u), logits = h'·v: x [N, FEATURES], h [N, HIDDEN]."""
    w, u, v = rnn_weights()
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["xw"]),
        helper.make_node("MatMul", ["h", "u"], ["hu"]),
        helper.make_node("Add", ["xw", "hu"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["h_next"]),
        helper.make_node("MatMul", ["h_next", "v"], ["logits"]),
    ]
    inputs = [Spec("x", "FP32", (FEATURES,)), Spec("h", "FP32", (HIDDEN,))]
    outputs = [Spec("logits", "FP32", (CLASSES,)), Spec("h_next", "FP32", (HIDDEN,))]
    return onnx_files.packed(nodes, inputs, outputs, {"w": w, "u": u, "v": v})


def rnn_weights() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    draw = np.random.default_rng(7)
    shapes = ((FEATURES, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, CLASSES))
    w, u, v = (draw.normal(0, 0.7, shape).astype(np.float32) for shape in shapes)
    return w, u, v


def rnn_reference(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits [T, CLASSES] of the whole window x [T, FEATURES], in numpy."""
    w, u, v = rnn_weights()
    h = np.zeros(HIDDEN, dtype=np.float32)
    out = []
    for step in x:
        h = np.tanh(step @ w + h @ u)
        out.append(h @ v)
    return np.stack(out)


def manifest_for(
    model: str,
    data: bytes,
    inputs: list[Spec],
    outputs: list[Spec],
    *,
    golden: bytes | None = None,
    steps: tuple[preprocessing.Step, ...] = (),
    network_inputs: list[Spec] | None = None,
    state: tuple[manifest.State, ...] = (),
    tolerance: float = 1e-3,
    latency_cap_ms: float = 0.0,
    ir_version: int = onnx_files.IR_VERSION,
) -> manifest.Manifest:
    files = {"model": manifest.file_of("model.onnx", data)}
    if golden is not None:
        files["golden"] = manifest.file_of("golden.npz", golden)
    return manifest.Manifest(
        model=model,
        runtime=manifest.Runtime(ir_version, {"": onnx_files.OPSET}),
        files=files,
        inputs=tuple(inputs),
        network_inputs=tuple(network_inputs or inputs),
        outputs=tuple(outputs),
        preprocessing=steps,
        task=Classification(tuple(str(at) for at in range(CLASSES))),
        state=state,
        golden=manifest.Golden(tolerance, latency_cap_ms),
    )


def write(
    root: Path, model: str, number: int | str, data: bytes, made: manifest.Manifest, golden: bytes | None
) -> Path:
    """A version's folder below `root`."""
    folder = root / model / str(number)
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(data)
    if golden is not None:
        (folder / "golden.npz").write_bytes(golden)
    (folder / manifest.FILE_NAME).write_bytes(made.to_json())
    return folder


X, LOGITS = Spec("x", "FP32", (FEATURES,)), Spec("logits", "FP32", (CLASSES,))


def linear_golden(scale: float = 1.0, rows: int = 4) -> bytes:
    from skerry.serving import selftest

    x = np.random.default_rng(1).normal(size=(rows, FEATURES)).astype(np.float32)
    return selftest.pack({"x": x}, {"logits": x @ weights(scale)})


def write_linear(root: Path, model: str, number: int | str, scale: float = 1.0, **changes: Any) -> Path:
    data, golden = linear(scale), linear_golden(scale)
    made = manifest_for(model, data, [X], [LOGITS], golden=golden, **changes)
    return write(root, model, number, data, made, golden)


def write_slow(root: Path, model: str, number: int, depth: int = 30) -> Path:
    data = slow_networks.slow(depth=depth)
    return write(root, model, number, data, manifest_for(model, data, [X], [LOGITS]), None)


def write_looping(root: Path, model: str, number: int) -> Path:
    data = slow_networks.looping(weights(1.0))
    return write(root, model, number, data, manifest_for(model, data, [X], [LOGITS]), None)


def write_not_finite(root: Path, model: str, number: int) -> Path:
    from skerry.serving import selftest

    data, x = not_finite(), np.ones((1, FEATURES), dtype=np.float32)
    golden = selftest.pack({"x": x}, {"logits": np.log(x)})
    made = manifest_for(model, data, [X], [Spec("logits", "FP32", (FEATURES,))], golden=golden)
    return write(root, model, number, data, made, golden)


def write_pair(root: Path, model: str, number: int) -> Path:
    data = pair()
    specs = [Spec(name, "FP32", (2,)) for name in ("a", "b")]
    outputs = [Spec(name, "FP32", (2,)) for name in ("sum", "difference")]
    return write(root, model, number, data, manifest_for(model, data, specs, outputs), None)


def write_identity(root: Path, model: str, number: int, datatype: str, shape: tuple[int, ...]) -> Path:
    data = identity(datatype, shape)
    specs = [Spec("x", datatype, shape)], [Spec("y", datatype, shape)]
    return write(root, model, number, data, manifest_for(model, data, *specs), None)


def write_cast_linear(root: Path, model: str, number: int, datatype: str, output: str = "FP32") -> Path:
    """Its golden rows are 0 and 1 alone, which every type of number holds exactly."""
    from skerry.serving import selftest

    data = cast_linear(datatype, output)
    specs = [Spec("x", datatype, (FEATURES,))], [Spec("logits", output, (CLASSES,))]
    x = np.eye(FEATURES, dtype=tensors.DTYPES[datatype])
    golden = selftest.pack({"x": x}, {"logits": weights(1.0).astype(tensors.DTYPES[output])})
    made = manifest_for(model, data, *specs, golden=golden)
    return write(root, model, number, data, made, golden)


def write_rnn(root: Path, model: str, number: int) -> Path:
    data = rnn()
    state = (manifest.State("h", "h_next", (HIDDEN,)),)
    return write(root, model, number, data, manifest_for(model, data, [X], [LOGITS], state=state), None)


def tensor(values: Any, name: str = "x", dtype: Any = np.float32) -> tensors.Tensor:
    return tensors.Tensor.of(name, np.asarray(values, dtype=dtype))
