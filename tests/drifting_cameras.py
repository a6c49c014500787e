"""How the cameras of the cluster under test change: on a share of the images inversion, rotation or noise."""

import numpy as np
from numpy.typing import NDArray

from skerry.cli.demo.digits import Images

SHARE = 0.75
KINDS = ("inversion", "rotation", "noise")


def drift(images: Images, rng: np.random.Generator, share: float = SHARE) -> Images:
    """Each image of [n, 28, 28] uint8 is changed with probability `share`, in one of the three ways."""
    out = images.copy()
    for index in np.flatnonzero(rng.random(len(images)) < share):
        out[index] = _CHANGES[rng.integers(len(KINDS))](images[index], rng)
    return out


def _inverted(image: Images, rng: np.random.Generator) -> Images:
    return np.asarray(255 - image, dtype=np.uint8)


def _rotated(image: Images, rng: np.random.Generator) -> Images:
    """By 20 to 45 degrees either way, bilinear."""
    angle = np.deg2rad(rng.uniform(20, 45) * rng.choice((-1, 1)))
    center = (np.array(image.shape) - 1) / 2
    rows, columns = np.indices(image.shape) - center[:, None, None]
    source_rows = np.cos(angle) * rows - np.sin(angle) * columns + center[0]
    source_columns = np.sin(angle) * rows + np.cos(angle) * columns + center[1]
    return _bilinear(image, source_rows, source_columns)


def _bilinear(image: Images, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Images:
    padded = np.pad(image.astype(np.float64), 1)
    rows = np.clip(rows + 1, 0, padded.shape[0] - 1.001)
    columns = np.clip(columns + 1, 0, padded.shape[1] - 1.001)
    top, left = rows.astype(int), columns.astype(int)
    down, right = rows - top, columns - left
    upper = padded[top, left] * (1 - right) + padded[top, left + 1] * right
    lower = padded[top + 1, left] * (1 - right) + padded[top + 1, left + 1] * right
    return np.asarray(np.rint(upper * (1 - down) + lower * down), dtype=np.uint8)


def _noisy(image: Images, rng: np.random.Generator) -> Images:
    """Gaussian noise of standard deviation 75 of 255."""
    return np.asarray(np.clip(image + rng.normal(0, 75, image.shape), 0, 255), dtype=np.uint8)


_CHANGES = (_inverted, _rotated, _noisy)
