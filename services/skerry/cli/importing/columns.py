"""Columns of a table as arrays: features as numbers that nothing rounds unseen, labels and groups as they stand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.cli.importing import labeled, table_bounds
from skerry.core import errors
from skerry.core.datasets import Input

_EXACT_TO = 2**53


def numbers(path: Path, table: Any, names: Sequence[str], row: Input) -> NDArray[Any]:
    """[rows, features]: in the row's datatype, or as float64 where cells of a whole-number model are empty (NaN) or
    real. Raises InputError naming the column and the number that does not fit."""
    stacked = [_numbers(path, table, name) for name in names]
    if row.dtype.kind == "f" or all(column.dtype.kind != "f" for column in stacked):
        stacked = [
            labeled.fit(column, row, f"{path}, column {name!r}") for name, column in zip(names, stacked, strict=True)
        ]
    else:
        for name, column in zip(names, stacked, strict=True):
            _check_exact(path, name, column)
    return np.stack(stacked, axis=1)


def labels(path: Path, table: Any, name: str) -> NDArray[Any]:
    """[rows] texts, whole or real numbers, as the column has them. Raises InputError naming a row without a label."""
    import pyarrow as pa

    column = table.column(name)
    if column.null_count:
        raise errors.InputError(f"{path}: row {column.is_null().index(True).as_py()} has no label (column {name!r})")
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return np.asarray(column.to_numpy())
    if pa.types.is_boolean(column.type):
        return np.array(["true" if value else "false" for value in column.to_pylist()])
    return texts(path, table, name)


def texts(path: Path, table: Any, name: str) -> NDArray[Any]:
    """[rows] the column as texts; an empty cell is an empty text. Raises TooLargeError where every row has to take as
    much as a very long text."""
    import pyarrow as pa

    column = table.column(name)
    try:
        if pa.types.is_nested(column.type):
            return np.array(["" if value is None else str(value) for value in column.to_pylist()])
        distinct = column.dictionary_encode().combine_chunks()
        values = np.array(["" if value is None else str(value) for value in (*distinct.dictionary.to_pylist(), None)])
    except UnicodeDecodeError as exc:
        raise errors.InputError(f"{path}: column {name!r} is not UTF-8: save it as UTF-8") from exc
    if len(column) * values.itemsize > table_bounds.MAX_BYTES:
        longest = values.itemsize // np.dtype("U1").itemsize
        raise errors.TooLargeError(f"{path}: column {name!r} has texts of {longest} characters, too long for its rows")
    return np.asarray(values[distinct.indices.fill_null(len(values) - 1).to_numpy()])


def _numbers(path: Path, table: Any, name: str) -> NDArray[Any]:
    """A column in its own datatype; whole numbers with empty cells become real ones, an empty cell NaN."""
    import pyarrow as pa

    column = table.column(name)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type)):
        raise errors.InputError(
            f"{path}: column {name!r} holds {_kind(column.type)}, not numbers; name the features with --feature, or "
            "with --group-column the column that tells machines apart"
        )
    if pa.types.is_integer(column.type) and column.null_count:
        whole = np.asarray(column.drop_null().to_numpy())
        _check_exact(path, name, whole)
        return np.asarray(column.cast(pa.float64()).to_numpy())
    return np.asarray(column.to_numpy(), dtype=np.uint8 if pa.types.is_boolean(column.type) else None)


def _kind(datatype: Any) -> str:
    import pyarrow as pa

    return str(datatype.value_type if pa.types.is_dictionary(datatype) else datatype)


def _check_exact(path: Path, name: str, column: NDArray[Any]) -> None:
    """Raises InputError for a whole number that float64 would round."""
    if column.dtype.kind in "iu" and len(column):
        large = (column > _EXACT_TO) | (column < -_EXACT_TO) if column.dtype.kind == "i" else column > _EXACT_TO
        if large.any():
            raise errors.InputError(
                f"{path}: column {name!r} holds {column[int(large.argmax())]}, which is not kept exactly beside empty "
                "cells or real numbers: fill the gaps, or write whole numbers alone"
            )
