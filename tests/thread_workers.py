"""A group of threads: the workers of one run in one process, to show what they come to without any launcher."""

import copy
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from skerry.core import errors
from skerry.nets.worker_group import Numbers

T = TypeVar("T")
_TIMEOUT_S = 30.0


class Table:
    """Where the members of a group meet: each puts something down, all take what is there."""

    def __init__(self, size: int) -> None:
        self.size, self._barrier = size, threading.Barrier(size)
        self._put: list[Any] = [None] * size

    def exchange(self, rank: int, thing: Any) -> list[Any]:
        self._put[rank] = thing
        self._barrier.wait(_TIMEOUT_S)
        found = list(self._put)
        self._barrier.wait(_TIMEOUT_S)
        return found

    def break_up(self) -> None:
        self._barrier.abort()


class Member:
    """One worker of a group of threads."""

    def __init__(self, table: Table, rank: int) -> None:
        self._table, self.rank, self.size = table, rank, table.size

    def total(self, values: Numbers) -> Numbers:
        return np.asarray(sum(self._table.exchange(self.rank, values)))

    def extremes(self, low: float, high: float) -> tuple[float, float]:
        found = self._table.exchange(self.rank, (low, high))
        return min(one[0] for one in found), max(one[1] for one in found)

    def share(self, network: nn.Module) -> None:
        first = self._table.exchange(self.rank, copy.deepcopy(network.state_dict()))[0]
        network.load_state_dict(first)

    def add_gradients(self, network: nn.Module) -> None:
        mine = [torch.zeros_like(one) if one.grad is None else one.grad for one in network.parameters()]
        for one, theirs in zip(
            network.parameters(), zip(*self._table.exchange(self.rank, mine), strict=True), strict=True
        ):
            one.grad = torch.stack(theirs).sum(dim=0)

    def blend_buffers(self, network: nn.Module, share: float) -> None:
        mine = [one * share for one in network.buffers()]
        for one, theirs in zip(
            network.buffers(), zip(*self._table.exchange(self.rank, mine), strict=True), strict=True
        ):
            if one.is_floating_point():
                one.copy_(torch.stack(theirs).sum(dim=0))


def together(size: int, work: Callable[[Member], T]) -> Sequence[T | Exception]:
    """What `work` gave or raised for each member, by rank."""
    table, found = Table(size), [None] * size

    def one(rank: int) -> None:
        try:
            found[rank] = work(Member(table, rank))  # type: ignore[call-overload]
        except errors.SkerryError as exc:
            found[rank] = exc  # type: ignore[call-overload]
        except Exception as exc:
            found[rank] = exc  # type: ignore[call-overload]
            table.break_up()

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * _TIMEOUT_S)
    return found  # type: ignore[return-value]
