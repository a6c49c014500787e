"""Rows of a dataset part that was packed under a former label map, in the terms of the classes of now.

Merged classes add up. A row of a removed class is kept in its place and has no label any more: its label map stays the
former one, by which a reader knows it and counts it.
"""

from collections.abc import Sequence
from dataclasses import Field, replace
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from skerry.core.class_maps import GONE

_LEAST_KEPT = 0.5  # of a teacher's probability: with less it speaks of a class that was removed


class Labelled(Protocol):
    """What is asked of rows: `dataset_parts.Rows` of classes."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __len__(self) -> int: ...
    @property
    def y(self) -> NDArray[Any]: ...
    @property
    def soft(self) -> NDArray[np.float32]: ...
    @property
    def label_map(self) -> NDArray[Any]: ...
    @property
    def targets(self) -> NDArray[Any]: ...
    @property
    def has_soft(self) -> NDArray[np.bool_]: ...


_Rows = TypeVar("_Rows", bound=Labelled)


def in_terms_of(rows: _Rows, meanings: Sequence[int], classes: int, digest: str) -> _Rows:
    """`meanings`: the class of now of each class that `y` and `soft` count in; `classes` and `digest` are of now."""
    table = np.array([*meanings, GONE], dtype=np.int64)  # the last: of no label, whose index is -1
    known = np.flatnonzero(table[:-1] != GONE)
    soft = np.zeros((len(rows), classes), dtype=np.float64)
    for index in known.tolist():
        soft[:, table[index]] += np.nan_to_num(rows.soft[:, index])
    kept = soft.sum(axis=1)
    speaks = rows.has_soft & (kept > _LEAST_KEPT)
    soft[speaks] /= kept[speaks, None]
    targets = table[rows.targets]
    gone = (targets == GONE) & (rows.targets >= 0)
    soft[~speaks | gone] = np.nan
    y = np.where(gone, GONE, table[rows.y])
    maps = rows.label_map.copy()
    maps[~gone] = digest.encode()
    return replace(rows, y=y, soft=soft.astype(np.float32), label_map=maps)


def gone(rows: Labelled, beginnings: Sequence[str]) -> NDArray[np.bool_]:
    """bool [n]: rows of a class that was removed. `beginnings`: digests of the map of now and of its beginnings."""
    return np.asarray(~np.isin(rows.label_map, np.array(beginnings, dtype=rows.label_map.dtype)))
