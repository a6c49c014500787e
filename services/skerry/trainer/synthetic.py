"""Rows of rare classes between neighbours of their own: SMOTE (Chawla et al., Journal of Artificial Intelligence
Research 16, 2002) as imbalanced-learn has it.

Neighbours are looked for with every column at the same scale. What is made has a hard label and the weight of its
class; only training rows are ever asked or made.
"""

from dataclasses import replace

import numpy as np

from skerry.core import balancing, errors, imbalance
from skerry.nets.training import Samples

_NEIGHBOURS = 5


def extend(samples: Samples, target: imbalance.Labels, classes: int, seed: int) -> Samples:
    """`samples` and, behind them, rows that bring each class that is rare, and has MIN_SYNTHETIC rows, up to the mean.
    `target` [n] are their classes. Raises InputError where imbalanced-learn is not installed."""
    per_class = imbalance.counts(target, classes)
    wanted = int(per_class[per_class > 0].mean())
    rare = imbalance.minorities(per_class) & (per_class >= balancing.MIN_SYNTHETIC)
    if not rare.any():
        return samples
    try:
        from imblearn.over_sampling import SMOTE  # heavy, and only some runs need it
    except ImportError as exc:
        raise errors.InputError(
            "retrain.balance 'synthetic' needs imbalanced-learn, which skerry[trainer] brings: install it, or choose "
            "another way"
        ) from exc
    flat = samples.x.reshape(len(samples.x), -1).astype(np.float64)
    mean, spread = flat.mean(axis=0), flat.std(axis=0)
    spread[spread == 0] = 1.0
    more = {int(k): wanted for k in np.flatnonzero(rare)}
    smote = SMOTE(sampling_strategy=more, k_neighbors=_NEIGHBOURS, random_state=seed)
    made, labels = smote.fit_resample((flat - mean) / spread, target)
    new = slice(len(flat), None)
    x = (made[new] * spread + mean).astype(samples.x.dtype).reshape(-1, *samples.x.shape[1:])
    y = np.asarray(labels[new], dtype=np.int64)
    heaviness = imbalance.mass(target, classes, samples.weight) / np.maximum(per_class, 1)
    return replace(
        samples,
        x=np.concatenate([samples.x, x]),
        y=np.concatenate([samples.y, y]),
        soft=np.concatenate([samples.soft, np.full((len(y), classes), np.nan, dtype=np.float32)]),
        weight=np.concatenate([samples.weight, heaviness[y].astype(np.float32)]),
    )
