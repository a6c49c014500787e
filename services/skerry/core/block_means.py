"""Means of rows that are not independent: neighbouring hours of a series err alike, the days hardly do.

So what is compared is the sums of time blocks. The standard error of a mean over rows in blocks is that of clusters
(Liang & Zeger, "Longitudinal data analysis using generalized linear models", Biometrika 1986); with blocks of equal
size it is the one of the block means. Bounds are by Student's t with one degree less than there are blocks.

Days are taken as independent. Parts of a day are not: of those only as many count as independent ones would tell as
much, n (1 - r) / (1 + r), by the correlation r of neighbours (Thiébaux & Zwiers, "The interpretation and estimation of
effective sample size", J. Climate Appl. Meteor. 1984). What a short series shows of r is too small by about
(1 + 3 r) / n (Marriott & Pope, "Bias in the estimation of autocorrelations", Biometrika 1954), which is added.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skerry.core import paired

Numbers = NDArray[np.float64]  # [n], one per row
Blocks = NDArray[np.int64]  # [n], which block each row lies in


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of `n` rows in `blocks` blocks with its one-sided 95 % bounds either way; with one block, or where the
    blocks tell no more than one would, they are infinite."""

    n: int
    blocks: int
    value: float
    low: float
    high: float


def mean(values: Numbers, block: Blocks, *, alike: bool = False) -> Mean:
    """Of n ≥ 1 finite rows. `alike`: blocks whose numbers follow each other may err alike."""
    n, value = len(values), float(values.mean())
    names, of_block = np.unique(block, return_inverse=True)
    apart: Numbers = np.bincount(of_block, weights=values - value).astype(np.float64)
    count = len(apart)
    counted = _independent(names, apart) if alike else float(count)
    if counted < 2:
        return Mean(n, count, value, -np.inf, np.inf)
    error = float(np.sqrt((apart**2).sum() * count / (count - 1) * count / counted)) / n
    half = student_t(int(counted) - 1) * error
    return Mean(n, count, value, value - half, value + half)


def _independent(names: Blocks, apart: Numbers) -> float:
    """How many independent blocks would tell as much as these, at most as many as there are."""
    count, near, spread = len(names), np.flatnonzero(np.diff(names) == 1), float((apart**2).sum())
    if count < 2 or spread == 0:
        return float(count)
    shown = 0.0
    if len(near):
        shown = float((apart[near] * apart[near + 1]).mean()) * (count - 1) / spread
    correlation = max(0.0, shown + (1 + 3 * max(0.0, shown)) / count)
    return count * max(0.0, 1 - correlation) / (1 + correlation)


def of_blocks(values: Numbers, block: Blocks, min_rows: int) -> tuple[Blocks, Numbers]:
    """(block, its mean) of the blocks that have at least `min_rows` rows."""
    names, of_block, rows = np.unique(block, return_inverse=True, return_counts=True)
    means = np.bincount(of_block, weights=values) / rows
    return names[rows >= min_rows], means[rows >= min_rows]


def student_t(degrees: int) -> float:
    """The 95 % quantile of Student's t: the normal one, corrected (Abramowitz & Stegun, 26.7.5). From 3 degrees on it
    is right within 1 %; with 1 and 2 it is given."""
    if degrees < 3:
        return (6.3138, 2.9200)[degrees - 1]
    z = paired.Z_ONE_SIDED_95
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3
