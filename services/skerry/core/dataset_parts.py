"""The rows of a dataset part: columns with their checks, and the npz bytes they travel in. The one reader and writer of
parts for all services.

`pack` and `unpack` are exact opposites; the same rows are the same bytes, so a part's digest says what is in it. A part
of an earlier release lacks the later columns: they are filled with what is known of its rows. Nothing is repaired here:
`finite_rows` tells which rows a caller may keep, the caller drops, counts and reports.
"""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import digests, errors, label_map, mapped_rows, names, npz
from skerry.core.datasets import DatasetManifest, Input, Origin, Part, Role
from skerry.core.tasks import Classification, ColumnFault, Forecast, Task
from skerry.core.tasks import columns as columns_of
from skerry.core.tasks.classification import NO_CLASS

MAX_PART_BYTES = 1 << 30  # that are read
SEALED_BYTES = 64 << 20  # unpacked, that one part has when it is written: a worker reads it alone
ID_DTYPE = np.dtype("S71")
NODE_DTYPE = np.dtype("S120")
NO_LABEL = NO_CLASS
SERIES_DTYPE = np.dtype("S120")
_ADDED = ("node", "label_map")  # since schema 2


@dataclass(frozen=True, slots=True)
class Rows:
    """`x` [n, *shape] as callers send it, `y` the truth: [n] int64 (-1: none), of forecasts [n, steps] float32 (NaN:
    none); `soft` [n, width] float32, what a teacher says (rows of NaN: nothing),
    `weight` [n] float32 ≥ 0, `id` [n] S71 (example id or `imported:<n>`), `node` [n] S120 (which node captured it;
    empty: imported, or packed by a release that did not say), `label_map` [n] S71 (the digest of the label map that the
    label was given by, the dataset's or a beginning of it). Of forecasts also `series` [n] S120, `time` [n] int64 (Unix
    ms of the series' own clock) and `naive` [n, seasons, steps] float32 (NaN: not known)."""

    x: NDArray[Any]
    y: NDArray[Any]
    soft: NDArray[np.float32]
    weight: NDArray[np.float32]
    id: NDArray[np.bytes_]
    node: NDArray[np.bytes_]
    label_map: NDArray[np.bytes_]
    series: NDArray[np.bytes_] | None = None
    time: NDArray[np.int64] | None = None
    naive: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.y)

    def take(self, which: NDArray[Any]) -> "Rows":
        """The rows of a boolean mask or an index array."""
        return Rows(**{name: column[which] for name, column in columns(self).items()})

    @property
    def targets(self) -> NDArray[Any]:
        """What is learned from each row. Of classes [n] the hard label, else the likeliest soft one, else -1; of
        forecasts [n, steps] the truth, else NaN."""
        if self.y.ndim == 2:
            return self.y
        likeliest = np.where(self.has_soft, np.nan_to_num(self.soft, nan=-1.0).argmax(axis=1), NO_LABEL)
        return np.asarray(np.where(self.y != NO_LABEL, self.y, likeliest), dtype=np.int64)

    @property
    def per_class(self) -> tuple[int, ...]:
        """How many rows there are of each class; empty for forecasts."""
        if self.y.ndim == 2:
            return ()
        targets = self.targets
        counts = np.bincount(targets[targets != NO_LABEL], minlength=self.soft.shape[1])
        return tuple(int(count) for count in counts)

    @property
    def has_soft(self) -> NDArray[np.bool_]:
        return np.asarray(~np.isnan(self.soft).any(axis=1))


COLUMNS = tuple(column.name for column in fields(Rows))


def columns(rows: Rows) -> dict[str, NDArray[Any]]:
    """The columns that these rows have, by name."""
    every = ((name, getattr(rows, name)) for name in COLUMNS)
    return {name: column for name, column in every if column is not None}


