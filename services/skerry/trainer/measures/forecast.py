"""Forecasts: the pinball loss, blocks of the series' own time as holdout, losses by blocks of time as evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from skerry.core import forecast_gates
from skerry.core.compression import Loss
from skerry.core.confidence import Calibration, Outputs
from skerry.core.dataset_parts import Rows
from skerry.core.datasets import Input
from skerry.core.series import splitting
from skerry.core.tasks import Forecast, Task
from skerry.nets.quantile_objective import QuantileObjective
from skerry.nets.training import Objective
from skerry.nets.worker_group import WorkerGroup
from skerry.trainer.measures.protocol import VALIDATION_ONE_IN, HoldoutOutputs, Measured


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

    def loss_of_compression(self, truth: NDArray[Any], whole: NDArray[np.float32], small: NDArray[np.float32]) -> Loss:
        """As a share of the float network's loss."""
        before, after = (float(self.task.row_loss(outputs, truth).mean()) for outputs in (whole, small))
        text = f"loss of float {before:.6g}, of this one {after:.6g} {self.task.unit} on {len(truth)} rows"
        return Loss((after - before) / before if before > 0 else after - before, text)

    def quality(self, truth: NDArray[Any], outputs: NDArray[np.float32]) -> Mapping[str, float]:
        loss = float(self.task.row_loss(outputs, truth).mean())
        return {"loss": loss} if np.isfinite(loss) else {}

    def incomparable(self, stable: Task) -> str:
        return self.task.difference(stable)

    def holdout(
        self, origin: str, rows: Rows, outputs: HoldoutOutputs, stable: Task, calibration: Calibration
    ) -> Measured:
        assert rows.naive is not None  # rows of forecasts have it
        time = _places(rows)[1]
        block_ms = splitting.judged_ms(time, splitting.Reach.of(rows.x.shape[1:], self.task), forecast_gates.MIN_BLOCKS)
        held = forecast_gates.ForecastHoldout(
            origin,
            self.task,
            rows.y,
            time // block_ms,
            rows.naive,
            outputs.candidate,
            outputs.baseline,
            outputs.unquantized,
            block_ms,
        )
        return Measured(origin, held, held.numbers())


def _places(rows: Rows) -> tuple[NDArray[np.bytes_], NDArray[np.int64]]:
    """Series and time of each row, which rows of forecasts have."""
    assert rows.series is not None and rows.time is not None
    return rows.series, rows.time
