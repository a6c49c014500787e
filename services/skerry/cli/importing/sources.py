"""Which reader a path belongs to: npz, a folder of images by class, CSV or parquet."""

from pathlib import Path

import numpy as np

from skerry.cli.importing import images, npz, tables
from skerry.cli.importing.labeled import LabeledRows
from skerry.core import errors
from skerry.core.datasets import Input

FORMATS = ("npz", "images", "csv", "parquet")


def guess(path: Path, advice: str) -> str:
    """The format by what `path` is: a folder of table parts (as Spark writes them) is a table, another one holds images
    by class. Raises InputError that ends in `advice`, NotFoundError."""
    if not path.exists():
        raise errors.NotFoundError(f"there is no {path}")
    if path.is_dir():
        parts = tables.parts(path)
        return parts[0].suffix.lower().removeprefix(".") if parts else "images"
    suffix = path.suffix.lower().removeprefix(".")
    if suffix in FORMATS:
        return suffix
    raise errors.InputError(f"{path} is none of npz, csv, parquet, or a folder of images by class: {advice}")


def read_npz(path: Path) -> LabeledRows:
    """Arrays `x` [n, *shape] and `y` [n]; `holdout` [n] bool if it is there. Raises InputError."""
    arrays = npz.read(path)
    if missing := [name for name in ("x", "y") if name not in arrays]:
        raise errors.InputError(f"{path} has no array {missing[0]!r}: it has {', '.join(sorted(arrays)) or 'none'}")
    x, y, mask = arrays["x"], arrays["y"], arrays.get("holdout")
    if x.ndim < 1 or y.ndim != 1 or len(x) != len(y):
        raise errors.InputError(f"{path}: x {list(x.shape)} and y {list(y.shape)} must have the same number of rows")
    if mask is not None and (mask.dtype != np.bool_ or mask.shape != y.shape):
        raise errors.InputError(f"{path}: holdout must be bool {list(y.shape)}, not {mask.dtype} {list(mask.shape)}")
    if y.dtype.kind not in "iuUS":
        raise errors.InputError(f"{path}: y must hold class indices or class names, not {y.dtype}")
    return LabeledRows(str(path), x, y.astype(str) if y.dtype.kind == "S" else y, mask)


def read(path: Path, kind: str, row: Input, shape: tables.Shape | None, *, resize: bool) -> LabeledRows:
    """Read `path` as `kind` (one of FORMATS)."""
    if kind == "npz":
        return read_npz(path)
    if kind == "images":
        return images.read_folder(path, row, resize=resize)
    if shape is None:
        raise errors.InputError(f"{path} is a table: name the column that holds the labels with --label-column")
    return tables.read(path, shape, row)