def imported(x: NDArray[Any], y: NDArray[Any], task: Task, first: int = 0, **of_forecasts: NDArray[Any]) -> Rows:
    """Rows of labelled data that a person brings: no soft labels, weight 1, no node, ids `imported:<n>` from `first`
    on; of forecasts also `series`, `time` and `naive`."""
    ids = np.array([f"imported:{first + index}" for index in range(len(y))], dtype=ID_DTYPE)
    soft = np.full((len(y), task.width), np.nan, dtype=np.float32)
    weight, node = np.ones(len(y), dtype=np.float32), np.zeros(len(y), dtype=NODE_DTYPE)
    maps = np.full(len(y), task.digest, dtype=ID_DTYPE)
    return Rows(x, y.astype(task.no_truth(0).dtype), soft, weight, ids, node, maps, **of_forecasts)


def concatenate(parts: Sequence[Rows], row: Input, task: Task) -> Rows:
    """One after the other; empty, but of the right shape, for none."""
    empty = Rows(np.empty((0, *row.shape), dtype=row.dtype), task.no_truth(0), **_empty(0, task))
    every = [columns(rows) for rows in (empty, *parts)]
    return Rows(**{name: np.concatenate([rows[name] for rows in every]) for name in every[0]})


def row_bytes(row: Input, task: Task) -> int:
    """Of one row, all columns."""
    none = columns(concatenate((), row, task)).values()
    return sum(math.prod(column.shape[1:]) * column.dtype.itemsize for column in none)


def _empty(n: int, task: Task) -> dict[str, Any]:
    """What the other columns hold of rows of which nothing is known."""
    plain = {
        "soft": np.full((n, task.width), np.nan, dtype=np.float32),
        "weight": np.ones(n, dtype=np.float32),
        "id": np.zeros(n, dtype=ID_DTYPE),
        "node": np.zeros(n, dtype=NODE_DTYPE),
        "label_map": np.full(n, task.digest, dtype=ID_DTYPE),
    }
    if not isinstance(task, Forecast):
        return plain
    return plain | {
        "series": np.zeros(n, dtype=SERIES_DTYPE),
        "time": np.zeros(n, dtype=np.int64),
        "naive": np.full((n, len(task.naive), task.steps), np.nan, dtype=np.float32),
    }


def finite_rows(rows: Rows) -> NDArray[np.bool_]:
    """[n] True where every number of `x` is finite."""
    if rows.x.dtype.kind != "f":
        return np.ones(len(rows), dtype=np.bool_)
    return np.asarray(np.isfinite(rows.x).all(axis=tuple(range(1, rows.x.ndim))))


def check_part(arrays: Mapping[str, NDArray[Any]], manifest: DatasetManifest, counted: str = "") -> Rows:
    """Arrays from outside as Rows of the manifest's task; `counted` is the part's `label_map`. Raises InputError naming
    the array, the first bad row and what it should be.

    Non-finite numbers in `x` are let through (see `finite_rows`): one broken sensor must not stop a run.
    """
    whole = _whole_task(manifest, counted)
    packed = _packed_task(arrays, whole)
    wanted = {"x": np.empty((0, *manifest.input.shape), manifest.input.dtype), "y": packed.no_truth(0)}
    wanted |= _empty(0, packed)
    if missing := [name for name in wanted if name not in arrays and name not in _ADDED]:
        raise errors.InputError(f"dataset part of {manifest.model}: array {missing[0]!r} is missing")
    n = len(np.atleast_1d(arrays["y"]))
    found = {name: arrays[name] for name in wanted if name in arrays}
    for name, column in found.items():
        dtype, shape = wanted[name].dtype, (n, *wanted[name].shape[1:])
        if column.shape != shape or column.dtype != dtype:
            raise errors.InputError(
                f"dataset part of {manifest.model}: {name} is {column.dtype} {list(column.shape)}, "
                f"should be {dtype} {list(shape)}"
            )
    if len(found) < len(wanted):
        found = {name: column for name, column in _empty(n, packed).items() if name in _ADDED} | found
    rows = Rows(**found)
    _check_columns(rows, packed, manifest)
    _check_sources(rows, whole, manifest)
    if not counted:
        return replace(rows, soft=_widened(rows.soft, manifest.task.width))
    meanings = manifest.task.meanings(packed.digest) or ()
    return mapped_rows.in_terms_of(rows, meanings, manifest.task.width, manifest.task.digest)


