"""The first description of a network that somebody brings: from its ONNX file, its golden inputs, and what is said of
it. Read in the process that tries it, for a file may be made to hurt whoever reads it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.cli.importing import npz, onnx_file
from skerry.cli.importing.wanted import Wanted
from skerry.core import confidence, errors, manifest, preprocessing, tensors
from skerry.core.manifest import Manifest

MAX_GOLDEN_ROWS = 64
_MIN_ONNXRUNTIME = "1.20"


@dataclass(frozen=True, slots=True)
class Draft:
    """`rows`: the golden inputs by name. `passed_over`: outputs of the file that are not served."""

    manifest: Manifest
    data: bytes
    rows: Mapping[str, NDArray[Any]]
    passed_over: tuple[str, ...]


def of(path: Path, golden: Path, wanted: Wanted) -> Draft:
    """Nothing is run. Raises InputError: what is wrong with which file."""
    file = onnx_file.read(path)
    if not file.inputs:
        raise errors.InputError(f"{path} has no input")
    output = onnx_file.choose_output(path, file, wanted.task.width, wanted.width, wanted.output)
    if wanted.row is not None:
        _check_row(path, file.inputs, wanted.row, is_preprocessed=bool(wanted.steps))
    rows = _golden_rows(golden, file.inputs, bool(wanted.steps))
    # Callers send a forecaster's one input by the EdgeModel's name, whatever the file calls it.
    names = {spec.name: spec.name if wanted.row is None else wanted.row.name for spec in file.inputs}
    first = file.inputs[0]
    seen = preprocessing.apply(wanted.steps, rows[first.name])
    ends_in_softmax = output.name in file.softmaxes
    described = Manifest(
        model=wanted.model,
        runtime=manifest.Runtime(file.ir_version, file.opsets, _MIN_ONNXRUNTIME),
        files={"model": manifest.file_of("model.onnx", file.data)},
        inputs=tuple(
            _client_spec(spec, rows[spec.name], names[spec.name], bool(wanted.steps and spec is first))
            for spec in file.inputs
        ),
        network_inputs=(
            tensors.Spec(first.name, first.datatype, seen.shape[1:]),
            *(tensors.Spec(spec.name, spec.datatype, rows[spec.name].shape[1:]) for spec in file.inputs[1:]),
        ),
        outputs=(tensors.Spec(output.name, output.datatype, (wanted.task.width,)),),
        preprocessing=wanted.steps,
        task=wanted.task,
        confidence=confidence.Calibration(
            wanted.temperature,
            wanted.threshold,
            outputs=confidence.Outputs.PROBABILITIES if ends_in_softmax else confidence.Outputs.LOGITS,
        ),
    )
    passed_over = tuple(other.name for other in file.outputs if other.name != output.name)
    by_name = {names[name]: array for name, array in rows.items()}
    return Draft(_checked(path, described), file.data, by_name, passed_over)


def _check_row(path: Path, inputs: Sequence[tensors.Spec], row: tensors.Spec, *, is_preprocessed: bool) -> None:
    """The network takes the rows of a table; preprocessed they may be of another shape and datatype."""
    if len(inputs) != 1:
        raise errors.InputError(
            f"{path} takes the inputs {', '.join(repr(spec.name) for spec in inputs)}, and a row of the holdout is one "
            f"tensor, {row.name!r}: export it with one input"
        )
    [taken] = inputs
    fits = len(taken.shape) == len(row.shape) and all(
        size in (tensors.FREE, given) for size, given in zip(taken.shape, row.shape, strict=True)
    )
    if not is_preprocessed and not (fits and taken.datatype == row.datatype):
        shown = ["any" if size == tensors.FREE else size for size in taken.shape]
        raise errors.InputError(
            f"{path}: its input {taken.name!r} is {taken.datatype} [batch, {', '.join(map(str, shown))}], and that of "
            f"the EdgeModel is {row.datatype} {list(row.shape)}: export it for such rows, or change spec.input"
        )


def _checked(path: Path, described: Manifest) -> Manifest:
    try:
        return manifest.check(described)
    except (errors.InputError, errors.IntegrityError) as exc:
        raise type(exc)(f"{path}: {exc}") from exc


def _client_spec(spec: tensors.Spec, rows: NDArray[Any], name: str, is_preprocessed: bool) -> tensors.Spec:
    """What callers send: as the golden rows are where preprocessing stands before the network, else what it takes."""
    datatype = tensors.datatype_of(rows.dtype, spec.name) if is_preprocessed else spec.datatype
    return tensors.Spec(name, datatype, rows.shape[1:])


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
