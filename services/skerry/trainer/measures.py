"""What the trainer does differently for one task than for another, one class a task: the objective of training, and how
answers on a holdout become evidence. Everything else of a run is the same; what the evidence means is decided in core.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from skerry.core import confidence, datasets, forecast_gates, gates, paired
from skerry.core.confidence import Outputs
from skerry.core.dataset_parts import Rows
from skerry.core.datasets import Input
from skerry.core.series import splitting
from skerry.core.tasks import Classification, Forecast, Task
from skerry.nets import export
from skerry.nets.class_objective import ClassObjective
from skerry.nets.quantile_objective import QuantileObjective
from skerry.nets.training import Objective
from skerry.nets.worker_group import WorkerGroup
from skerry.trainer import evaluate
from skerry.trainer.compress import Loss

VALIDATION_ONE_IN = 10  # rows or, of series, weeks


@dataclass(frozen=True, slots=True)
class Measured:
    """One holdout: what is judged, and what people want to see of it."""

    origin: str
    judged: gates.Judged
    numbers: Mapping[str, Any]


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

    def loss_of_int8(self, truth: NDArray[Any], whole: NDArray[np.float32], small: NDArray[np.float32]) -> Loss:
        """What int8 loses on n ≥ 1 rows, by the answers of both networks."""
        ...

    def incomparable(self, stable: Task) -> str:
        """Why a version of `stable` cannot be compared with, for people; empty: it can."""
        ...

    def holdout(
        self,
        origin: str,
        rows: Rows,
        candidate: NDArray[np.float32],
        baseline: NDArray[np.float32] | None,
        unquantized: NDArray[np.float32] | None,
        stable: Task,
    ) -> Measured:
        """Answers on one holdout as evidence; `baseline` are those of a version of `stable`."""
        ...


@dataclass(frozen=True, slots=True)
class OfClasses:
    task: Classification
    output: str = export.OUTPUT
    keeps_head: bool = False

    @property
    def objective(self) -> Objective:
        return ClassObjective(self.task.width)

    def kind_of(self, outputs: NDArray[np.float32]) -> Outputs:
        return evaluate.kind_of(outputs)

    def fault_of(self, network: nn.Module) -> str:
        return ""

    def fault_in_training(self, outputs: NDArray[np.float32]) -> str:
        if not confidence.are_probabilities(outputs):
            return ""
        return (
            "the network answers with probabilities while it is trained, and the loss takes logits: "
            "leave its last softmax out, or apply it in evaluation mode only"
        )

    def soft_of(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        return confidence.softmax(confidence.in_terms_of(outputs, Outputs.LOGITS)).astype(np.float32)

    def learnable(self, targets: NDArray[Any], workers: WorkerGroup) -> tuple[int, str]:
        counts = workers.total(np.bincount(targets, minlength=self.task.width).astype(np.float64))
        present = np.flatnonzero(counts)
        only = f"has samples of one class only, {self.task.class_names[present[0]]!r}" if len(present) == 1 else ""
        return int(counts.sum()), only

    def is_holdout(self, rows: Rows, digests: Sequence[str], row: Input) -> NDArray[np.bool_]:
        return np.array([datasets.is_holdout(digest) for digest in digests], dtype=np.bool_)

    def reaches_into(self, rows: Rows, held: Rows, row: Input) -> NDArray[np.bool_]:
        return np.zeros(len(rows), dtype=np.bool_)

    def kept_aside(self, rows: Rows) -> NDArray[np.bool_]:
        """Every tenth, by position."""
        return np.asarray(np.arange(len(rows)) % VALIDATION_ONE_IN == 0)

    def loss_of_int8(self, truth: NDArray[Any], whole: NDArray[np.float32], small: NDArray[np.float32]) -> Loss:
        """Of accuracy, 0–1."""
        of_whole, of_small = self.task.classes(whole), self.task.classes(small)
        before, after = float((of_whole == truth).mean()), float((of_small == truth).mean())
        differing = f"other answer on {(of_whole != of_small).mean():.2%}"
        text = f"float {before:.4f}, int8 {after:.4f} on {len(truth)} rows, {differing}"
        return Loss(before - after, text, gates.INT8_CHANCE_ROWS / len(truth))

    def incomparable(self, stable: Task) -> str:
        return "" if isinstance(stable, Classification) else f"it answers {stable}"

    def holdout(
        self,
        origin: str,
        rows: Rows,
        candidate: NDArray[np.float32],
        baseline: NDArray[np.float32] | None,
        unquantized: NDArray[np.float32] | None,
        stable: Task,
    ) -> Measured:
        held = gates.Holdout(
            origin,
            self.task.class_names,
            rows.targets,
            self.task.classes(candidate),
            None if baseline is None else self._in_our_terms(baseline, stable),
            None if unquantized is None else self.task.classes(unquantized),
        )
        return Measured(origin, held, _numbers(held))

    def _in_our_terms(self, outputs: NDArray[np.float32], stable: Task) -> NDArray[np.int64]:
        return evaluate.in_terms_of(self.task.classes(outputs), stable.class_names, self.task.class_names)


@dataclass(frozen=True, slots=True)
class OfForecasts:
    task: Forecast
    output: str = "quantiles"
    keeps_head: bool = True

    @property
    def objective(self) -> Objective:
        return QuantileObjective(self.task.quantiles_permille, self.task.steps)

    def kind_of(self, outputs: NDArray[np.float32]) -> Outputs:
        return Outputs.LOGITS  # a forecast has no kinds: what manifests say where nothing is to be said

    def fault_of(self, network: nn.Module) -> str:
        """Its quantiles, where it has the attribute `quantiles_permille`: another level would answer unseen."""
        wanted = self.task.quantiles_permille
        its = tuple(getattr(network, "quantiles_permille", wanted))
        if its == wanted:
            return ""
        named = [", ".join(str(level) for level in levels) for levels in (its, wanted)]
        return f"the network answers the quantiles {named[0]} (permille), the model's are {named[1]}"

    def fault_in_training(self, outputs: NDArray[np.float32]) -> str:
        return ""

    def soft_of(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        return outputs

    def learnable(self, targets: NDArray[Any], workers: WorkerGroup) -> tuple[int, str]:
        return int(workers.total(np.array([len(targets)], dtype=np.float64))[0]), ""

    def is_holdout(self, rows: Rows, digests: Sequence[str], row: Input) -> NDArray[np.bool_]:
        """By blocks of the series' own time, with an embargo around them."""
        reach, (series, time) = self._reach(row), _places(rows)
        named = zip(series.tolist(), time.tolist(), strict=True)
        return np.array([splitting.of_captured(name.decode(), at, reach) != "train" for name, at in named], np.bool_)

    def reaches_into(self, rows: Rows, held: Rows, row: Input) -> NDArray[np.bool_]:
        (series, time), (their_series, their_time) = _places(rows), _places(held)
        near = np.zeros(len(rows), dtype=np.bool_)
        for name in np.unique(their_series):
            taken = np.sort(their_time[their_series == name])
            mine = np.flatnonzero(series == name)
            at = np.searchsorted(taken, time[mine])
            after, before = taken[np.minimum(at, len(taken) - 1)], taken[np.maximum(at - 1, 0)]
            apart = np.minimum(np.abs(after - time[mine]), np.abs(time[mine] - before))
            near[mine] = apart < self._reach(row).embargo_ms
        return near

    def _reach(self, row: Input) -> splitting.Reach:
        return splitting.Reach.of(row.shape, self.task)

    def kept_aside(self, rows: Rows) -> NDArray[np.bool_]:
        """Every tenth week of the series' own time, or one of fewer: the row before would know the answer. Of a single
        week its last tenth."""
        time = _places(rows)[1]
        weeks, week = np.unique(time // splitting.WEEK_MS, return_inverse=True)
        if len(weeks) == 1:
            return np.asarray(time > np.quantile(time, 1 - 1 / VALIDATION_ONE_IN))
        return np.asarray(week % min(VALIDATION_ONE_IN, max(1, len(weeks))) == 0)

    def loss_of_int8(self, truth: NDArray[Any], whole: NDArray[np.float32], small: NDArray[np.float32]) -> Loss:
        """As a share of the float network's loss."""
        before, after = (float(self.task.row_loss(outputs, truth).mean()) for outputs in (whole, small))
        text = f"loss of float {before:.6g}, of int8 {after:.6g} {self.task.unit} on {len(truth)} rows"
        return Loss((after - before) / before if before > 0 else after - before, text)

    def incomparable(self, stable: Task) -> str:
        return self.task.difference(stable)

    def holdout(
        self,
        origin: str,
        rows: Rows,
        candidate: NDArray[np.float32],
        baseline: NDArray[np.float32] | None,
        unquantized: NDArray[np.float32] | None,
        stable: Task,
    ) -> Measured:
        assert rows.naive is not None  # rows of forecasts have it
        block = splitting.day(_places(rows)[1])
        held = forecast_gates.ForecastHoldout(
            origin, self.task, rows.y, block, rows.naive, candidate, baseline, unquantized
        )
        return Measured(origin, held, held.numbers())


def of(task: Task) -> Measures:
    """The trainer's side of a task."""
    if isinstance(task, Forecast):
        return OfForecasts(task)
    assert isinstance(task, Classification)  # there is no third one yet
    return OfClasses(task)


def _places(rows: Rows) -> tuple[NDArray[np.bytes_], NDArray[np.int64]]:
    """Series and time of each row, which rows of forecasts have."""
    assert rows.series is not None and rows.time is not None
    return rows.series, rows.time


def _numbers(held: gates.Holdout) -> dict[str, Any]:
    """What people and the demo want to see of a holdout: {n, candidate, baseline, float, perClass}; None where there is
    none."""

    def accuracy(classes: NDArray[np.int64] | None) -> float | None:
        if classes is None or not len(held.labels):
            return None
        return round(float((classes == held.labels).mean()), 6)

    named = {"candidate": held.candidate, "baseline": held.baseline, "float": held.unquantized}
    recalls = paired.recalls(held.labels, held.candidate, int(max([*held.labels, 0])) + 1)
    return {
        "n": len(held.labels),
        **{name: accuracy(classes) for name, classes in named.items()},
        "perClass": [None if np.isnan(recall) else round(float(recall), 4) for recall in recalls],
    }
