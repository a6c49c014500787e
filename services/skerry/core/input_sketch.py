"""What inputs are like, in few numbers: the means of some features of each row, beside those of the holdout.

Features of rows [n, …] of numbers: every column of a table; of a window [steps, columns] each column's mean and
standard deviation over the steps; of anything else, images among them, the mean and standard deviation of all its
numbers. A manifest holds mean and spread of each feature over the holdout (`Reference`, in its metrics, where agents of
earlier releases read past it); nodes add up how many spreads their rows are away from it (`standardized`). Whether that
is drift is decided in `core.drift`. Streaming networks, forecasts (their seasons move), texts and ids have none.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_FEATURES = 32
MIN_ROWS = 20  # a mean over fewer tells too much of each
MAX_ROWS = 2000  # that a node tells of one model at a time
FARTHEST = 10.0  # spreads that one row may count: a broken sensor is one row
METRIC = "inputs"  # in Manifest.metrics
_LEAST_SPREAD = 1e-3  # of the largest spread: a feature that hardly moves is no measure
_REALS = ("FP16", "FP32", "FP64", "BF16")


@dataclass(frozen=True, slots=True)
class Reference:
    """Of each feature its mean and its spread (standard deviation, above 0) over the holdout."""

    mean: tuple[float, ...]
    spread: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        return {"mean": list(self.mean), "spread": list(self.spread)}


def features(x: NDArray[Any]) -> NDArray[np.float64] | None:
    """[n, features] of rows `x` [n, …]; None where rows are no numbers, or have no or too many columns."""
    if x.dtype.kind not in "fiu" or x.ndim < 2 or not x.size:
        return None
    if x.ndim == 2:
        return x.astype(np.float64) if x.shape[1] <= MAX_FEATURES else _mean_and_spread(x, (1,))
    if x.ndim == 3 and x.shape[2] <= MAX_FEATURES // 2:
        return _mean_and_spread(x, (1,))
    return _mean_and_spread(x, tuple(range(1, x.ndim)))


def reference(x: NDArray[Any]) -> Reference | None:
    """Of holdout rows `x` [n, …]; None where there are no features, or of fewer than MIN_ROWS rows."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = features(x)
        if found is None or len(found) < MIN_ROWS or not np.isfinite(found).all():
            return None
        mean, spread = found.mean(axis=0), found.std(axis=0)
    if not (np.isfinite(mean).all() and np.isfinite(spread).all() and spread.max() > 0):
        return None
    least = _LEAST_SPREAD * spread.max() if x.ndim > 2 else 0.0  # columns of a table have units of their own
    spread = np.maximum(spread, least)
    spread[spread == 0] = np.maximum(np.abs(mean[spread == 0]), 1.0)
    return Reference(*(tuple(float(f"{value:.6g}") for value in values) for values in (mean, spread)))


def standardized(x: NDArray[Any], known: Reference) -> NDArray[np.float64] | None:
    """[n, features]: how many spreads rows `x` are away from the reference's mean, at most FARTHEST either way; rows
    with a number that is none are left out. None where the rows have other features."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = features(x)
        if found is None or found.shape[1] != len(known.mean):
            return None
        away = (found - np.asarray(known.mean)) / np.asarray(known.spread)
        return np.asarray(np.clip(away[~np.isnan(away).any(axis=1)], -FARTHEST, FARTHEST))


def measurable(datatype: str, *, has_state: bool) -> bool:
    """Do features of its inputs mean something to a network that takes `datatype`?"""
    return datatype in _REALS and not has_state


def of_metrics(metrics: Mapping[str, Any]) -> Reference | None:
    """The reference of a manifest, None where it has none, or one that cannot be."""
    given = metrics.get(METRIC)
    if not isinstance(given, Mapping):
        return None
    mean, spread = given.get("mean"), given.get("spread")
    if not isinstance(mean, list) or not isinstance(spread, list):
        return None
    if not 0 < len(mean) == len(spread) <= MAX_FEATURES or not all(map(_is_number, [*mean, *spread])):
        return None
    return Reference(tuple(mean), tuple(spread)) if min(spread) > 0 else None


def _mean_and_spread(x: NDArray[Any], axes: tuple[int, ...]) -> NDArray[np.float64]:
    mean = x.mean(axis=axes, dtype=np.float64)
    spread = x.std(axis=axes, dtype=np.float64)
    return np.concatenate([mean.reshape(len(x), -1), spread.reshape(len(x), -1)], axis=1)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
