"""A finished network becomes a version: the ONNX file is checked, run on real inputs, and described by a manifest.

Nothing is stored or signed here; `publish` does that with what `prepare` returns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.cli import text_file
from skerry.cli.importing import npz, onnx_file, trial
from skerry.core import class_labels, confidence, errors, manifest, preprocessing, tensors
from skerry.core.manifest import Manifest

MAX_GOLDEN_ROWS = 64
_MIN_ONNXRUNTIME = "1.20"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the importer says of the network that the file does not. `output`: which one answers (empty: the first that
    can); `outputs`: whether it answers with logits or probabilities (empty: seen from the golden rows)."""

    model: str
    labels: tuple[str, ...]
    temperature: float
    threshold: float
    steps: tuple[preprocessing.Step, ...]
    output: str = ""
    outputs: str = ""


@dataclass(frozen=True, slots=True)
class PreparedVersion:
    """A version ready to be signed: files by name, the manifest among them. `passed_over`: outputs of the file that are
    not served."""

    manifest: Manifest
    contents: Mapping[str, bytes]
    passed_over: tuple[str, ...] = ()


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
    file = onnx_file.read(path)
    if not file.inputs:
        raise errors.InputError(f"{path} has no input")
    output = onnx_file.choose_output(path, file, len(wanted.labels), wanted.output)
    rows = _golden_rows(golden, file.inputs, bool(wanted.steps))
    first = file.inputs[0]
    seen = preprocessing.apply(wanted.steps, rows[first.name])
    ends_in_softmax = output.name in file.softmaxes
    draft = Manifest(
        model=wanted.model,
        runtime=manifest.Runtime(file.ir_version, file.opsets, _MIN_ONNXRUNTIME),
        files={"model": manifest.file_of("model.onnx", file.data)},
        inputs=tuple(_client_spec(spec, rows[spec.name], bool(wanted.steps and spec is first)) for spec in file.inputs),
        network_inputs=(
            tensors.Spec(first.name, first.datatype, seen.shape[1:]),
            *(tensors.Spec(spec.name, spec.datatype, rows[spec.name].shape[1:]) for spec in file.inputs[1:]),
        ),
        outputs=(tensors.Spec(output.name, output.datatype, (len(wanted.labels),)),),
        preprocessing=wanted.steps,
        class_names=wanted.labels,
        confidence=manifest.Confidence(
            wanted.temperature,
            wanted.threshold,
            outputs=confidence.Outputs.PROBABILITIES if ends_in_softmax else confidence.Outputs.LOGITS,
        ),
    )
    try:
        whole, packed = trial.run(manifest.check(draft), file.data, rows, wanted.outputs)
    except (errors.InputError, errors.IntegrityError) as exc:
        raise type(exc)(f"{path}: {exc}") from exc
    contents = {"manifest.json": whole.to_json(), "model.onnx": file.data, "golden.npz": packed}
    return PreparedVersion(whole, contents, tuple(other.name for other in file.outputs if other.name != output.name))


def _client_spec(spec: tensors.Spec, rows: NDArray[Any], is_preprocessed: bool) -> tensors.Spec:
    """What callers send: as the golden rows are where preprocessing stands before the network, else what it takes."""
    datatype = tensors.datatype_of(rows.dtype, spec.name) if is_preprocessed else spec.datatype
    return tensors.Spec(spec.name, datatype, rows.shape[1:])


def _golden_rows(path: Path, inputs: Sequence[tensors.Spec], is_preprocessed: bool) -> dict[str, NDArray[Any]]:
    """Rows of every input by name; those that nothing preprocesses in the network's datatype. Raises InputError when
    that would change a value."""
    arrays = npz.read(path)
    if len(inputs) == 1 and len(arrays) == 1:
        arrays = {inputs[0].name: next(iter(arrays.values()))}
    if missing := [spec.name for spec in inputs if spec.name not in arrays]:
        raise errors.InputError(
            f"{path} has no array {missing[0]!r}; it has {', '.join(sorted(arrays)) or 'none'}, and the network takes "
            f"{', '.join(spec.name for spec in inputs)}"
        )
    rows = {spec.name: arrays[spec.name][:MAX_GOLDEN_ROWS] for spec in inputs}
    for at, spec in enumerate(inputs):
        array = rows[spec.name]
        if array.ndim < 1 or not len(array):
            raise errors.InputError(f"{path}: array {spec.name!r} has no rows")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise errors.InputError(f"{path}: array {spec.name!r} holds NaN or infinity")
        if not (is_preprocessed and at == 0):
            rows[spec.name] = _as_taken(path, array, spec)
    if len({len(array) for array in rows.values()}) != 1:
        counts = ", ".join(f"{name} {len(array)}" for name, array in rows.items())
        raise errors.InputError(f"{path}: its arrays must have the same number of rows, not {counts}")
    return rows


def _as_taken(path: Path, array: NDArray[Any], spec: tensors.Spec) -> NDArray[Any]:
    if array.dtype.kind not in "biuf":
        raise errors.InputError(f"{path}: array {spec.name!r} holds {array.dtype}, not numbers")
    return tensors.cast(array, spec.datatype, f"{path}, array {spec.name!r}", owner=f"input {spec.name!r}")
