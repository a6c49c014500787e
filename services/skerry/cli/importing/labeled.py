"""Labelled data on its way in: what every source is brought to, and the checks that do not depend on the source.

`Labelled.units` names what must stay together when a holdout is split off: equal rows, or windows that overlap.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors
from skerry.core.datasets import Input, input_digest


@dataclass(frozen=True, slots=True)
class LabeledRows:
    """`x` [n, *shape], `y` [n] class names or indices, `source` for messages. `holdout` [n] bool when the source says
    which rows are; `units` [n] int when rows belong together; `dropped` counts by reason what was left out already."""

    source: str
    x: NDArray[Any]
    y: NDArray[Any]
    holdout: NDArray[np.bool_] | None = None
    units: NDArray[np.int64] | None = None
    dropped: dict[str, int] | None = None

    def take(self, which: NDArray[Any]) -> "LabeledRows":
        """The rows of a mask."""
        holdout = None if self.holdout is None else self.holdout[which]
        units = None if self.units is None else self.units[which]
        return replace(self, x=self.x[which], y=self.y[which], holdout=holdout, units=units)


def conform(data: LabeledRows, row: Input) -> NDArray[Any]:
    """`x` in the row's shape and datatype. Raises InputError when that would change a value (floats may round)."""
    if data.x.shape[1:] != row.shape:
        raise errors.InputError(
            f"{data.source}: a row has shape {list(data.x.shape[1:])}, "
            f"the model's input {row.name!r} is {list(row.shape)}"
        )
    if data.x.dtype == row.dtype:
        return data.x
    if data.x.dtype.kind not in "biuf":
        raise errors.InputError(f"{data.source}: x holds {data.x.dtype}, not numbers")
    with np.errstate(invalid="ignore", over="ignore"):
        cast = data.x.astype(row.dtype)
    if row.dtype.kind == "f" and data.x.dtype.kind == "f":
        return cast
    if not np.array_equal(cast.astype(data.x.dtype), data.x):
        raise errors.InputError(
            f"{data.source}: x holds {data.x.dtype} values that {row.datatype}, "
            f"the model's input {row.name!r}, cannot hold"
        )
    return cast


def finite(data: LabeledRows, *, drop: bool) -> LabeledRows:
    """Refuse rows with NaN or infinity, or leave them out and count them."""
    if data.x.dtype.kind != "f":
        return data
    good = np.isfinite(data.x).reshape(len(data.x), -1).all(axis=1)
    bad = int((~good).sum())
    if not bad:
        return data
    if not drop:
        raise errors.InputError(
            f"{data.source}: {bad} of {len(good)} rows hold NaN or infinity, the first is row {int((~good).argmax())}: "
            "mend them, or leave them out with --drop-nonfinite"
        )
    return replace(data.take(good), dropped={**(data.dropped or {}), "nonFinite": bad})


def indices(data: LabeledRows, class_names: Sequence[str], labels: Sequence[str]) -> NDArray[np.int64]:
    """`y` as indices into `class_names`. Texts are class names; integers count in `labels`, the source's order, and so
    do texts that are all digits and no class names.

    Raises InputError for a label that the model does not know, and for data of less than two classes.
    """
    if unknown := [name for name in labels if name not in class_names]:
        raise errors.InputError(f"label {unknown[0]!r} is no class of the model: those are {', '.join(class_names)}")
    position = {name: index for index, name in enumerate(class_names)}
    order = np.array([position[name] for name in labels], dtype=np.int64)
    if data.y.dtype.kind in "iu":
        found = order[_codes(data, data.y.astype(np.int64), len(labels))]
    else:
        names, inverse = np.unique(data.y.astype(str), return_inverse=True)
        found = _translate(data, [str(name) for name in names], position, order)[inverse]
    if len(present := np.unique(found)) < 2:
        only = f"only of class {class_names[int(present[0])]!r}" if len(present) else "of no class at all"
        raise errors.InputError(f"{data.source}: its rows are {only}; a classifier needs at least two classes")
    return found


def _codes(data: LabeledRows, codes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    wrong = (codes < 0) | (codes >= count)
    if wrong.any():
        raise errors.InputError(f"{data.source}: label {codes[int(wrong.argmax())]} is not a class in 0..{count - 1}")
    return codes


def _translate(
    data: LabeledRows, names: Sequence[str], position: Mapping[str, int], order: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The class index of each distinct label text."""
    unknown = [name for name in names if name not in position]
    if unknown and all(name.isascii() and name.isdigit() and len(name) < 10 for name in names):
        return order[_codes(data, np.array([int(name) for name in names], dtype=np.int64), len(order))]
    if unknown:
        raise errors.InputError(
            f"{data.source}: label {unknown[0][:80]!r} is no class of the model: those are {', '.join(position)}"
        )
    return np.array([position[name] for name in names], dtype=np.int64)


def equal_rows(x: NDArray[Any]) -> NDArray[np.int64]:
    """[n] equal numbers exactly for equal rows, so that a copy of a training row never sits in the holdout."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(input_digest(row), index) for index, row in enumerate(x)], dtype=np.int64)
