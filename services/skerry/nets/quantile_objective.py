"""What a forecast wants of a network: quantiles of the next values, by the pinball loss, from truths known since."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from skerry.core import errors
from skerry.nets import worker_group
from skerry.nets.training import Recipe, Samples
from skerry.nets.worker_group import WorkerGroup

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class QuantileObjective:
    """Answers [n, steps · quantiles] in the unit of the target: step after step, in each the quantiles in order."""

    quantiles_permille: tuple[int, ...]
    steps: int
    measure: str = "coverage"
    reads: str = "series"

    def goal(self, network: nn.Module, samples: Samples, recipe: Recipe, workers: WorkerGroup) -> "QuantileGoal":
        """Targets of one worker's samples. A network that has `fit_scales(input_mean, input_spread, target_mean,
        target_spread)` is told what the samples of all workers are like.

        Raises InputError for no rows, rows with neither truth nor soft label, an infinite truth, and fewer samples than
        workers.
        """
        truth, soft = self._targets(samples)
        if not workers.total(np.array([float(len(truth))])).any():
            raise errors.InputError("there are no training samples: forecasts are learned from windows and truths")
        held = worker_group.held(workers, len(truth))
        has_truth = ~np.isnan(truth)
        told = np.where(has_truth, truth, soft[:, :, self._median])
        mean, spread = _scale(told.reshape(-1, 1).astype(np.float64), workers)
        if (fit := getattr(network, "fit_scales", None)) is not None:
            width = samples.x.shape[-1]
            fit(*_scale(samples.x.reshape(-1, width).astype(np.float64), workers), float(mean[0]), float(spread[0]))
        heaviness = workers.total(np.array([samples.weight.sum()], dtype=np.float64)) / held.sum()
        return QuantileGoal(
            torch.tensor(self.quantiles_permille) / 1000,
            self._median,
            float(spread[0]) or 1.0,
            torch.from_numpy(np.nan_to_num(truth)),
            torch.from_numpy(has_truth),
            torch.from_numpy(np.nan_to_num(soft)),
            torch.from_numpy((samples.weight / max(float(heaviness[0]), 1e-12)).astype(np.float32)),
            torch.ones(len(truth), dtype=torch.bool),
            worker_group.dealt(int(held.sum()), held),
        )

    @property
    def _median(self) -> int:
        return self.quantiles_permille.index(500)

    def _targets(self, samples: Samples) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Truths [n, steps] and soft labels [n, steps, quantiles], NaN where there is none."""
        truth = samples.y.astype(np.float32)
        soft = samples.soft.reshape(len(truth), self.steps, len(self.quantiles_permille))
        if np.isinf(truth).any():
            raise errors.InputError("some truths are infinite: a truth is a finite number")
        if bool((np.isnan(truth) & np.isnan(soft).any(axis=2)).any()):
            raise errors.InputError("some training samples have neither truth nor soft label: drop them first")
        return truth, soft


@dataclass(frozen=True, slots=True)
class QuantileGoal:
    """Truths of one worker's samples, as `training.Goal` has them."""

    levels: torch.Tensor  # [quantiles] 0–1
    median: int  # which of them
    spread: float  # of the target: losses are told in it, so a learning rate means the same in every unit
    truth: torch.Tensor  # [n, steps]
    has_truth: torch.Tensor  # [n, steps] bool
    soft: torch.Tensor  # [n, steps, quantiles], where there is no truth
    weight: torch.Tensor
    augmented: torch.Tensor
    draws: Sequence[int]
    chances: torch.Tensor | None = None
    mixes: bool = False

    def loss(self, outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """The pinball loss (Koenker & Bassett, "Regression quantiles", Econometrica 1978), max(q·d, (q − 1)·d) with d
        = truth − answer, in spreads of the target. A step without truth is drawn to the teacher's quantiles by half
        their distance, which is what the pinball loss of a median is; a truth needs no teacher beside it."""
        answers = outputs.reshape(self.soft[rows].shape)
        missed = self.truth[rows].unsqueeze(2) - answers
        pinball = torch.maximum(self.levels * missed, (self.levels - 1) * missed)
        distance = 0.5 * (self.soft[rows] - answers).abs()
        each = torch.where(self.has_truth[rows].unsqueeze(2), pinball, distance)
        return (each.mean(dim=(1, 2)) * self.weight[rows]).mean() / self.spread

    def right(self, outputs: torch.Tensor, rows: torch.Tensor) -> float:
        """Truths between the outermost quantiles (of a row of several steps the share of them); where the teacher
        stands in for the truth, its median is."""
        answers, soft = outputs.reshape(self.soft[rows].shape), self.soft[rows]
        truth = torch.where(self.has_truth[rows], self.truth[rows], soft[:, :, self.median])
        inside = (answers[:, :, 0] <= truth) & (truth <= answers[:, :, -1])
        return float(inside.float().mean(dim=1).sum())


def _usual(values: Numbers, workers: WorkerGroup) -> tuple[Numbers, Numbers]:
    """[columns] each: what is believed of all workers' `values` [n, columns] at least and at most. Hundredths on either
    side and three times what lies between: a broken sensor or a false truth must not decide what is near for all. Of a
    column that nearly always has one value (rain, a holiday) everything is believed."""
    inner = np.zeros((2, values.shape[1]))
    if len(values):
        inner[0] = np.quantile(values, 0.01, axis=0, method="higher")
        inner[1] = np.quantile(values, 0.99, axis=0, method="lower")
    low, high = workers.total(inner * len(values)) / workers.total(np.array([float(len(values))]))
    reach = np.where(high > low, 3 * (high - low), np.inf)
    return low - reach, high + reach


def _scale(values: Numbers, workers: WorkerGroup) -> tuple[Numbers, Numbers]:
    """Mean and standard deviation of each column of all workers' `values` [n, columns], as far as they are usual."""
    values = np.clip(values, *_usual(values, workers))
    count = workers.total(np.array([float(len(values))]))
    mean = workers.total(values.sum(axis=0)) / count
    variance = workers.total(((values - mean) ** 2).sum(axis=0)) / count
    return mean, np.sqrt(variance)
