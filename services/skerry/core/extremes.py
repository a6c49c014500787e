"""Finite numbers that cannot be: one broken sensor, or one hostile row, must not decide what is large for all rows.

Two questions about rows of real numbers. `impossible`: so far from everything in its column that it is no reading of
the same thing; such a row is left out and counted. `unusual`: nothing is wrong with it, but no range is taken from it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

IMPOSSIBLE = 1e5  # times the median of what its column usually holds
UNUSUAL = 100.0  # times what 99 of 100 numbers stay below
_FEWEST = 8  # rows, to tell what is usual
_SOME_ROWS = 4096  # that tell it, and that are looked at at once


def impossible(x: NDArray[Any]) -> NDArray[np.bool_]:
    """[n]: rows of `x` [n, …] with a number beyond IMPOSSIBLE times the median of the magnitudes in its place that are
    not 0; where hardly any is, of those in all places. None of few rows, and none of whole numbers."""
    if x.dtype.kind != "f" or len(x) < _FEWEST:
        return np.zeros(len(x), dtype=np.bool_)
    flat = x.reshape(len(x), -1)
    with np.errstate(invalid="ignore", over="ignore"):
        some = np.abs(_some(flat).astype(np.float64))
        some[(some == 0) | ~np.isfinite(some)] = np.nan
        if np.isnan(some).all():
            return np.zeros(len(x), dtype=np.bool_)
        known = (~np.isnan(some)).sum(axis=0) >= _FEWEST
        usual = np.full(flat.shape[1], np.nanmedian(some))
        if known.any():
            usual[known] = np.nanmedian(some[:, known], axis=0)
        return _beyond(flat, IMPOSSIBLE * np.maximum(usual, np.nanmedian(some) / IMPOSSIBLE))


def unusual(x: NDArray[Any]) -> NDArray[np.bool_]:
    """[n]: rows of `x` [n, …] with a number beyond UNUSUAL times the magnitude that 99 of 100 numbers stay below."""
    if x.dtype.kind != "f" or len(x) < _FEWEST:
        return np.zeros(len(x), dtype=np.bool_)
    flat = x.reshape(len(x), -1)
    with np.errstate(invalid="ignore", over="ignore"):
        usual = np.quantile(np.abs(_some(flat).astype(np.float64)), 0.99, method="lower")
        return _beyond(flat, UNUSUAL * usual) if usual > 0 else np.zeros(len(x), dtype=np.bool_)


def _some(flat: NDArray[Any]) -> NDArray[Any]:
    """At most _SOME_ROWS rows, evenly."""
    return flat[:: max(1, -(-len(flat) // _SOME_ROWS))]


def _beyond(flat: NDArray[Any], limit: Any) -> NDArray[np.bool_]:
    parts = [flat[at : at + _SOME_ROWS] for at in range(0, len(flat), _SOME_ROWS)]
    return np.concatenate([(np.abs(part) > limit).any(axis=1) for part in parts])
