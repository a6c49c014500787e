"""The training loop, on one page: seeded, single-threaded, drawn as the task wants, augmented.

One thread and one seed give the same weights bit by bit; two spinning OpenMP threads on busy cores are slower than one.
Several workers, each with its own samples, take every step together: gradients are added up over all of them.
What is lost with an answer is the task's business (`Objective`: nets.class_objective, nets.quantile_objective), what
the labels are worth is the caller's decision (weights); what the result is worth is judged elsewhere.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from skerry.core import errors, extremes
from skerry.nets import augment
from skerry.nets.worker_group import SINGLE, WorkerGroup

_ROWS_PER_WORKER = 8  # of a step, on the average: batches grow with the group
_SEEDS_APART = 1_000_003  # so that no worker draws as another does


@dataclass(frozen=True, slots=True)
class Samples:
    """`x` [n, …] network inputs, `y` [n] int64 classes (-1: none) or [n, steps] float32 values (NaN: none), `soft`
    [n, width of an answer] float32 (rows of NaN: none), `weight` [n] float32. Every row has a label of one kind."""

    x: NDArray[np.float32] | NDArray[np.int64]
    y: NDArray[np.int64] | NDArray[np.float32]
    soft: NDArray[np.float32]
    weight: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. `soft_share` is the teacher's part of the loss where a row has both kinds of label. `balance` is
    what unequal classes lead to, one of core.balancing.WAYS; rows that are made ("synthetic") come with the samples."""

    epochs: int = 8
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    seed: int = 0
    augment: str = "none"
    balance: str = "draws"
    soft_share: float = 0.7


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass came to. `loss` and `right` are over the augmented, balanced draws; `measure` says what was counted
    as right."""

    epoch: int
    epochs: int
    loss: float
    right: float
    measure: str


OnEpoch = Callable[[Epoch], None]


class Goal(Protocol):
    """What one worker's samples are to teach: which of them are drawn, and what is lost with an answer to them."""

    @property
    def draws(self) -> Sequence[int]:
        """By worker: rows that it draws in an epoch."""
        ...

    @property
    def chances(self) -> torch.Tensor | None:
        """[n] sampling probabilities of this worker's rows; None: every row once an epoch."""
        ...

    @property
    def augmented(self) -> torch.Tensor:
        """[n] bool: which rows may be augmented."""
        ...

    @property
    def mixes(self) -> bool:
        """Are rows blended in pairs?"""
        ...

    def loss(self, outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """The mean over `rows` (indices) of what is lost with `outputs` [len(rows), width]."""
        ...

    def right(self, outputs: torch.Tensor, rows: torch.Tensor) -> float:
        """How many of the answers are right."""
        ...


class Objective(Protocol):
    """What a task wants of a network."""

    @property
    def measure(self) -> str:
        """What `Goal.right` counts, in a word."""
        ...

    @property
    def reads(self) -> str:
        """What the inputs are, for augmentation; empty: seen from the network and the inputs."""
        ...

    def goal(self, network: nn.Module, samples: Samples, recipe: Recipe, workers: WorkerGroup) -> Goal:
        """Prepare the samples, and the network where it wants to know of them. Raises InputError when there is nothing
        to learn from; all workers come to the same answer."""
        ...


def prepare(seed: int) -> torch.Generator:
    """One thread and one seed for this process; returns the generator that the loop draws from."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)  # an own network may have no other way
    return torch.Generator().manual_seed(seed)


def train(
    network: nn.Module,
    samples: Samples,
    recipe: Recipe,
    on_epoch: OnEpoch,
    objective: Objective,
    workers: WorkerGroup = SINGLE,
) -> nn.Module:
    """Train `network` in place and return it in evaluation mode.

    AdamW, the learning rate as `pace` has it. `samples` are this worker's own; all workers end with the same weights.
    Raises InputError when there is nothing to learn from, and when the loss stops being a number (weights like these
    are never published).
    """
    generator = prepare(recipe.seed)
    operations = augment.resolve(recipe.augment, network, samples.x, objective.reads)
    data = _Data.of(samples, objective.goal(network, samples, recipe, workers), operations, workers)
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
                outputs, loss = data.step(network, rows, generator)
                (loss if share == 1 else loss * share).backward()  # type: ignore[no-untyped-call]  # untyped in torch
                total_loss += float(loss.detach()) * len(rows)
                right += data.goal.right(outputs.detach(), rows)
                seen += len(rows)
            workers.add_gradients(network)
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            schedule.step()
        total_loss, right, all_seen = workers.total(np.array([total_loss, right, seen], dtype=np.float64)).tolist()
        done = Epoch(epoch, recipe.epochs, total_loss / all_seen, right / all_seen, objective.measure)
        if not math.isfinite(done.loss):
            raise errors.InputError(
                f"the loss is no number after epoch {epoch}: the data or the learning rate {recipe.learning_rate} "
                "does not suit this network; nothing was published"
            )
        if workers.rank == 0:
            on_epoch(done)
    workers.blend_buffers(network, data.goal.draws[workers.rank] / data.total)
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
    """What a network answers in evaluation mode, [n, width]."""
    network.eval()
    with torch.inference_mode():
        parts = [network(torch.from_numpy(x[at : at + batch])).numpy() for at in range(0, len(x), batch)]
    return np.concatenate(parts) if parts else np.empty((0, 0), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class _Data:
    """The samples as tensors, with what each draw needs."""

    x: torch.Tensor
    goal: Goal
    limits: augment.Range  # of all workers' samples together
    operations: Sequence[augment.Operation]

    @classmethod
    def of(cls, samples: Samples, goal: Goal, operations: Sequence[augment.Operation], workers: WorkerGroup) -> "_Data":
        usual = samples.x[~extremes.unusual(samples.x)]
        limits = augment.Range(*workers.extremes(float(usual.min()), float(usual.max())))
        return cls(torch.from_numpy(samples.x), goal, limits, operations)

    @property
    def total(self) -> int:
        """Rows that all workers draw in an epoch."""
        return sum(self.goal.draws)

    def order(self, generator: torch.Generator) -> torch.Tensor:
        if self.goal.chances is None:
            return torch.randperm(len(self.x), generator=generator)
        return torch.multinomial(self.goal.chances, self.total, replacement=True, generator=generator)

    def batches(self, order: torch.Tensor, steps: int, workers: WorkerGroup) -> Iterator[tuple[torch.Tensor, float]]:
        """The rows of each step, and which share of the step's rows (of all workers) they are."""
        if workers.size == 1:
            yield from ((rows, 1.0) for rows in _batches(order, batch_size(self.total)))
            return
        order = order[: self.goal.draws[workers.rank]]
        for step, rows in enumerate(torch.tensor_split(order, steps)):
            # All workers' draws are split as evenly as can be: the first ones have one row more.
            sizes = [draws // steps + (step < draws % steps) for draws in self.goal.draws]
            # Batch normalization needs two rows: a single one stands for itself twice, and counts once.
            yield rows.repeat(2) if len(rows) == 1 else rows, sizes[workers.rank] / sum(sizes)

    def step(
        self, network: nn.Module, rows: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(outputs, loss). Blended in pairs: both labels count as much as their rows do (Zhang et al., "mixup: Beyond
        empirical risk minimization", ICLR 2018); one share a step, even in 0–1 as of their Beta(1, 1)."""
        x = self.inputs(rows, generator)
        if not self.goal.mixes:
            outputs = network(x)
            return outputs, self.goal.loss(outputs, rows)
        order = torch.randperm(len(rows), generator=generator)
        share = float(torch.rand(1, generator=generator))
        outputs = network(share * x + (1 - share) * x[order])
        return outputs, share * self.goal.loss(outputs, rows) + (1 - share) * self.goal.loss(outputs, rows[order])

    def inputs(self, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        x = self.x[rows]
        chosen = self.goal.augmented[rows].nonzero().flatten()
        if self.operations and len(chosen):
            x[chosen] = augment.apply(self.operations, x[chosen], self.limits, generator)
        return x


def _batches(order: torch.Tensor, size: int) -> list[torch.Tensor]:
    """Batches of `size`; a last one of a single sample joins the one before (batch normalization needs two)."""
    batches = list(torch.split(order, size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
