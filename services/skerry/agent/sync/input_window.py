"""What a node's inputs were like lately, per model: sums over the newest seconds, of few rows of each second, so that
the path of a request hardly notices. Of fewer rows than `input_sketch.MIN_ROWS` nothing is told: a sum over one row is
that row. The features are `core.input_sketch`'s."""

import collections
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import input_sketch
from skerry.core.input_sketch import Reference

ROWS_PER_S = 16  # of a model: ten seconds of them are enough for the test


@dataclass(slots=True)
class _Second:
    second: int
    rows: int
    sums: NDArray[np.float64]


@dataclass(slots=True)
class _Model:
    digest: str
    reference: Reference
    seconds: collections.deque[_Second]
    second: int = -1
    left: int = 0  # rows that this second still takes


class InputWindow:
    def __init__(self, window_s: int) -> None:
        self._window_s = window_s
        self._models: dict[str, _Model] = {}

    def watch(self, model: str, digest: str, reference: Reference | None) -> None:
        """This version serves `model` from now on; without a reference nothing is summed up."""
        known = self._models.get(model)
        if known is not None and known.digest == digest:
            return
        self._models.pop(model, None)
        if reference is not None:
            self._models[model] = _Model(digest, reference, collections.deque())

    def see(self, model: str, digest: str, x: NDArray[Any], now_s: float) -> None:
        """Rows `x` [n, …] that the version `digest` was asked about."""
        known = self._models.get(model)
        if known is None or known.digest != digest:
            return
        second = int(now_s)
        if second != known.second:
            known.second, known.left = second, ROWS_PER_S
        elif known.left <= 0:
            return
        away = input_sketch.standardized(x[: known.left], known.reference)
        known.left -= len(x)
        if away is None or not len(away):
            return
        if known.seconds and known.seconds[-1].second == second:
            known.seconds[-1].rows += len(away)
            known.seconds[-1].sums += away.sum(axis=0)
        else:
            known.seconds.append(_Second(second, len(away), away.sum(axis=0)))
            self._slide(known, second)

    def read(self, model: str, digest: str, now_s: float) -> tuple[int, list[float]]:
        """(rows, sums of each feature in spreads) of the window; 0 and none where too little was seen."""
        known = self._models.get(model)
        if known is None or known.digest != digest:
            return 0, []
        self._slide(known, int(now_s))
        rows = sum(one.rows for one in known.seconds)
        if rows < input_sketch.MIN_ROWS:
            return 0, []
        return rows, np.sum([one.sums for one in known.seconds], axis=0).tolist()

    def _slide(self, known: _Model, second: int) -> None:
        while known.seconds and known.seconds[0].second <= second - self._window_s:
            known.seconds.popleft()