def gone(rows: Rows, task: Task) -> NDArray[np.bool_]:
    """bool [n]: rows of a class that was removed since they were labelled. They have no label."""
    return mapped_rows.gone(rows, label_map.digests(task.class_names)) if task.is_mapped else np.zeros(len(rows), bool)


def _whole_task(manifest: DatasetManifest, counted: str) -> Task:
    """What the part counts in: the manifest's task, or a former one of its classes."""
    if not isinstance(manifest.task, Classification):
        return manifest.task
    whole = manifest.task.counted_in(counted or manifest.task.digest)
    if whole is None:
        raise errors.InputError(
            f"dataset part of {manifest.model} counts in label map {counted}, which is no former one of its classMap"
        )
    return whole


def _packed_task(arrays: Mapping[str, NDArray[Any]], whole: Task) -> Task:
    """The task as it was when the part was packed: the label map may have grown since."""
    soft = arrays.get("soft")
    width = soft.shape[1] if soft is not None and soft.ndim == 2 else 0
    if isinstance(whole, Classification) and 0 < width < whole.width:
        return Classification(whole.class_names[:width])
    return whole


def _widened(soft: NDArray[np.float32], classes: int) -> NDArray[np.float32]:
    """Soft labels of a shorter label map: the classes that came later have none of the probability."""
    if soft.shape[1] == classes:
        return soft
    none = np.isnan(soft).all(axis=1)
    wide = np.zeros((len(soft), classes), dtype=np.float32)
    wide[:, : soft.shape[1]] = soft
    wide[none] = np.nan
    return wide


def _check_sources(rows: Rows, whole: Task, manifest: DatasetManifest) -> None:
    """Every row's node has a name, and its label map is the part's or a beginning of it."""
    for node in np.unique(rows.node).tolist():
        if node and not names.is_name(node.decode(errors="replace")):
            raise errors.InputError(f"dataset part of {manifest.model}: node {node!r:.80} is no name of a node")
    for one in np.unique(rows.label_map).tolist():
        if whole.meanings(one.decode(errors="replace")) is None:
            raise errors.InputError(
                f"dataset part of {manifest.model}: rows were labelled by label map {one!r:.80}, "
                "which is not a beginning of the dataset's classNames"
            )


def _check_columns(rows: Rows, task: Task, manifest: DatasetManifest) -> None:
    _refuse(manifest, task.column_fault(rows.y, rows.soft))
    negative = ~(np.isfinite(rows.weight) & (rows.weight >= 0))
    _refuse(manifest, columns_of.first(("weight", negative, "a finite number of at least 0")))
    if rows.naive is not None:
        infinite = np.isinf(rows.naive).any(axis=(1, 2))
        _refuse(manifest, columns_of.first(("naive", infinite, "finite, or NaN where it is not known")))


def _refuse(manifest: DatasetManifest, fault: ColumnFault | None) -> None:
    if fault is not None:
        first = int(fault.bad.argmax())
        raise errors.InputError(
            f"dataset part of {manifest.model}: {fault.name}[{first}] must be {fault.wanted} "
            f"({int(fault.bad.sum())} rows are wrong)"
        )


def describe(role: Role, origin: Origin, data: bytes, rows: Rows) -> Part:
    """The manifest's entry for packed rows."""
    return Part(role, origin, digests.sha256(data), len(rows), rows.per_class)


def pack(rows: Rows) -> bytes:
    """The part as npz bytes; the same rows always give the same bytes."""
    out = io.BytesIO()
    np.savez_compressed(out, allow_pickle=False, **columns(rows))
    return out.getvalue()


def unpack(data: bytes, manifest: DatasetManifest, counted: str = "") -> Rows:
    """Read `pack`'s bytes from outside, then `check_part`; `counted` is the part's `label_map`. Raises TooLargeError
    beyond MAX_PART_BYTES unpacked, IntegrityError for what is no npz of arrays, InputError."""
    what = f"dataset part of {manifest.model}"
    limits = npz.Limits(MAX_PART_BYTES)
    return check_part(npz.read(data, what, limits, only=COLUMNS, error=errors.IntegrityError), manifest, counted)
