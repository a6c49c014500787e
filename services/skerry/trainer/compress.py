"""Float ONNX → int8 ONNX (static QDQ, u8 activations, s8 weights, MinMax, per channel), and what really became int8.

The quantizer says nothing about what it left alone: ONNX Runtime has no int8 kernel for RNN and GRU, and one for LSTM
that scales its input anew at every run (`recurrent`). So the graph that the runtime really executes is asked, and
nothing is called int8 that is not. Which form is shipped is decided from answers on the holdout (`ladder`), not hoped.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from skerry.core import errors, tensors
from skerry.core.compression import FLOAT_SCHEME
from skerry.core.manifest import Layer
from skerry.nets import export
from skerry.serving import runtime

CALIBRATION_ROWS = 512
_BATCH = 32
SCHEME = "static QDQ u8s8 per-channel MinMax"
REDUCED_SCHEME = f"{SCHEME} 7-bit weights"
RECURRENT_SCHEME = f"{SCHEME}, dynamic LSTM"
# What onnxruntime's quantizer raises for a graph that it does not understand: it has no error of its own.
_REFUSALS = (ValueError, RuntimeError, TypeError, KeyError, AttributeError, NotImplementedError)
_LAYERS = frozenset({"Conv", "Gemm", "MatMul"})
_NO_WEIGHT = frozenset({"QuantizeLinear", "DequantizeLinear", "Shape", "Constant", "Squeeze", "Unsqueeze", "Slice"})


@dataclass(frozen=True, slots=True)
class Model:
    """An ONNX file and what its nodes compute in."""

    data: bytes
    scheme: str
    int8_nodes: Sequence[Layer]
    float_nodes: Sequence[Layer]

    @property
    def int8_share(self) -> float:
        """Of the weights, how many are kept and computed in int8: 0-1."""
        small = sum(node.bytes for node in self.int8_nodes)
        whole = sum(node.bytes for node in self.float_nodes) / np.dtype(np.float32).itemsize
        return small / (small + whole) if small else 0.0

    @property
    def note(self) -> str:
        """What is not int8 in a model that is called so; empty where all of it is, or nothing."""
        if not self.float_nodes or not self.int8_nodes:
            return ""
        kinds = ", ".join(sorted({node.op for node in self.float_nodes}))
        return f"int8 for {self.int8_share:.0%} of the weights, {kinds} stays float"


def as_float(data: bytes) -> Model:
    """The unquantized model with its report."""
    return Model(data, FLOAT_SCHEME, (), tuple(_weighted(onnx.load_from_string(data))))


def has_lstm(data: bytes) -> bool:
    return any(node.op_type == "LSTM" for node in onnx.load_from_string(data).graph.node)


def to_int8(
    whole: export.Exported,
    calibration: NDArray[Any],
    *,
    reduced: bool = False,
    keep_head: bool = False,
    recurrent: bool = False,
) -> Model:
    """Quantize with the activations that `calibration` [n, …] network inputs cause; a network with memory sees each
    sequence in two pieces, so that its state is not always zero. `reduced`: weights of 7 bits, which cannot saturate
    on CPUs that add pairs of 8-bit products in 16 bits (AVX2 without VNNI). `keep_head`: the last layer with weights,
    and all that is done to its answer, stays float; so does every operation without weights. `recurrent`: LSTMs as
    well, by the kernel that scales what it reads anew at every run. The layers before it are static, so that no
    caller's row reaches it with more than they saw in calibration: else it would coarsen the answers of the others in
    its batch.

    Raises InputError for an empty or non-finite calibration set, or a network that the quantizer cannot handle.
    """
    if not len(calibration):
        raise errors.InputError("int8 needs calibration samples and there are none")
    tensors.check_finite(calibration, "the calibration samples")
    with tempfile.TemporaryDirectory(prefix="skerry-int8-") as folder:
        data = _with_recurrent(whole.data, Path(folder)) if recurrent else whole.data
        quantized = _strip_domains(_quantize(data, _feeds(whole, calibration), Path(folder), reduced, keep_head))
        executed = _executed(quantized, Path(folder))
    model = onnx.load_from_string(quantized)
    if model.ir_version > export.MAX_IR_VERSION:
        raise errors.InputError(
            f"the quantizer wrote IR {model.ir_version}; fielded runtimes read {export.MAX_IR_VERSION}"
        )
    weighted = _weighted(model)
    small = [node for node in weighted if _is_int8(node, model, executed)]
    scheme = RECURRENT_SCHEME if recurrent else REDUCED_SCHEME if reduced else SCHEME
    return Model(quantized, scheme, small, [node for node in weighted if node not in small])


def _quantize(data: bytes, feeds: Iterator[export.Feeds], folder: Path, reduced: bool, keep_head: bool) -> bytes:
    from onnxruntime import quantization  # heavy, and only a run needs it
    from onnxruntime.quantization import shape_inference

    raw, prepared, done = folder / "float.onnx", folder / "prepared.onnx", folder / "int8.onnx"
    raw.write_bytes(data)

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
        def get_next(self) -> export.Feeds | None:
            return next(feeds, None)

    try:
        shape_inference.quant_pre_process(raw, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            done,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
            per_channel=True,
            reduce_range=reduced,
            nodes_to_exclude=_but_inner_layers(onnx.load(str(prepared))) if keep_head else [],
        )
    except _REFUSALS as exc:
        raise errors.InputError(f"this network cannot be quantized: {exc}") from exc
    return done.read_bytes()


def _with_recurrent(data: bytes, folder: Path) -> bytes:
    """LSTMs alone in int8, before anything else is: once other layers are, it would leave some of them to float."""
    from onnxruntime import quantization

    before, done = folder / "whole.onnx", folder / "recurrent.onnx"
    before.write_bytes(data)
    try:
        quantization.quantize_dynamic(
            before, done, op_types_to_quantize=["LSTM"], weight_type=quantization.QuantType.QInt8
        )
    except _REFUSALS as exc:
        raise errors.InputError(f"the LSTM of this network cannot be quantized: {exc}") from exc
    return done.read_bytes()


def _but_inner_layers(model: onnx.ModelProto) -> list[str]:
    """The names of all nodes but the layers with weights whose answer goes through another one."""
    weights = {weight.name for weight in model.graph.initializer}
    layers = [
        node for node in model.graph.node if node.op_type in _LAYERS and any(name in weights for name in node.input)
    ]
    maker = {output: node for node in model.graph.node for output in node.output}
    inner: set[str] = set()
    for layer in layers:
        waiting = [name for name in layer.input if name in maker]
        while waiting:
            before = maker[waiting.pop()]
            if before.name not in inner:
                inner.add(before.name)
                waiting += [name for name in before.input if name in maker]
    kept = {layer.name for layer in layers if layer.name in inner}
    return [node.name for node in model.graph.node if node.name not in kept]


def _feeds(whole: export.Exported, calibration: NDArray[Any]) -> Iterator[export.Feeds]:
    for at in range(0, len(calibration), _BATCH):
        batch = calibration[at : at + _BATCH]
        if not whole.states:
            yield {export.INPUT: batch}
            continue
        half = max(1, batch.shape[1] // 2)
        state = {hidden.input: np.zeros((len(batch), hidden.size), dtype=np.float32) for hidden in whole.states}
        first = {export.INPUT: batch[:, :half], **state}
        yield first
        after = export.run(whole.data, first)[1:]
        yield {
            export.INPUT: batch[:, half:] if half < batch.shape[1] else batch,
            **dict(zip(state, after, strict=True)),
        }


def _strip_domains(data: bytes) -> bytes:
    """Drop operator sets that no node uses: a fielded runtime would refuse the file for their sake."""
    model = onnx.load_from_string(data)
    used = {node.domain for node in model.graph.node} | {""}
    kept = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    stripped: bytes = model.SerializeToString()
    return stripped


def _executed(data: bytes, folder: Path) -> Mapping[str, str]:
    """Node name → operation, of the graph that the runtime makes of the file."""
    import onnxruntime  # `runtime`, imported above, has turned its telemetry off

    target = folder / "executed.onnx"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    runtime.keep_int8_exact(options)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    onnxruntime.InferenceSession(data, options, providers=[runtime.check_provider("cpu")])
    return {node.name: node.op_type for node in onnx.load(str(target)).graph.node}


def _weighted(model: onnx.ModelProto) -> list[Layer]:
    """Every computing node with the bytes of its constant inputs, also those behind a DequantizeLinear."""
    sizes = {weight.name: onnx.numpy_helper.to_array(weight).nbytes for weight in model.graph.initializer}
    behind = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    layers = []
    for node in model.graph.node:
        size = sum(sizes.get(behind.get(name, name), 0) for name in node.input)
        if node.op_type not in _NO_WEIGHT and size > 64:  # smaller constants are axes and indices, not weights
            layers.append(Layer(node.name or node.output[0], node.op_type, size))
    return layers


def _is_int8(node: Layer, model: onnx.ModelProto, executed: Mapping[str, str]) -> bool:
    """The runtime runs it by a kernel for quantized numbers, or only looks int8 weights up."""
    operation = executed.get(node.name, "")
    if operation.startswith(("Q", "DynamicQuantize")):  # QLinearConv, QLinearMatMul, QGemm, …, DynamicQuantizeLSTM
        return True
    if operation != "Gather":
        return False
    kinds = {weight.name: weight.data_type for weight in model.graph.initializer}
    mine = next(proto for proto in model.graph.node if (proto.name or proto.output[0]) == node.name)
    sources = {proto.output[0]: proto.input[0] for proto in model.graph.node if proto.op_type == "DequantizeLinear"}
    return kinds.get(sources.get(mine.input[0], "")) in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
