"""Two versions on the same rows: the difference in accuracy with its bounds, whether chance explains it, recalls.

Plain statistics on arrays of class indices; what follows from them is `core.gates`' business.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Classes = NDArray[np.int64]  # [n] class indices; in predictions -1 means: no usable answer

Z_ONE_SIDED_95 = 1.6448536269514722


@dataclass(frozen=True, slots=True)
class Paired:
    """Two versions on the same rows. `lost`: rows that only the baseline had right; `won`: only the candidate."""

    n: int
    candidate: float
    baseline: float
    lost: int
    won: int
    delta: float
    low: float
    high: float


def compare(labels: Classes, candidate: Classes, baseline: Classes) -> Paired:
    """The difference in accuracy of paired answers, with its one-sided 95 % bounds either way.

    Wald interval of matched proportions after adding 1/2 to each of the four cells (Agresti & Min, "Simple improved
    confidence intervals for comparing matched proportions", Statistics in Medicine 24, 2005). Only the discordant
    rows count, as in McNemar's test. Needs n ≥ 1.
    """
    n = len(labels)
    right, was_right = candidate == labels, baseline == labels
    won, lost = int((right & ~was_right).sum()), int((~right & was_right).sum())
    b, c, total = won + 0.5, lost + 0.5, n + 2.0
    delta = (b - c) / total
    half = Z_ONE_SIDED_95 * math.sqrt((b + c) - (b - c) ** 2 / total) / total
    return Paired(
        n, float(right.mean()), float(was_right.mean()), lost, won, (won - lost) / n, delta - half, delta + half
    )


def worse_by_chance(lost: int, won: int) -> float:
    """P(at least `lost` of the discordant rows go against the candidate | both are equally good): McNemar's exact
    one-sided p-value (a sign test). 1.0 when no row is discordant."""
    n = lost + won
    return sum(math.comb(n, k) for k in range(lost, n + 1)) / 2**n if n <= 1000 else _normal_tail(lost, n)


def recalls(labels: Classes, predicted: Classes, classes: int) -> NDArray[np.float64]:
    """Recall per class, [classes]; NaN for a class without rows."""
    total = np.bincount(labels, minlength=classes).astype(np.float64)
    right = np.bincount(labels[predicted == labels], minlength=classes)
    return np.asarray(np.divide(right, total, out=np.full(classes, np.nan), where=total > 0))


def _normal_tail(lost: int, n: int) -> float:
    """P(X ≥ lost), X ~ Binomial(n, 1/2), by the normal approximation with continuity correction."""
    return 0.5 * math.erfc((lost - 0.5 - n / 2) / math.sqrt(n / 2))
