"""The rows of a dataset part: columns with their checks, and the npz bytes they travel in. The one reader and writer of
parts for all services.

`pack` and `unpack` are exact opposites; the same rows are the same bytes, so a part's digest says what is in it. A part
of an earlier release lacks the later columns: they are filled with what is known of its rows. Nothing is repaired here:
`finite_rows` tells which rows a caller may keep, the caller drops, counts and reports.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import digests, errors, label_map, names, npz
from skerry.core.datasets import DatasetManifest, Input, Origin, Part, Role

MAX_PART_BYTES = 1 << 30
ID_DTYPE = np.dtype("S71")
NODE_DTYPE = np.dtype("S120")
NO_LABEL = -1
_ADDED = ("node", "label_map")  # since schema 2
_SOFT_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Rows:
    """`x` [n, *shape] as callers send it, `y` [n] int64 (-1: none), `soft` [n, classes] float32 (rows of NaN: none),
    `weight` [n] float32 ≥ 0, `id` [n] S71 (example id or `imported:<n>`), `node` [n] S120 (which node captured it;
    empty: imported, or packed by a release that did not say), `label_map` [n] S71 (the digest of the label map that the
    label was given by, the dataset's or a beginning of it)."""

    x: NDArray[Any]
    y: NDArray[np.int64]
    soft: NDArray[np.float32]
    weight: NDArray[np.float32]
    id: NDArray[np.bytes_]
    node: NDArray[np.bytes_]
    label_map: NDArray[np.bytes_]

    def __len__(self) -> int:
        return len(self.y)

    def take(self, which: NDArray[Any]) -> "Rows":
        """The rows of a boolean mask or an index array."""
        return Rows(*(getattr(self, name)[which] for name in COLUMNS))

    @property
    def has_soft(self) -> NDArray[np.bool_]:
        return np.asarray(~np.isnan(self.soft).any(axis=1))

    @property
    def targets(self) -> NDArray[np.int64]:
        """[n] the hard label, else the likeliest soft one, else -1."""
        likeliest = np.where(self.has_soft, np.nan_to_num(self.soft, nan=-1.0).argmax(axis=1), NO_LABEL)
        return np.asarray(np.where(self.y != NO_LABEL, self.y, likeliest), dtype=np.int64)


COLUMNS = tuple(column.name for column in fields(Rows))


def imported(x: NDArray[Any], y: NDArray[np.int64], class_names: Sequence[str], first: int = 0) -> Rows:
    """Rows of labelled data that a person brings: no soft labels, weight 1, no node, ids `imported:<n>` from `first`
    on."""
    ids = np.array([f"imported:{first + index}" for index in range(len(y))], dtype=ID_DTYPE)
    soft = np.full((len(y), len(class_names)), np.nan, dtype=np.float32)
    weight, node = np.ones(len(y), dtype=np.float32), np.zeros(len(y), dtype=NODE_DTYPE)
    maps = np.full(len(y), label_map.digest(class_names), dtype=ID_DTYPE)
    return Rows(x, y.astype(np.int64), soft, weight, ids, node, maps)


def concatenate(parts: Sequence[Rows], row: Input, classes: int) -> Rows:
    """One after the other; empty, but of the right shape, for none."""
    empty = Rows(
        np.empty((0, *row.shape), dtype=row.dtype),
        np.empty(0, dtype=np.int64),
        np.empty((0, classes), dtype=np.float32),
        np.empty(0, dtype=np.float32),
        np.empty(0, dtype=ID_DTYPE),
        np.empty(0, dtype=NODE_DTYPE),
        np.empty(0, dtype=ID_DTYPE),
    )
    every = [empty, *parts]
    return Rows(*(np.concatenate([getattr(rows, name) for rows in every]) for name in COLUMNS))


def finite_rows(rows: Rows) -> NDArray[np.bool_]:
    """[n] True where every number of `x` is finite."""
    if rows.x.dtype.kind != "f":
        return np.ones(len(rows), dtype=np.bool_)
    return np.asarray(np.isfinite(rows.x).all(axis=tuple(range(1, rows.x.ndim))))


def check_part(arrays: Mapping[str, NDArray[Any]], manifest: DatasetManifest) -> Rows:
    """Arrays from outside as Rows of the manifest's label map. Raises InputError naming the array, the first bad row
    and what it should be.

    Non-finite numbers in `x` are let through (see `finite_rows`): one broken sensor must not stop a run.
    """
    if missing := [name for name in COLUMNS if name not in arrays and name not in _ADDED]:
        raise errors.InputError(f"dataset part of {manifest.model}: array {missing[0]!r} is missing")
    n = len(np.atleast_1d(arrays["y"]))
    classes = _classes(arrays["soft"], manifest)
    defaults = {
        "node": np.zeros(n, dtype=NODE_DTYPE),
        "label_map": np.full(n, label_map.digest(manifest.class_names[:classes]), dtype=ID_DTYPE),
    }
    arrays = {**defaults, **arrays}
    wanted: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {
        "x": (manifest.input.dtype, (n, *manifest.input.shape)),
        "y": (np.dtype(np.int64), (n,)),
        "soft": (np.dtype(np.float32), (n, classes)),
        "weight": (np.dtype(np.float32), (n,)),
        "id": (ID_DTYPE, (n,)),
        "node": (NODE_DTYPE, (n,)),
        "label_map": (ID_DTYPE, (n,)),
    }
    for name, (dtype, shape) in wanted.items():
        array = arrays[name]
        if array.shape != shape or array.dtype != dtype:
            raise errors.InputError(
                f"dataset part of {manifest.model}: {name} is {array.dtype} {list(array.shape)}, "
                f"should be {dtype} {list(shape)}"
            )
    rows = Rows(**{name: arrays[name] for name in COLUMNS})
    _check_labels(rows, manifest)
    _check_sources(rows, manifest)
    return replace(rows, soft=_widened(rows.soft, len(manifest.class_names)))


def _classes(soft: NDArray[Any], manifest: DatasetManifest) -> int:
    """How many classes there were when the part was packed: the dataset's label map may have grown since."""
    width = soft.shape[1] if soft.ndim == 2 else 0
    return width if 0 < width < len(manifest.class_names) else len(manifest.class_names)


def _widened(soft: NDArray[np.float32], classes: int) -> NDArray[np.float32]:
    """Soft labels of a shorter label map: the classes that came later have none of the probability."""
    if soft.shape[1] == classes:
        return soft
    none = np.isnan(soft).all(axis=1)
    wide = np.zeros((len(soft), classes), dtype=np.float32)
    wide[:, : soft.shape[1]] = soft
    wide[none] = np.nan
    return wide


def _check_sources(rows: Rows, manifest: DatasetManifest) -> None:
    """Every row's node has a name, and its label map is the dataset's or a beginning of it."""
    for node in np.unique(rows.node).tolist():
        if node and not names.is_name(node.decode(errors="replace")):
            raise errors.InputError(f"dataset part of {manifest.model}: node {node!r:.80} is no name of a node")
    for one in np.unique(rows.label_map).tolist():
        if label_map.length(one.decode(errors="replace"), manifest.class_names) is None:
            raise errors.InputError(
                f"dataset part of {manifest.model}: rows were labelled by label map {one!r:.80}, "
                "which is not a beginning of the dataset's classNames"
            )


def _check_labels(rows: Rows, manifest: DatasetManifest) -> None:
    classes = rows.soft.shape[1]
    _refuse(manifest, "y", (rows.y < NO_LABEL) | (rows.y >= classes), f"a class in 0..{classes - 1}, or -1 for none")
    _refuse(manifest, "weight", ~(np.isfinite(rows.weight) & (rows.weight >= 0)), "a finite number of at least 0")
    none = np.isnan(rows.soft).all(axis=1)
    with np.errstate(invalid="ignore"):
        sums_to_one = np.abs(rows.soft.sum(axis=1) - 1.0) <= _SOFT_SUM_TOLERANCE
        good = sums_to_one & (rows.soft >= 0).all(axis=1)
    _refuse(manifest, "soft", ~(good | none), "probabilities that add up to 1, or NaN throughout")


def _refuse(manifest: DatasetManifest, name: str, bad: NDArray[np.bool_], wanted: str) -> None:
    if bad.any():
        first = int(bad.argmax())
        raise errors.InputError(
            f"dataset part of {manifest.model}: {name}[{first}] must be {wanted} ({int(bad.sum())} rows are wrong)"
        )


def describe(role: Role, origin: Origin, data: bytes, rows: Rows) -> Part:
    """The manifest's entry for packed rows."""
    targets = rows.targets
    per_class = np.bincount(targets[targets != NO_LABEL], minlength=rows.soft.shape[1])
    return Part(role, origin, digests.sha256(data), len(rows), tuple(int(count) for count in per_class))


def pack(rows: Rows) -> bytes:
    """The part as npz bytes; the same rows always give the same bytes."""
    out = io.BytesIO()
    np.savez_compressed(out, **{name: getattr(rows, name) for name in COLUMNS})
    return out.getvalue()


def unpack(data: bytes, manifest: DatasetManifest) -> Rows:
    """Read `pack`'s bytes from outside, then `check_part`. Raises TooLargeError beyond MAX_PART_BYTES unpacked,
    IntegrityError for what is no npz of arrays, InputError."""
    what = f"dataset part of {manifest.model}"
    limits = npz.Limits(MAX_PART_BYTES)
    return check_part(npz.read(data, what, limits, only=COLUMNS, error=errors.IntegrityError), manifest)
