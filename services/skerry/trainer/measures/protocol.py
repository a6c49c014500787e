"""What the trainer asks of a task: the objective of training, and how answers on a holdout become evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from skerry.core import gates
from skerry.core.compression import Loss
from skerry.core.confidence import Calibration, Outputs
from skerry.core.dataset_parts import Rows
from skerry.core.datasets import Input
from skerry.core.tasks import Task
from skerry.nets.training import Objective
from skerry.nets.worker_group import WorkerGroup

VALIDATION_ONE_IN = 10  # rows or, of series, weeks


@dataclass(frozen=True, slots=True)
class Measured:
    """One holdout: what is judged, and what people want to see of it."""

    origin: str
    judged: gates.Judged
    numbers: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HoldoutOutputs:
    """What networks answer on the rows of a holdout, [n, width] each: the candidate, the version before it, and the
    candidate before int8; None where there is none."""

    candidate: NDArray[np.float32]
    baseline: NDArray[np.float32] | None
    unquantized: NDArray[np.float32] | None


class Measures(Protocol):
    @property
    def task(self) -> Task: ...

    @property
    def objective(self) -> Objective: ...

    @property
    def output(self) -> str:
        """The name of what a network answers, in its file."""
        ...

    @property
    def keeps_head(self) -> bool:
        """Does the last layer stay float in int8? Its 256 levels would be those of the answer."""
        ...

    def kind_of(self, outputs: NDArray[np.float32]) -> Outputs:
        """What the answers [n, width] of a network hold, seen from the numbers."""
        ...

    def fault_of(self, network: nn.Module) -> str:
        """What the network says of itself that does not fit the task, for people; empty: nothing."""
        ...

    def fault_in_training(self, outputs: NDArray[np.float32]) -> str:
        """What is wrong with answers while the network is trained, for people; empty: nothing."""
        ...

    def soft_of(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """What another network answered, as soft labels."""
        ...

    def learnable(self, targets: NDArray[Any], workers: WorkerGroup) -> tuple[int, str]:
        """(rows of all workers together, what is wrong with them, for people; empty: nothing)"""
        ...

    def is_holdout(self, rows: Rows, digests: Sequence[str], row: Input) -> NDArray[np.bool_]:
        """Which captured rows, with these digests of their inputs, are kept out of training by rule."""
        ...

    def reaches_into(self, rows: Rows, held: Rows, row: Input) -> NDArray[np.bool_]:
        """Which rows share a step of their series with one of the holdout rows `held`."""
        ...

    def kept_aside(self, rows: Rows) -> NDArray[np.bool_]:
        """Which training rows choose among students instead."""
        ...

    def loss_of_compression(self, truth: NDArray[Any], whole: NDArray[np.float32], small: NDArray[np.float32]) -> Loss:
        """What a compressed form loses on n ≥ 1 rows against the float network, by the answers of both."""
        ...

    def quality(self, truth: NDArray[Any], outputs: NDArray[np.float32]) -> Mapping[str, float]:
        """How good the answers to n ≥ 1 rows are, in the task's own measure by its name; empty: not a number."""
        ...

    def incomparable(self, stable: Task) -> str:
        """Why a version of `stable` cannot be compared with, for people; empty: it can."""
        ...

    def holdout(
        self, origin: str, rows: Rows, outputs: HoldoutOutputs, stable: Task, calibration: Calibration
    ) -> Measured:
        """Answers on one holdout as evidence; the version before is one of `stable`, and `calibration` says how sure
        the candidate is."""
        ...
