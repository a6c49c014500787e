"""The training loop, on one page: seeded, single-threaded, hard and soft labels, balanced draws, augmentation.

One thread and one seed give the same weights bit by bit; two spinning OpenMP threads on busy cores are slower than one.
Several workers, each with its own samples, take every step together: gradients are added up over all of them.
What the labels are worth is the caller's decision (weights); what the result is worth is judged elsewhere.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from skerry.core import errors, imbalance
from skerry.nets import augment, worker_group
from skerry.nets.worker_group import SINGLE, WorkerGroup

_ROWS_PER_WORKER = 8  # of a step, on the average: batches grow with the group
_SEEDS_APART = 1_000_003  # so that no worker draws as another does


@dataclass(frozen=True, slots=True)
class Samples:
    """`x` [n, …] network inputs, `y` [n] int64 (-1: no hard label), `soft` [n, classes] float32 (rows of NaN: none),
    `weight` [n] float32. Every row has a label of one kind."""

    x: NDArray[np.float32] | NDArray[np.int64]
    y: NDArray[np.int64]
    soft: NDArray[np.float32]
    weight: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. `soft_share` is the teacher's part of the loss where a row has both kinds of label. `balance` is
    what unequal classes lead to: "draws" (rare classes are drawn more often, and only they are augmented), "logits"
    (the loss is shifted by the log of each class's share), or "none"."""

    epochs: int = 8
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    seed: int = 0
    augment: str = "none"
    balance: str = "draws"
    soft_share: float = 0.7


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass came to. `loss` and `accuracy` are over the augmented, balanced draws."""

    epoch: int
    epochs: int
    loss: float
    accuracy: float


OnEpoch = Callable[[Epoch], None]


def prepare(seed: int) -> torch.Generator:
    """One thread and one seed for this process; returns the generator that the loop draws from."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)  # an own network may have no other way
    return torch.Generator().manual_seed(seed)


def train(
    network: nn.Module, samples: Samples, recipe: Recipe, on_epoch: OnEpoch, classes: int, workers: WorkerGroup = SINGLE
) -> nn.Module:
    """Train `network` in place and return it in evaluation mode.

    AdamW, the learning rate as `pace` has it. `samples` are this worker's own; all workers end with the same weights.
    Raises InputError when there is nothing to learn from, and when the loss stops being a number (weights like these
    are never published).
    """
    generator = prepare(recipe.seed)
    data = _Data.of(samples, classes, augment.resolve(recipe.augment, network, samples.x), recipe, workers)
    if workers.size > 1:
        generator.manual_seed(recipe.seed + _SEEDS_APART * workers.rank)
        workers.share(network)
    steps = math.ceil(data.total / max(batch_size(data.total), _ROWS_PER_WORKER * (workers.size - 1)))
    optimizer = torch.optim.AdamW(network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: pace(step, recipe.epochs * steps))
    for epoch in range(1, recipe.epochs + 1):
        network.train()
        total_loss, right, seen = 0.0, 0.0, 0
        order = data.order(generator)
        for rows, share in data.batches(order, steps, workers):
            optimizer.zero_grad()
            if len(rows):
                logits = network(data.inputs(rows, generator))
                loss = data.loss(logits, rows)
                (loss if share == 1 else loss * share).backward()  # type: ignore[no-untyped-call]  # untyped in torch
                total_loss += float(loss.detach()) * len(rows)
                right += int((logits.argmax(dim=1) == data.target[rows]).sum())
                seen += len(rows)
            workers.add_gradients(network)
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            schedule.step()
        total_loss, right, all_seen = workers.total(np.array([total_loss, right, seen], dtype=np.float64)).tolist()
        done = Epoch(epoch, recipe.epochs, total_loss / all_seen, right / all_seen)
        if not math.isfinite(done.loss):
            raise errors.InputError(
                f"the loss is no number after epoch {epoch}: the data or the learning rate {recipe.learning_rate} "
                "does not suit this network; nothing was published"
            )
        if workers.rank == 0:
            on_epoch(done)
    workers.blend_buffers(network, data.draws[workers.rank] / data.total)
    network.eval()
    return network


def batch_size(n: int) -> int:
    """A power of two in 8..128 that gives about 50 steps an epoch: few samples still need many steps."""
    return int(min(128, max(8, 2 ** round(math.log2(max(n, 1) / 50)))))


