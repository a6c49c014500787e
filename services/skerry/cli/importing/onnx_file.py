"""What an ONNX file says of itself: its inputs and outputs, and that all of its weights are inside. Nothing is run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from google.protobuf import message

from skerry.core import errors, tensors

MAX_BYTES = 1 << 30
_TYPES: Mapping[int, str] = {
    onnx.TensorProto.FLOAT: "FP32",
    onnx.TensorProto.DOUBLE: "FP64",
    onnx.TensorProto.FLOAT16: "FP16",
    onnx.TensorProto.BFLOAT16: "BF16",
    onnx.TensorProto.BOOL: "BOOL",
    onnx.TensorProto.UINT8: "UINT8",
    onnx.TensorProto.UINT16: "UINT16",
    onnx.TensorProto.UINT32: "UINT32",
    onnx.TensorProto.UINT64: "UINT64",
    onnx.TensorProto.INT8: "INT8",
    onnx.TensorProto.INT16: "INT16",
    onnx.TensorProto.INT32: "INT32",
    onnx.TensorProto.INT64: "INT64",
}
_SCORES = frozenset({"FP16", "BF16", "FP32", "FP64"})


@dataclass(frozen=True, slots=True)
class Output:
    """`shape` without the batch axis; None: the file does not say. `datatype` is empty for what cannot be served;
    `kind` says for people what it is."""

    name: str
    datatype: str
    shape: tuple[int, ...] | None
    kind: str

    def can_answer(self, width: int) -> bool:
        """`width` real numbers for each row."""
        return self.datatype in _SCORES and self.shape in (None, (width,), (tensors.FREE,))


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """`inputs` without the batch axis; an axis without a number is free. `softmaxes` are the outputs that come from a
    Softmax."""

    data: bytes
    ir_version: int
    opsets: dict[str, int]
    inputs: tuple[tensors.Spec, ...]
    outputs: tuple[Output, ...]
    softmaxes: frozenset[str]


def read(path: Path) -> OnnxFile:
    """Raises InputError naming the file and what is wrong with it, TooLargeError."""
    if path.stat().st_size > MAX_BYTES:
        raise errors.TooLargeError(f"{path} is larger than {MAX_BYTES} bytes")
    data = path.read_bytes()
    model = _parse(path, data)
    weights = {weight.name for weight in model.graph.initializer}
    return OnnxFile(
        data=data,
        ir_version=model.ir_version,
        opsets={opset.domain: opset.version for opset in model.opset_import},
        inputs=tuple(_input(path, value) for value in model.graph.input if value.name not in weights),
        outputs=tuple(_output(value) for value in model.graph.output),
        softmaxes=frozenset(name for node in model.graph.node if node.op_type == "Softmax" for name in node.output),
    )


def choose_output(path: Path, file: OnnxFile, width: int, why: str, wanted: str) -> Output:
    """The output that answers: the one named `wanted`, else the first that has `width` real numbers for each row; `why`
    it is so many. Others do not matter, for nobody asks for them. Raises InputError that says what each output is."""
    listed = "; ".join(f"{output.name!r} is {output.kind}" for output in file.outputs) or "it has no output"
    need = f"{why}, so that an output of real numbers [batch, {width}] is needed"
    if wanted:
        named = next((output for output in file.outputs if output.name == wanted), None)
        if named is None:
            raise errors.InputError(f"{path} has no output {wanted!r} (--output): {listed}")
        if not named.can_answer(width):
            raise errors.InputError(f"{path}: output {wanted!r} is {named.kind}, but {need}{_advice(file)}")
        return named
    answering = next((output for output in file.outputs if output.can_answer(width)), None)
    if answering is None:
        raise errors.InputError(f"{path}: {listed}, but {need}{_advice(file)}")
    return answering


def _parse(path: Path, data: bytes) -> onnx.ModelProto:
    try:
        model = onnx.load_from_string(data)
    except message.DecodeError as exc:
        raise errors.InputError(f"{path} is not an ONNX file, or it is cut short") from exc
    # A version is one file under one digest. Weights can be named anywhere: by constants, in branches, in functions.
    if (name := _weights_beside(model)) is not None:
        raise errors.InputError(f"{path} keeps weights in other files ({name[:80]!r}): save it with all data inside")
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as exc:
        raise errors.InputError(f"{path} is not a valid ONNX model: {str(exc).splitlines()[0]}") from exc
    return model


def _weights_beside(part: message.Message) -> str | None:
    """The name of a tensor below `part` whose data is in another file."""
    if isinstance(part, onnx.TensorProto) and part.data_location == onnx.TensorProto.EXTERNAL:
        return part.name or "a constant"
    for _, value in part.ListFields():
        inner: Sequence[Any] = () if isinstance(value, str | bytes | int | float) else value
        for below in [value] if isinstance(value, message.Message) else inner:
            if isinstance(below, message.Message) and (name := _weights_beside(below)) is not None:
                return name
    return None


def _input(path: Path, value: onnx.ValueInfoProto) -> tensors.Spec:
    kind = value.type.tensor_type
    if kind.elem_type not in _TYPES:
        raise errors.InputError(f"{path}: input {value.name!r} is {_kind(value)}, which cannot be served")
    sizes = _sizes(kind)
    if not sizes or sizes[0] != tensors.FREE:
        raise errors.InputError(f"{path}: {value.name!r} has a fixed batch axis; export it with a dynamic first axis")
    return tensors.Spec(value.name, _TYPES[kind.elem_type], tuple(sizes[1:]))


def _output(value: onnx.ValueInfoProto) -> Output:
    kind = value.type.tensor_type
    shape = tuple(_sizes(kind)[1:]) if kind.HasField("shape") and kind.shape.dim else None
    is_scalar = kind.HasField("shape") and not kind.shape.dim
    return Output(value.name, "" if is_scalar else _TYPES.get(kind.elem_type, ""), shape, _kind(value))


def _kind(value: onnx.ValueInfoProto) -> str:
    """What a value is, for people."""
    if value.type.WhichOneof("value") != "tensor_type":
        return "a list of dictionaries (ZipMap)" if value.type.HasField("sequence_type") else "no tensor"
    kind = value.type.tensor_type
    datatype = _TYPES.get(kind.elem_type, onnx.TensorProto.DataType.Name(kind.elem_type))
    if not kind.HasField("shape"):
        return f"{datatype} of unknown shape"
    if not kind.shape.dim:
        return f"a single {datatype} number"
    shown = ["any" if size == tensors.FREE else str(size) for size in _sizes(kind)[1:]]
    return f"{datatype} [{', '.join(['batch', *shown])}]"


def _sizes(kind: Any) -> list[int]:
    return [
        axis.dim_value if axis.HasField("dim_value") and axis.dim_value else tensors.FREE for axis in kind.shape.dim
    ]


def _advice(file: OnnxFile) -> str:
    if any("ZipMap" in output.kind for output in file.outputs):
        return ": export it without ZipMap (skl2onnx: options={'zipmap': False}; onnxmltools: zipmap=False)"
    return ""
