"""What classification wants of a network: the right class, by hard and soft labels, also where a class is rare."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from skerry.core import errors, imbalance
from skerry.nets import worker_group
from skerry.nets.training import Recipe, Samples
from skerry.nets.worker_group import WorkerGroup


@dataclass(frozen=True, slots=True)
class ClassObjective:
    """Logits for `classes` classes."""

    classes: int
    measure: str = "accuracy"
    reads: str = ""

    def goal(self, network: nn.Module, samples: Samples, recipe: Recipe, workers: WorkerGroup) -> "ClassGoal":
        """Classes, weights and limits are those of all workers' samples together. Raises InputError for rows without a
        label, fewer than two classes, and fewer samples than workers."""
        return ClassGoal.of(samples, self.classes, recipe, workers)


@dataclass(frozen=True, slots=True)
class ClassGoal:
    """Labels of one worker's samples, as `training.Goal` has them."""

    target: torch.Tensor  # [n] the class that counts, for accuracy and balance
    truth: torch.Tensor  # [n, classes] what the loss compares with
    weight: torch.Tensor
    chances: torch.Tensor | None
    augmented: torch.Tensor
    shift: torch.Tensor  # [classes] added to the logits while training
    draws: Sequence[int]
    mixes: bool = False

    @classmethod
    def of(cls, samples: Samples, classes: int, recipe: Recipe, workers: WorkerGroup) -> "ClassGoal":
        target, truth = _labels(samples, classes, recipe.soft_share)
        per_class = workers.total(imbalance.counts(target, classes).astype(np.float64)).astype(np.int64)
        if (per_class > 0).sum() < 2:
            raise errors.InputError(
                f"{int(per_class.sum())} training samples of {int((per_class > 0).sum())} classes: "
                "at least two classes are needed to learn a difference"
            )
        held = worker_group.held(workers, len(target))
        skewed = imbalance.is_skewed(per_class)
        way = recipe.balance if skewed else "none"
        drawn, mixed = way in ("draws", "mixup"), way == "mixup"
        whole = workers.total(imbalance.mass(target, classes, samples.weight))
        draw = imbalance.sampling_weights(target, classes, samples.weight, whole) if drawn else None
        # Ids have no small changes: what is done to them is a price that only rare classes pay.
        only_rare = way == "draws" or samples.x.dtype.kind != "f"
        rare = imbalance.minorities(per_class)[target]
        augmented = rare if only_rare else np.ones(len(target), dtype=np.bool_)
        mean = float(samples.weight.mean()) if workers.size == 1 else float(whole.sum() / per_class.sum())
        weight = np.ones_like(samples.weight) if drawn else samples.weight / max(mean, 1e-12)
        if way == "weights":
            weight = weight * imbalance.class_weights(whole)[target].astype(np.float32)
        shares = held if draw is None else worker_group.by_worker(workers, float(draw.sum()))
        return cls(
            torch.from_numpy(target),
            torch.from_numpy(truth),
            torch.from_numpy(weight),
            None if draw is None else torch.from_numpy(draw),
            torch.from_numpy(augmented),
            torch.from_numpy(imbalance.logit_adjustment(per_class)) if way == "logits" else torch.zeros(classes),
            worker_group.dealt(int(per_class.sum()), shares),
            mixed,
        )

    def loss(self, outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Weighted cross-entropy with the (mixed) distribution of labels: −Σ_k t_k log p_k (Hinton, Vinyals & Dean,
        "Distilling the knowledge in a neural network", 2015, at temperature 1)."""
        each = -(self.truth[rows] * functional.log_softmax(outputs + self.shift, dim=1)).sum(dim=1)
        return (each * self.weight[rows]).mean()

    def right(self, outputs: torch.Tensor, rows: torch.Tensor) -> float:
        """Answers of the class that counts."""
        return float((outputs.argmax(dim=1) == self.target[rows]).sum())


def _labels(samples: Samples, classes: int, soft_share: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(class [n], distribution [n, classes]). A hard label that contradicts the soft one wins alone."""
    has_soft = ~np.isnan(samples.soft).any(axis=1)
    likeliest = np.nan_to_num(samples.soft, nan=-1.0).argmax(axis=1)
    has_hard = samples.y >= 0
    if bool((~has_hard & ~has_soft).any()):
        raise errors.InputError("some training samples have no label of any kind: label or drop them first")
    target = np.where(has_hard, samples.y, likeliest).astype(np.int64)
    hard = np.eye(classes, dtype=np.float32)[target]
    share = np.where(~has_soft | (has_hard & (likeliest != target)), 0.0, np.where(has_hard, soft_share, 1.0))
    mixed = share[:, None] * np.nan_to_num(samples.soft) + (1 - share[:, None]) * hard
    return target, mixed.astype(np.float32)