def pace(step: int, total: int) -> float:
    """Share of the learning rate at `step` of `total`: linear up over the first fifth, then a cosine down to 0."""
    warm = max(1, total // 5)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, total - warm))))


def predict(network: nn.Module, x: NDArray[np.float32] | NDArray[np.int64], batch: int = 256) -> NDArray[np.float32]:
    """Logits [n, classes] of a network in evaluation mode."""
    network.eval()
    with torch.inference_mode():
        parts = [network(torch.from_numpy(x[at : at + batch])).numpy() for at in range(0, len(x), batch)]
    return np.concatenate(parts) if parts else np.empty((0, 0), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class _Data:
    """The samples as tensors, with what each draw needs."""

    x: torch.Tensor
    target: torch.Tensor  # [n] the class that counts, for accuracy and balance
    truth: torch.Tensor  # [n, classes] what the loss compares with
    weight: torch.Tensor
    draw: torch.Tensor | None  # sampling probabilities, None: every row once per epoch
    augmented: torch.Tensor  # [n] bool
    shift: torch.Tensor  # [classes] added to the logits while training
    limits: augment.Range
    operations: Sequence[augment.Operation]
    draws: Sequence[int]  # by worker: rows that it draws in an epoch

    @classmethod
    def of(
        cls,
        samples: Samples,
        classes: int,
        operations: Sequence[augment.Operation],
        recipe: Recipe,
        workers: WorkerGroup,
    ) -> "_Data":
        """Classes, weights and limits are those of all workers' samples together."""
        target, truth = _labels(samples, classes, recipe.soft_share)
        per_class = workers.total(imbalance.counts(target, classes).astype(np.float64)).astype(np.int64)
        if (per_class > 0).sum() < 2:
            raise errors.InputError(
                f"{int(per_class.sum())} training samples of {int((per_class > 0).sum())} classes: "
                "at least two classes are needed to learn a difference"
            )
        held = worker_group.by_worker(workers, len(target))
        if not held.all():
            raise errors.InputError(
                f"{int(per_class.sum())} training samples are too few for {workers.size} workers: set fewer"
            )
        skewed = imbalance.is_skewed(per_class)
        drawn, shifted = skewed and recipe.balance == "draws", skewed and recipe.balance == "logits"
        whole = workers.total(imbalance.mass(target, classes, samples.weight))
        draw = imbalance.sampling_weights(target, classes, samples.weight, whole) if drawn else None
        rare = imbalance.minorities(per_class)[target] if drawn else np.ones(len(target), dtype=np.bool_)
        mean = float(samples.weight.mean()) if workers.size == 1 else float(whole.sum() / per_class.sum())
        weight = np.ones_like(samples.weight) if drawn else samples.weight / max(mean, 1e-12)
        shares = held if draw is None else worker_group.by_worker(workers, float(draw.sum()))
        return cls(
            torch.from_numpy(samples.x),
            torch.from_numpy(target),
            torch.from_numpy(truth),
            torch.from_numpy(weight),
            None if draw is None else torch.from_numpy(draw),
            torch.from_numpy(rare),
            torch.from_numpy(imbalance.logit_adjustment(per_class)) if shifted else torch.zeros(classes),
            augment.Range(*workers.extremes(float(samples.x.min()), float(samples.x.max()))),
            operations,
            _dealt(int(per_class.sum()), shares),
        )

    @property
    def total(self) -> int:
        """Rows that all workers draw in an epoch."""
        return sum(self.draws)

    def order(self, generator: torch.Generator) -> torch.Tensor:
        if self.draw is None:
            return torch.randperm(len(self.target), generator=generator)
        return torch.multinomial(self.draw, self.total, replacement=True, generator=generator)

    def batches(self, order: torch.Tensor, steps: int, workers: WorkerGroup) -> Iterator[tuple[torch.Tensor, float]]:
        """The rows of each step, and which share of the step's rows (of all workers) they are."""
        if workers.size == 1:
            yield from ((rows, 1.0) for rows in _batches(order, batch_size(self.total)))
            return
        order = order[: self.draws[workers.rank]]
        for step, rows in enumerate(torch.tensor_split(order, steps)):
            # All workers' draws are split as evenly as can be: the first ones have one row more.
            sizes = [draws // steps + (step < draws % steps) for draws in self.draws]
            # Batch normalization needs two rows: a single one stands for itself twice, and counts once.
            yield rows.repeat(2) if len(rows) == 1 else rows, sizes[workers.rank] / sum(sizes)

    def inputs(self, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        x = self.x[rows]
        chosen = self.augmented[rows].nonzero().flatten()
        if self.operations and len(chosen):
            x[chosen] = augment.apply(self.operations, x[chosen], self.limits, generator)
        return x

    def loss(self, logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Weighted cross-entropy with the (mixed) distribution of labels: −Σ_k t_k log p_k (Hinton, Vinyals & Dean,
        "Distilling the knowledge in a neural network", 2015, at temperature 1)."""
        each = -(self.truth[rows] * functional.log_softmax(logits + self.shift, dim=1)).sum(dim=1)
        return (each * self.weight[rows]).mean()


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


def _dealt(total: int, shares: worker_group.Numbers) -> list[int]:
    """`total` draws dealt to the workers by their `shares` of all."""
    bounds = np.rint(np.cumsum(shares) / shares.sum() * total).astype(int)
    return [int(count) for count in np.diff(bounds, prepend=0)]


def _batches(order: torch.Tensor, size: int) -> list[torch.Tensor]:
    """Batches of `size`; a last one of a single sample joins the one before (batch normalization needs two)."""
    batches = list(torch.split(order, size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
