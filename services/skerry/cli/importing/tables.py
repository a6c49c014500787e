"""CSV and parquet files as labelled rows, or as windows that never mix holdout and training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.cli.importing.labeled import LabeledRows
from skerry.core import errors

MAX_FILE_BYTES = 2 << 30
MAX_VALUES = 1 << 28  # float32 values in all windows together: 1 GiB
_BLOCKS = 64  # a table is cut into about this many contiguous blocks, the units of the holdout


@dataclass(frozen=True, slots=True)
class Shape:
    """How rows become samples. `window` 0: each row is one; else `window` rows, labelled by the last."""

    label: str
    features: Sequence[str]
    window: int
    stride: int


def read(path: Path, shape: Shape) -> LabeledRows:
    """`x` [n, features] or [n, window, features] float32, `y` [n] text labels. Raises InputError, TooLargeError."""
    table = _table(path)
    columns = list(table.column_names)
    if shape.label not in columns:
        raise errors.InputError(f"{path} has no column {shape.label!r} (--label-column): it has {', '.join(columns)}")
    features = list(shape.features) or [name for name in columns if name != shape.label]
    if missing := [name for name in features if name not in columns]:
        raise errors.InputError(f"{path} has no column {missing[0]!r} (--feature): it has {', '.join(columns)}")
    values = np.stack([_numbers(path, table, name) for name in features], axis=1)
    labels = np.array([_label(value) for value in table.column(shape.label).to_pylist()])
    if not len(labels):
        raise errors.InputError(f"{path} has no rows")
    if not shape.window:
        return LabeledRows(str(path), values, labels)
    return _windows(path, values, labels, shape)


def _table(path: Path) -> Any:
    import pyarrow as pa
    from pyarrow import csv, parquet

    if path.stat().st_size > MAX_FILE_BYTES:
        raise errors.TooLargeError(f"{path} has {path.stat().st_size} bytes: at most {MAX_FILE_BYTES} are read")
    try:
        if path.suffix.lower() == ".parquet":
            rows = parquet.ParquetFile(path).metadata
            if rows.num_rows * rows.num_columns > MAX_VALUES:
                raise errors.TooLargeError(f"{path} has {rows.num_rows} rows of {rows.num_columns} columns: too many")
            return parquet.read_table(path)
        return csv.read_csv(path)
    except (pa.ArrowException, OSError) as exc:
        raise errors.InputError(f"{path} cannot be read as {path.suffix[1:] or 'a table'}: {exc}") from exc


def _numbers(path: Path, table: Any, name: str) -> NDArray[np.float32]:
    """A column as float32; an empty cell is NaN."""
    import pyarrow as pa

    column = table.column(name)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type)):
        raise errors.InputError(
            f"{path}: column {name!r} holds {column.type}, not numbers; name the features with --feature"
        )
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float32)


def _label(value: Any) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _windows(path: Path, values: NDArray[np.float32], labels: NDArray[Any], shape: Shape) -> LabeledRows:
    """Windows inside contiguous blocks of rows. One that would span two blocks is left out: it could carry rows of the
    training data into the holdout."""
    rows, features = values.shape
    if rows < shape.window:
        raise errors.InputError(f"{path} has {rows} rows, fewer than one window of {shape.window}")
    starts = np.arange(0, rows - shape.window + 1, shape.stride)
    if len(starts) * shape.window * features > MAX_VALUES:
        raise errors.TooLargeError(
            f"{path}: {len(starts)} windows of {shape.window} × {features} values are too many: take a larger --stride"
        )
    block = max(2 * shape.window, -(-rows // _BLOCKS))
    inside = starts // block == (starts + shape.window - 1) // block
    starts = starts[inside]
    view = np.lib.stride_tricks.sliding_window_view(values, shape.window, axis=0)[starts]
    x = np.ascontiguousarray(np.swapaxes(view, 1, 2))
    dropped = {"acrossBlocks": int((~inside).sum())} if not inside.all() else {}
    units = np.asarray(starts // block, dtype=np.int64)
    return LabeledRows(str(path), x, labels[starts + shape.window - 1], units=units, dropped=dropped)
