"""Rows that nobody ever sent, for a self-test that goes to every node: noise of about the size of real rows.

What is taken of the real rows is a mean and a spread for each entry of the last axis (of each feature of a table or a
window, each column of an image), over all rows and all else, to two digits; of whole numbers also the least and the
greatest of all, for a number beyond them may mean nothing (the id of a word). No row, and no place in a row, is in it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SEED = 7  # the same rows give the same noise: a version is its bytes


def like(rows: NDArray[Any], count: int) -> NDArray[Any]:
    """`count` rows of the shape and datatype of `rows` [n ≥ 1, ...], numbers all."""
    shape = (count, *rows.shape[1:])
    noise = np.random.default_rng(_SEED).standard_normal(shape)
    flat = rows.reshape(-1, rows.shape[-1] if rows.ndim > 1 else 1)
    mean, spread = (_two_digits(measure(flat, axis=0, dtype=np.float64)) for measure in (np.mean, np.std))
    made = mean + spread * noise if rows.ndim > 1 else mean[0] + spread[0] * noise
    if rows.dtype.kind == "b":
        return np.asarray(made > 0.5)
    if rows.dtype.kind in "iu":
        least, greatest = rows.min(), rows.max()
        inside = np.clip(np.rint(made), float(least), float(greatest)).astype(rows.dtype)
        return np.asarray(np.clip(inside, least, greatest))  # a float64 does not hold every whole number
    limit = np.finfo(rows.dtype).max
    return np.asarray(np.clip(made, -limit, limit).astype(rows.dtype))


def _two_digits(values: NDArray[np.float64]) -> NDArray[np.float64]:
    finite = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    return np.array([float(f"{value:.1e}") for value in finite.ravel().tolist()])
