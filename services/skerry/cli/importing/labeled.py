"""Labeled data on its way in: what every source is brought to, and the checks that do not depend on the source.

`LabeledRows.units` names what must stay together when a holdout is split off: equal rows, or windows that overlap.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors, tensors
from skerry.core.class_labels import Classes
from skerry.core.datasets import Input, input_digest


@dataclass(frozen=True, slots=True)
class LabeledRows:
    """`x` [n, *shape], `y` [n] class names or indices, `source` for messages. `holdout` [n] bool when the source says
    which rows are; `units` [n] int when rows belong together; `dropped` counts by reason what was left out already;
    `notes` are sentences for the person who imports; `windows` counts the windows of each group."""

    source: str
    x: NDArray[Any]
    y: NDArray[Any]
    holdout: NDArray[np.bool_] | None = None
    units: NDArray[np.int64] | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    windows: Mapping[str, int] = field(default_factory=dict)

    def take(self, which: NDArray[Any]) -> "LabeledRows":
        """The rows of a mask."""
        holdout = None if self.holdout is None else self.holdout[which]
        units = None if self.units is None else self.units[which]
        return replace(self, x=self.x[which], y=self.y[which], holdout=holdout, units=units)


def conform(data: LabeledRows, row: Input) -> NDArray[Any]:
    """`x` in the row's shape and datatype. Raises InputError when that would change a value (real numbers may round,
    but not to infinity)."""
    if data.x.shape[1:] != row.shape:
        raise errors.InputError(
            f"{data.source}: a row has shape {list(data.x.shape[1:])}, "
            f"the model's input {row.name!r} is {list(row.shape)}"
        )
    if data.x.dtype == row.dtype:
        return data.x
    if data.x.dtype.kind not in "biuf":
        raise errors.InputError(f"{data.source}: x holds {data.x.dtype}, not numbers")
    return fit(data.x, row, data.source)


def fit(values: NDArray[Any], row: Input, what: str) -> NDArray[Any]:
    """`values` [n, ...] in the row's datatype. Raises InputError naming `what`, the row and the number that does not
    fit."""
    return tensors.cast(values, row.datatype, what, owner=f"the model's input {row.name!r}")


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
    return replace(data.take(good), dropped={**data.dropped, "nonFinite": bad})


def indices(data: LabeledRows, class_names: Sequence[str], counted: Sequence[str]) -> NDArray[np.int64]:
    """`y` as indices into `class_names`, as `core.class_labels` reads names and numbers. `counted`: the order in which
    numbers count, where the person who imports stated it.

    Raises InputError for a label that the model does not know or that can mean two classes, and for data of less than
    two classes.
    """
    classes = Classes(class_names, counted)
    labels, inverse = np.unique(_plain(data), return_inverse=True)
    try:
        if labels.dtype.kind in "iu":
            known = classes.of_numbers([int(label) for label in labels])
        else:
            known = classes.of_texts([str(label) for label in labels])
    except errors.InputError as exc:
        raise errors.InputError(f"{data.source}: {exc}") from exc
    y = np.asarray(known, dtype=np.int64)[inverse]
    if len(present := np.unique(y)) < 2:
        only = f"only of class {class_names[int(present[0])]!r}" if len(present) else "of no class at all"
        raise errors.InputError(f"{data.source}: its rows are {only}; a classifier needs at least two classes")
    return y


def _plain(data: LabeledRows) -> NDArray[Any]:
    """Labels as texts or whole numbers. Real numbers (as pandas writes a column with gaps) are whole or no labels."""
    if data.y.dtype.kind in "iuU":
        return data.y
    if data.y.dtype.kind == "f":
        whole = data.y == np.floor(data.y)
        if not whole.all():
            at = int((~whole).argmax())
            raise errors.InputError(f"{data.source}: row {at} has label {data.y[at]!s}, which is no class")
        return data.y.astype(np.int64)
    return data.y.astype(str)


def equal_rows(x: NDArray[Any]) -> NDArray[np.int64]:
    """[n] equal numbers exactly for equal rows, so that a copy of a training row never sits in the holdout."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(input_digest(row), index) for index, row in enumerate(x)], dtype=np.int64)
