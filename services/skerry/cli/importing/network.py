"""A finished network becomes a version: the ONNX file is checked, run on real inputs, and described by a manifest.

Nothing is stored or signed here; `publishing` does that with what `prepare` returns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf import message
from numpy.typing import NDArray

from skerry.cli import text_file
from skerry.cli.importing import npz
from skerry.core import class_labels, errors, manifest, preprocessing, tensors
from skerry.core.manifest import Manifest
from skerry.serving import selftest
from skerry.serving.network import Network

MAX_MODEL_BYTES = 1 << 30
MAX_GOLDEN_ROWS = 64
_MIN_ONNXRUNTIME = "1.20"
_TOLERANCE_SHARE, _MIN_TOLERANCE = 0.02, 1e-3
_TYPES = {
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the importer says of the network that the file does not."""

    model: str
    labels: tuple[str, ...]
    temperature: float
    threshold: float
    steps: tuple[preprocessing.Step, ...]


@dataclass(frozen=True, slots=True)
class PreparedVersion:
    """A version ready to be signed: files by name, the manifest among them."""

    manifest: Manifest
    contents: Mapping[str, bytes]


def labels(text: str) -> tuple[str, ...]:
    """`a,b,c`, or a file with one name per line. Raises InputError."""
    path = Path(text)
    given = text_file.read(path).splitlines() if _is_file(path) else text.split(",")
    names = class_labels.check_names([name.strip() for name in given if name.strip()], "--labels")
    if len(names) < 2:
        raise errors.InputError(f"--labels must name at least two different classes, not {text[:80]!r}")
    return names


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False  # names of classes, too long for a path


def steps(path: Path | None) -> tuple[preprocessing.Step, ...]:
    """Preprocessing steps from a JSON file. Raises InputError naming the step."""
    return () if path is None else preprocessing.parse(text_file.read_json(path))


def prepare(path: Path, golden: Path, wanted: Wanted) -> PreparedVersion:
    """Check, run and describe. Raises InputError (what is wrong with which file), IntegrityError (it cannot run)."""
    data = _read(path)
    graph = _graph(path, data)
    taken, given = _tensors(path, graph.graph.input, graph), _tensors(path, graph.graph.output, graph)
    if len(taken) != 1:
        names = ", ".join(one.name for one in taken) or "none"
        raise errors.InputError(f"{path} has inputs {names}: networks with one input can be imported")
    rows = _golden_rows(golden, taken)
    if not given or given[0].shape[-1:] not in ((len(wanted.labels),), (tensors.FREE,)):
        shape = list(given[0].shape) if given else []
        raise errors.InputError(
            f"{path}: the first output has shape [batch, {str(shape)[1:-1]}], but {len(wanted.labels)} labels are given"
        )
    (client,) = rows.values()
    seen = preprocessing.apply(wanted.steps, client)
    made = Manifest(
        model=wanted.model,
        runtime=manifest.Runtime(
            graph.ir_version, {one.domain: one.version for one in graph.opset_import}, _MIN_ONNXRUNTIME
        ),
        files={"model": manifest.file_of("model.onnx", data)},
        inputs=(tensors.Spec(taken[0].name, _client_datatype(client, taken[0], wanted.steps), client.shape[1:]),),
        network_inputs=(tensors.Spec(taken[0].name, taken[0].datatype, seen.shape[1:]),),
        outputs=(tensors.Spec(given[0].name, given[0].datatype, (len(wanted.labels),)),),
        preprocessing=wanted.steps,
        class_names=wanted.labels,
        confidence=manifest.Confidence(wanted.temperature, wanted.threshold),
    )
    return _with_golden(path, manifest.check(made), data, client)


def _client_datatype(rows: NDArray[Any], taken: tensors.Spec, steps: Sequence[preprocessing.Step]) -> str:
    """What callers send. numpy has no bfloat16: rows for such an input are float32, and callers send BF16."""
    found = tensors.datatype_of(rows.dtype, taken.name)
    return "BF16" if (found, taken.datatype) == ("FP32", "BF16") and not steps else found


