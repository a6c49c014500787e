"""Does this version answer here what it answered where it was made? The golden set, replayed through the serving path.

`golden.npz` holds one array per client input (rows as callers send them) and one per output, by the names of the
manifest. Run by the trainer before it proposes, by a node's child process before it stages, and at every load. Before a
version is taken for the first time, it is also tried whether its rows influence one another.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors, npz, row_independence, tensors
from skerry.core.manifest import Manifest
from skerry.serving.network import Network

MAX_GOLDEN_BYTES = 64 << 20
_TIMED_RUNS = 5

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Result:
    """`reason` says what was wrong, or how good it was. `latency_ms`: median of one row, preprocessing included; that
    row has `row_bytes`, and `shape` where axes are free."""

    passed: bool
    reason: str
    max_difference: float = 0.0
    latency_ms: float = 0.0
    row_bytes: int = 0
    shape: tuple[int, ...] = ()


def pack(inputs: Arrays, outputs: Arrays) -> bytes:
    """golden.npz from rows of every client input and what the version answers. BYTES rows must have a dtype of `S`.
    Raises InputError when an input and an output have one name, or rows differ in number."""
    if both := set(inputs) & set(outputs):
        raise errors.InputError(f"golden set: {min(both)!r} is the name of an input and of an output")
    arrays = {**inputs, **outputs}
    if len({len(array) for array in arrays.values()}) != 1:
        raise errors.InputError("golden set: every array must have the same number of rows")
    return npz.pack(arrays)


def unpack(data: bytes, manifest: Manifest) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """(inputs, outputs) by name. Raises IntegrityError for what is no golden set of this manifest."""
    names = {spec.name for spec in (*manifest.inputs, *manifest.outputs)}
    what = f"the golden set of {manifest.model}"
    arrays = npz.read(data, what, npz.Limits(MAX_GOLDEN_BYTES), only=names, error=errors.IntegrityError)
    if missing := [spec.name for spec in manifest.inputs if spec.name not in arrays]:
        raise errors.IntegrityError(f"{what} has no array {missing[0]!r}")
    inputs = {spec.name: arrays[spec.name] for spec in manifest.inputs}
    outputs = {spec.name: arrays[spec.name] for spec in manifest.outputs if spec.name in arrays}
    rows = {len(np.atleast_1d(array)) for array in (*inputs.values(), *outputs.values())}
    if not outputs or len(rows) != 1 or 0 in rows:
        raise errors.IntegrityError(f"the golden set of {manifest.model} needs outputs, and as many rows of each array")
    return inputs, outputs


def check(manifest: Manifest, model: bytes, golden: bytes | None) -> Result:
    """Load the network from its bytes, run the golden set, and compare its rows alone and together; never raises for a
    bad version, it says so."""
    try:
        network = Network.load(manifest, model)
        if network.fixed_rows is not None:
            return Result(
                False,
                f"it takes exactly {network.fixed_rows} rows at a time: rows of several callers share one run, so "
                "export it with a free first axis",
            )
        result = run(network, golden)
        if not result.passed:
            return result
        inputs = unpack(golden, manifest)[0] if golden is not None else _zeros(manifest)
        verdict = row_independence.judge(network.answer_twice, _as_fed(inputs, manifest))
    except errors.SkerryError as exc:
        return Result(False, str(exc))
    return result if verdict.passed else replace(result, passed=False, reason=verdict.reason)


def run(network: Network, golden: bytes | None) -> Result:
    """The golden set (None: only zeros, finite answers and time) through a loaded network."""
    manifest = network.manifest
    try:
        inputs, expected = unpack(golden, manifest) if golden is not None else (_zeros(manifest), {})
        answers = dict(zip(network.output_names, network.answer(_as_fed(inputs, manifest)), strict=True))
        worst = max((_distance(answers[name], wanted, name) for name, wanted in expected.items()), default=0.0)
    except errors.SkerryError as exc:
        return Result(False, str(exc))
    row = {name: array[:1] for name, array in _as_fed(inputs, manifest).items()}
    latency_ms = _latency_ms(network, row)
    if worst > manifest.golden.tolerance_abs:
        text = (
            f"golden set differs by {worst:.4g}, more than {manifest.golden.tolerance_abs:.4g}: it answers wrongly here"
        )
        return Result(False, text, worst, latency_ms)
    if 0 < manifest.golden.latency_cap_ms < latency_ms:
        text = f"one row takes {latency_ms:.3g} ms here, more than {manifest.golden.latency_cap_ms:.3g} ms"
        return Result(False, text, worst, latency_ms)
    size_bytes = sum(tensors.size_bytes(row[spec.name]) for spec in manifest.inputs)
    shape = tensors.free_sizes(manifest.inputs, [row[spec.name].shape for spec in manifest.inputs])
    text = f"golden set within {worst:.3g}, {latency_ms:.3g} ms a row"
    return Result(True, text, worst, latency_ms, size_bytes, shape)


def _distance(answer: NDArray[Any], wanted: NDArray[Any], name: str) -> float:
    if answer.shape != wanted.shape:
        raise errors.IntegrityError(
            f"output {name!r} has shape {list(answer.shape)}, the golden set {list(wanted.shape)}"
        )
    if answer.dtype.kind not in "fiub":
        return float((answer != wanted).any())
    # fmax: a number that is not finite in the golden set must not make everything pass.
    difference = np.abs(answer.astype(np.float64) - wanted.astype(np.float64))
    return float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0))


def _as_fed(inputs: Arrays, manifest: Manifest) -> dict[str, NDArray[Any]]:
    kinds = {spec.name: spec.datatype for spec in manifest.inputs}
    return {
        name: array.astype(object) if kinds[name] == "BYTES" else array.astype(tensors.DTYPES[kinds[name]], copy=False)
        for name, array in inputs.items()
    }


def _zeros(manifest: Manifest) -> dict[str, NDArray[Any]]:
    return {spec.name: zeros(spec, 1) for spec in manifest.inputs}


def zeros(spec: tensors.Spec, rows: int) -> NDArray[Any]:
    """Rows of zeros (of empty texts) of a spec; a free axis has one entry."""
    shape = (rows, *(1 if size == tensors.FREE else size for size in spec.shape))
    if spec.datatype == "BYTES":
        return np.full(shape, b"", dtype=object)
    return np.zeros(shape, dtype=tensors.DTYPES[spec.datatype])


def _latency_ms(network: Network, row: Arrays) -> float:
    times = []
    for _ in range(_TIMED_RUNS):
        start = time.perf_counter()
        network.answer(row)
        times.append(time.perf_counter() - start)
    return sorted(times)[_TIMED_RUNS // 2] * 1e3
