"""Windows of consecutive rows: none spans two groups, and none two blocks, the units of the holdout. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.cli.importing.labeled import LabeledRows
from skerry.core import errors

MAX_VALUES = 1 << 28
_BLOCKS = 64  # a table is cut into about this many contiguous blocks, the units of the holdout


def cut(
    source: str,
    values: NDArray[Any],
    labels: NDArray[Any],
    groups: NDArray[Any] | None,
    window: int,
    stride: int,
    features: Sequence[str],
) -> LabeledRows:
    """`x` [n, window, features] of `values` [rows, features], each window labeled by its last row. `groups` [rows] says
    which rows belong together, wherever they stand; their order within a group is the file's.

    A window that would span two blocks is left out and counted: it could carry rows of the training data into the
    holdout. Raises InputError when no group has a window's rows, TooLargeError.
    """
    notes = [] if groups is not None else _suspects(values, features, window)
    order, sizes = _by_group(groups, len(values))
    values, labels = values[order], labels[order]
    block = max(2 * window, -(-len(values) // _BLOCKS))
    starts, units, across = _starts(list(sizes.values()), window, stride, block)
    if not len(starts):
        raise errors.InputError(
            f"{source}: none of its {len(sizes)} groups has the {window} rows of a window"
            if groups is not None
            else f"{source} has {len(values)} rows, fewer than one window of {window}"
        )
    if len(starts) * window * values.shape[1] > MAX_VALUES:
        raise errors.TooLargeError(
            f"{source}: {len(starts)} windows of {window} × {values.shape[1]} values are too many: "
            "take a larger --stride"
        )
    view = np.lib.stride_tricks.sliding_window_view(values, window, axis=0)[starts]
    return LabeledRows(
        source,
        np.ascontiguousarray(np.swapaxes(view, 1, 2)),
        labels[starts + window - 1],
        units=units,
        dropped={"acrossBlocks": across} if across else {},
        notes=tuple(notes),
        windows=_counts(starts, sizes) if groups is not None else {},
    )


def _by_group(groups: NDArray[Any] | None, rows: int) -> tuple[NDArray[np.intp], dict[str, int]]:
    """(row numbers, group by group in the order in which the groups appear; rows of each group)."""
    if groups is None:
        return np.arange(rows), {"": rows}
    names, first, codes, counts = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    appearance = np.argsort(first)
    rank = np.empty(len(names), dtype=np.intp)
    rank[appearance] = np.arange(len(names))
    return np.argsort(rank[codes], kind="stable"), {str(names[at]): int(counts[at]) for at in appearance}


def _starts(
    sizes: Sequence[int], window: int, stride: int, block: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """(first row of each window, its unit, how many were left out because they span two blocks)."""
    starts, units, across, at, unit = [], [], 0, 0, 0
    for size in sizes:
        inside = np.arange(0, max(0, size - window + 1), stride)
        whole = inside // block == (inside + window - 1) // block
        starts.append(at + inside[whole])
        units.append(unit + inside[whole] // block)
        across += int((~whole).sum())
        at, unit = at + size, unit + size // block + 1
    return np.concatenate(starts).astype(np.int64), np.concatenate(units).astype(np.int64), across


def _counts(starts: NDArray[np.int64], sizes: Mapping[str, int]) -> dict[str, int]:
    """How many windows each group gave."""
    ends = np.cumsum(list(sizes.values()))
    counted = np.bincount(np.searchsorted(ends, starts, side="right"), minlength=len(sizes))
    return {name: int(count) for name, count in zip(sizes, counted, strict=True)}


def _suspects(values: NDArray[Any], features: Sequence[str], window: int) -> list[str]:
    """A sentence for each feature that looks as if it told machines apart: few whole numbers, each in one long run."""
    notes = []
    for at, name in enumerate(features):
        column = values[:, at]
        runs = 1 + int(np.count_nonzero(column[1:] != column[:-1]))
        distinct = len(np.unique(column))
        if 1 < distinct == runs and distinct * window <= len(column) and np.array_equal(column, np.floor(column)):
            notes.append(
                f"column {name!r} has {distinct} values, one after the other, as if it told machines apart: with "
                f"--group-column {name} no window holds rows of two"
            )
    return notes
