"""Means of rows that are not independent: neighbouring hours of a series err alike, the days hardly do.

So what is compared is the sums of time blocks. The standard error of a mean over rows in blocks is that of clusters
(Liang & Zeger, "Longitudinal data analysis using generalized linear models", Biometrika 1986); with blocks of equal
size it is the one of the block means. Bounds are by Student's t with one degree less than there are blocks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skerry.core import paired

Numbers = NDArray[np.float64]  # [n], one per row
Blocks = NDArray[np.int64]  # [n], which block each row lies in


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of `n` rows in `blocks` blocks with its one-sided 95 % bounds either way; with one block they are
    infinite."""

    n: int
    blocks: int
    value: float
    low: float
    high: float


def mean(values: Numbers, block: Blocks) -> Mean:
    """Of n ≥ 1 finite rows."""
    n, value = len(values), float(values.mean())
    of_block = np.unique(block, return_inverse=True)[1]
    apart = np.bincount(of_block, weights=values - value)
    count = len(apart)
    if count < 2:
        return Mean(n, count, value, -np.inf, np.inf)
    error = float(np.sqrt((apart**2).sum() * count / (count - 1))) / n
    half = student_t(count - 1) * error
    return Mean(n, count, value, value - half, value + half)


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
