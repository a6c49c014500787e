"""What to do when classes are unequal: how often to draw each sample, which to augment, how far to shift logits.

Pure arithmetic on class counts. An absent class gets no weight and no infinity: it is left out, and the gates ask
later whether its old recall survived.
"""

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]  # [n], every entry in [0, classes)
Counts = NDArray[np.int64]  # [classes]

MINORITY_RATIO = 0.5


def counts(labels: Labels, classes: int) -> Counts:
    """Samples per class, [classes]."""
    return np.bincount(labels, minlength=classes).astype(np.int64)


def is_skewed(per_class: Counts, ratio: float = MINORITY_RATIO) -> bool:
    """True when some present class has less than `ratio` of the mean of the present classes."""
    return bool(minorities(per_class, ratio).any())


def minorities(per_class: Counts, ratio: float = MINORITY_RATIO) -> NDArray[np.bool_]:
    """[classes]: present, but with less than `ratio` of the mean count of the present classes."""
    present = per_class > 0
    if not present.any():
        return np.zeros(len(per_class), dtype=np.bool_)
    return np.asarray(present & (per_class < ratio * per_class[present].mean()))


def minority_mask(labels: Labels, classes: int, ratio: float = MINORITY_RATIO) -> NDArray[np.bool_]:
    """[n]: the samples of minority classes, the only ones worth augmenting beside balanced sampling."""
    return np.asarray(minorities(counts(labels, classes), ratio)[labels])


def mass(labels: Labels, classes: int, weight: NDArray[np.float32]) -> NDArray[np.float64]:
    """The weights `weight` [n] of the samples added up by class, [classes]."""
    return np.asarray(np.bincount(labels, weights=weight.astype(np.float64), minlength=classes), dtype=np.float64)


def sampling_weights(
    labels: Labels,
    classes: int,
    weight: NDArray[np.float32] | None = None,
    whole: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Probability of drawing each sample, [n], summing to 1, so that every present class is drawn equally often.

    `weight` [n] keeps its proportions within a class; a class whose weights are all 0 counts as absent. Where the
    samples are a part of more, `whole` is the `mass` of all, and the sum is what this part is drawn of them. Returns an
    empty array for no samples and zeros when nothing has weight.
    """
    own = np.ones(len(labels)) if weight is None else weight.astype(np.float64)
    by_class = np.bincount(labels, weights=own, minlength=classes) if whole is None else whole
    present = by_class > 0
    share = np.zeros(classes)
    share[present] = 1.0 / (by_class[present] * present.sum())
    return np.asarray(own * share[labels])


def class_weights(by_class: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a row of each class counts in the loss, [classes], so that every present class counts as much as another,
    and all rows together as much as before. `by_class`: the `mass` of all rows."""
    present = by_class > 0
    weights = np.zeros(len(by_class))
    weights[present] = by_class[present].sum() / (present.sum() * by_class[present])
    return weights


def logit_adjustment(per_class: Counts, tau: float = 1.0) -> NDArray[np.float32]:
    """τ·log(prior) to add to the logits while training on unequal classes (Menon et al., "Long-tail learning via
    logit adjustment", ICLR 2021, eq. 10). Counts are smoothed by 1/2, so an absent class stays finite. [classes]."""
    smoothed = per_class + 0.5
    return np.asarray(tau * np.log(smoothed / smoothed.sum()), dtype=np.float32)