def _with_golden(path: Path, made: Manifest, data: bytes, client: NDArray[Any]) -> PreparedVersion:
    """Run the golden rows through the serving path; what comes out is what every node must reproduce."""
    network = Network.load(made, data)
    name = made.outputs[0].name
    (answers, *_) = network.answer({made.inputs[0].name: client})
    if answers.shape != (len(client), len(made.class_names)):
        raise errors.InputError(f"{path} answers {len(client)} rows with shape {list(answers.shape)}")
    if not np.isfinite(answers).all():
        raise errors.InputError(f"{path} answers NaN or infinity on the golden inputs")
    golden = selftest.pack({made.inputs[0].name: client}, {name: answers})
    tolerance = max(_MIN_TOLERANCE, round(_TOLERANCE_SHARE * float(np.abs(answers).max()), 4))
    files = {**made.files, "golden": manifest.file_of("golden.npz", golden)}
    whole = manifest.check(replace(made, files=files, golden=manifest.Golden(tolerance)))
    tried = selftest.check(whole, data, golden)
    if not tried.passed:
        raise errors.IntegrityError(f"{path} does not reproduce its own answers: {tried.reason}")
    return PreparedVersion(whole, {"manifest.json": whole.to_json(), "model.onnx": data, "golden.npz": golden})


def _read(path: Path) -> bytes:
    if path.stat().st_size > MAX_MODEL_BYTES:
        raise errors.TooLargeError(f"{path} is larger than {MAX_MODEL_BYTES} bytes")
    return path.read_bytes()


def _graph(path: Path, data: bytes) -> onnx.ModelProto:
    """The parsed network. External data is refused: a version is one file under one digest."""
    try:
        graph = onnx.load_from_string(data)
    except message.DecodeError as exc:
        raise errors.InputError(f"{path} is not an ONNX file, or it is cut short") from exc
    if any(one.data_location == onnx.TensorProto.EXTERNAL for one in graph.graph.initializer):
        raise errors.InputError(f"{path} keeps weights in other files: save it with all data inside")
    try:
        onnx.checker.check_model(graph)
    except onnx.checker.ValidationError as exc:
        raise errors.InputError(f"{path} is not a valid ONNX model: {str(exc).splitlines()[0]}") from exc
    return graph


def _tensors(path: Path, values: Sequence[Any], graph: onnx.ModelProto) -> list[tensors.Spec]:
    """Inputs or outputs without the batch axis; an axis without a number is free."""
    weights = {one.name for one in graph.graph.initializer}
    found = []
    for value in values:
        if value.name in weights:
            continue
        kind = value.type.tensor_type
        if kind.elem_type not in _TYPES:
            raise errors.InputError(f"{path}: tensor {value.name!r} has a type that cannot be served")
        sizes = [
            axis.dim_value if axis.HasField("dim_value") and axis.dim_value else tensors.FREE for axis in kind.shape.dim
        ]
        if not sizes or sizes[0] != tensors.FREE:
            raise errors.InputError(
                f"{path}: {value.name!r} has a fixed batch axis; export it with a dynamic first axis"
            )
        found.append(tensors.Spec(value.name, _TYPES[kind.elem_type], tuple(sizes[1:])))
    return found


def _golden_rows(path: Path, taken: Sequence[tensors.Spec]) -> dict[str, NDArray[Any]]:
    arrays = npz.read(path)
    if len(taken) == 1 and len(arrays) == 1:
        arrays = {taken[0].name: next(iter(arrays.values()))}
    if missing := [one.name for one in taken if one.name not in arrays]:
        raise errors.InputError(f"{path} has no array {missing[0]!r}; it has {', '.join(sorted(arrays)) or 'none'}")
    rows = {one.name: arrays[one.name][:MAX_GOLDEN_ROWS] for one in taken}
    for name, array in rows.items():
        if array.ndim < 1 or not len(array):
            raise errors.InputError(f"{path}: array {name!r} has no rows")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise errors.InputError(f"{path}: array {name!r} holds NaN or infinity")
    return rows
