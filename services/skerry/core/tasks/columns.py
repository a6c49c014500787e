"""What is wrong with a column of a dataset."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ColumnFault:
    """Rows of the column `name` that are not as `wanted` says; `bad` [n]."""

    name: str
    bad: NDArray[np.bool_]
    wanted: str


def first(*faults: tuple[str, Any, str]) -> ColumnFault | None:
    """The first of (name, bad, wanted) that has a bad row."""
    return next((ColumnFault(name, np.asarray(bad), wanted) for name, bad, wanted in faults if np.any(bad)), None)
