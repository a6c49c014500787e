"""What answers were worth, from the replies and the truths alone. Pure. A row is one moment; of an answer of several
steps the first counts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from examples.client import Answer
from examples.spans import Asked

_HARDEST = 0.1


@dataclass(frozen=True, slots=True)
class Scores:
    """Of the `n` answers of one version, in the target's unit; `naive` are the mean errors of the seasonal naive
    forecasts on the same moments as far as they are known, by season; `answered_by` counts by node."""

    n: int
    mae: float
    coverage: float
    hardest_tenth_ratio: float
    naive: Mapping[int, float]
    answered_by: Mapping[str, int]


def of(answers: Sequence[Answer], asked: Asked, digest: str, seasons: Sequence[int]) -> Scores | None:
    """None without an answer of that version."""
    mine = [answer for answer in answers if answer.digest == digest]
    if not mine:
        return None
    at = np.array([answer.index for answer in mine])
    truth = asked.y[at, 0].astype(np.float64)
    value, low, high = (np.array([getattr(answer, name)[0] for answer in mine]) for name in ("value", "low", "high"))
    error = np.abs(value - truth)

    def known(column: NDArray[np.float64]) -> bool:
        return not np.isnan(column).all()

    naive = np.abs(asked.naive[at, :, 0].astype(np.float64) - truth[:, None])
    return Scores(
        n=len(mine),
        mae=float(error.mean()),
        coverage=float(((low <= truth) & (truth <= high)).mean()),
        hardest_tenth_ratio=_hardest(error, np.array([answer.confidence for answer in mine])),
        naive={
            season: float(np.nanmean(column)) for season, column in zip(seasons, naive.T, strict=True) if known(column)
        },
        answered_by=dict(sorted(Counter(answer.node for answer in mine).items())),
    )


def _hardest(error: NDArray[np.float64], confidence: NDArray[np.float64]) -> float:
    """The mean error of the tenth with the least confidence over that of all; ties by the order of time."""
    hard = np.argsort(confidence, kind="stable")[: max(1, int(len(error) * _HARDEST))]
    return float(error[hard].mean() / error.mean()) if error.any() else 1.0
