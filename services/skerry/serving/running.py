"""One run of a version's network for a batch, on whatever thread: arrays in, each request's own rows or error out.

A batch that fails is run again request by request, so that a bad one fails alone.
"""

import time
from collections.abc import Sequence
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors
from skerry.serving.batch_rules import QueuedRequest, split
from skerry.serving.network import Network
from skerry.serving.runtime import RunStoppedError

Outcome = tuple[Sequence[NDArray[Any]], Sequence[NDArray[Any]]] | errors.SkerryError  # outputs and the state after
Ran = tuple[list[Outcome] | None, float]  # None: it was stopped; seconds


class Runner:
    """`keeps_state`: requests bring the state before the step, and get the one after it."""

    def __init__(self, network: Network, *, keeps_state: bool) -> None:
        self._network, self._keeps_state = network, keeps_state

    def run(self, batch: list[QueuedRequest]) -> Ran:
        start = time.perf_counter()
        try:
            outcomes = self._attempt(batch)
        except RunStoppedError:
            return None, time.perf_counter() - start
        return outcomes, time.perf_counter() - start

    def _attempt(self, batch: list[QueuedRequest]) -> list[Outcome]:
        try:
            return self._together(batch)
        except RunStoppedError:
            raise
        except errors.SkerryError as exc:
            return [exc] if len(batch) == 1 else [self._attempt([work])[0] for work in batch]

    def _together(self, batch: list[QueuedRequest]) -> list[Outcome]:
        if len(batch) == 1 and not self._keeps_state:
            return [self._network.run(batch[0].inputs)]
        inputs = [np.concatenate(column) for column in zip(*[work.inputs for work in batch], strict=True)]
        if not self._keeps_state:
            return list(zip(split(batch, self._network.run(inputs)[0]), repeat(())))
        fresh = self._network.fresh_state(1)
        state = [np.concatenate(column) for column in zip(*(work.state or fresh for work in batch), strict=True)]
        outputs, after = self._network.run(inputs, state)
        # A step is one row. Copies of the state, or one held sequence would keep the whole batch in memory.
        states = [[state[at : at + 1].copy() for state in after] for at in range(len(batch))]
        return list(zip(split(batch, outputs), states, strict=True))
