"""The workers of one training run, as one of them sees the others. Most runs have one worker, which is `SINGLE`."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from skerry.core import errors

Numbers = NDArray[np.float64]


class WorkerGroup(Protocol):
    """All workers call the same methods in the same order. Raises UnavailableError when one of them is gone."""

    @property
    def rank(self) -> int:
        """Which worker this is; 0 is the one that evaluates and proposes."""
        ...

    @property
    def size(self) -> int: ...

    def total(self, values: Numbers) -> Numbers:
        """The sum over all workers, of the same shape."""
        ...

    def extremes(self, low: float, high: float) -> tuple[float, float]:
        """The lowest `low` and the highest `high` of all workers."""
        ...

    def share(self, network: nn.Module) -> None:
        """Give all workers the weights and buffers of worker 0."""
        ...

    def add_gradients(self, network: nn.Module) -> None:
        """Replace every gradient by the sum over all workers; none counts as zero."""
        ...

    def blend_buffers(self, network: nn.Module, share: float) -> None:
        """Replace real buffers (running statistics) by their mean over all workers, each with its `share` of 1."""
        ...


class SingleWorker:
    """A group of one: there is no other worker to talk to."""

    rank, size = 0, 1

    def total(self, values: Numbers) -> Numbers:
        return values

    def extremes(self, low: float, high: float) -> tuple[float, float]:
        return low, high

    def share(self, network: nn.Module) -> None:
        """Nothing: they are its own."""

    def add_gradients(self, network: nn.Module) -> None:
        """Nothing: they are whole."""

    def blend_buffers(self, network: nn.Module, share: float) -> None:
        """Nothing: they are whole."""


SINGLE = SingleWorker()


def by_worker(group: WorkerGroup, value: float) -> Numbers:
    """The value of each worker, [size], known to all."""
    mine = np.zeros(group.size)
    mine[group.rank] = value
    return group.total(mine)


def held(group: WorkerGroup, rows: int) -> Numbers:
    """How many rows each worker has, [size]. Raises InputError when one has none: it would have nothing to do."""
    counts = by_worker(group, rows)
    if not counts.all():
        raise errors.InputError(f"{int(counts.sum())} training samples are too few for {group.size} workers: set fewer")
    return counts


def dealt(total: int, shares: Numbers) -> Sequence[int]:
    """`total` draws dealt to the workers by their `shares` of all."""
    bounds = np.rint(np.cumsum(shares) / shares.sum() * total).astype(int)
    return [int(count) for count in np.diff(bounds, prepend=0)]
