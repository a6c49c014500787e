"""Which imported rows become the holdout: a share of each class, chosen by a hash, whole units at a time. Pure."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors


def holdout(units: NDArray[np.int64], y: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """[n] True for about `share` of each class. Rows of one unit go the same way; the same input splits the same way.

    A class with a single unit stays in training: without it nothing could be learned of it. Raises InputError for a
    share that is not between 0 and 1.
    """
    if not 0.0 < share < 1.0:
        raise errors.InputError(f"the holdout must be a share between 0 and 1, not {share:g}")
    names, inverse = np.unique(units, return_inverse=True)
    label = _majority(inverse, y, len(names))
    chosen = np.zeros(len(names), dtype=np.bool_)
    for class_index in np.unique(label):
        of_class = np.flatnonzero(label == class_index)
        count = min(len(of_class) - 1, max(1, round(share * len(of_class))))
        chosen[sorted(of_class, key=lambda unit: _order(int(names[unit])))[:count]] = True
    return chosen[inverse]


def _majority(unit: NDArray[np.intp], y: NDArray[np.int64], units: int) -> NDArray[np.int64]:
    """[units] the class that most rows of a unit have; the smallest of several."""
    classes = int(y.max()) + 1
    counts = np.bincount(unit * classes + y, minlength=units * classes).reshape(units, classes)
    return np.asarray(counts.argmax(axis=1), dtype=np.int64)


def _order(unit: int) -> bytes:
    return hashlib.sha256(b"holdout %d" % unit).digest()
