"""A finished forecaster becomes a version: what its answers on a held-out series say of it is measured here, and judged
by the gates that a trained version has to pass."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skerry.cli.importing import network
from skerry.cli.importing.holdout_answers import GOLDEN_ROWS, Answers, Asked
from skerry.cli.importing.network import PreparedVersion
from skerry.cli.importing.wanted import Wanted
from skerry.core import errors, gates, manifest, specs, synthetic_rows, tensors
from skerry.core.forecast_gates import MIN_BLOCKS, ForecastHoldout
from skerry.core.gates import Verdict
from skerry.core.preprocessing import Step
from skerry.core.privacy import Leave
from skerry.core.series import splitting
from skerry.core.series.conversion import ForecastRows
from skerry.core.tasks import Forecast
from skerry.trainer.baseline import Baseline

ORIGIN = "imported"  # of the holdout, as the trainer calls the one that decides


@dataclass(frozen=True, slots=True)
class Held:
    """The rows that are held out: `x` [n, window, columns], `y` [n, steps], `naive` [n, seasons, steps], `time` [n]."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    naive: NDArray[np.float32]
    time: NDArray[np.int64]


def held_out(found: ForecastRows) -> Held:
    which = found.split.holdout
    return Held(found.x[which], found.y[which], found.naive[which], found.time[which])


@dataclass(frozen=True, slots=True)
class Described:
    """A forecaster as its EdgeModel and who imports it describe it. `golden` None: rows of its holdout; `threshold`
    None: it is measured; `output` empty: the first that can answer."""

    path: Path
    golden: Path | None
    model: specs.EdgeModel
    forecast: Forecast
    steps: tuple[Step, ...]
    threshold: float | None
    output: str

    @property
    def wanted(self) -> Wanted:
        """What is said of its network."""
        forecast, taken = self.forecast, self.model.input
        width = f"the model forecasts {forecast.steps} steps in {len(forecast.quantiles_permille)} quantiles"
        row = tensors.Spec(taken.name, taken.datatype, taken.shape)
        threshold = self.threshold or 0.0
        return Wanted(self.model.name, forecast, width, 1.0, threshold, self.steps, self.output, "logits", row)


@dataclass(frozen=True, slots=True)
class JudgedVersion:
    """`numbers` as `ForecastHoldout.numbers` tells them."""

    prepared: PreparedVersion
    verdict: Verdict
    numbers: dict[str, object]


def prepare(described: Described, held: Held, stable: Baseline | str | None) -> JudgedVersion:
    """Run the network on every row of the holdout, calibrate, and judge it beside the stable version (a text: why it
    cannot be had). Raises as `network.prepare`."""
    model, forecast, said = described.model, described.forecast, described.wanted
    before = stable if isinstance(stable, Baseline) else None
    failures = {"baseline": stable} if isinstance(stable, str) else {}
    if before is not None and (fault := _incomparable(said, before)):
        failures["baseline"], before = f"the stable version {before.name} cannot be compared with: {fault}", None
    # The self-test goes to every node: real rows are in it only where the model's may leave.
    golden = None if model.privacy.leave is Leave.CLOUD else synthetic_rows.like(held.x, GOLDEN_ROWS)
    asked = Asked(held.x, before, timed=bool(model.gates.max_latency_us), golden=golden)
    prepared = network.prepare(described.path, described.golden, said, asked)
    answers = prepared.answers
    assert answers is not None  # to what was asked
    if answers.stable_fault:
        failures["baseline"] = f"the stable version could not be asked: {answers.stable_fault}"
    measured = _holdout(forecast, held, answers)
    verdict = gates.judge(
        model.gates, gates.Measurements([measured], len(prepared.model), answers.latency_us, failures)
    )
    # Of the network alone: what it was compared with is told by its verdict.
    numbers = replace(measured, baseline=None).numbers()
    rate = model.offload.target_rate_permille / 1000
    confidence = forecast.calibrate(answers.candidate, held.y, rate, said.outputs)
    if described.threshold is not None:
        confidence = replace(confidence, threshold=described.threshold)
    if before is not None and (bound := before.manifest.confidence.bound):
        confidence = replace(confidence, bound=bound)  # what is bad stays so: no version loosens its own measure
    whole = manifest.check(replace(prepared.manifest, confidence=confidence, metrics={ORIGIN: numbers}))
    return JudgedVersion(replace(prepared, manifest=whole), verdict, measured.numbers())


def check(judged: JudgedVersion, path: Path, held: Path) -> None:
    """Raises RejectedError naming every gate that decided."""
    if judged.verdict.passed:
        return
    model = judged.prepared.manifest.model
    raise errors.RejectedError(
        f"{path} does not pass the gates of EdgeModel {model} on {held} ({judged.verdict.outcome}: "
        f"{judged.verdict.reason}); nothing is stored: bring a better network or a longer holdout, or change spec.gates"
    )


def _holdout(forecast: Forecast, held: Held, answers: Answers) -> ForecastHoldout:
    reach = splitting.Reach.of(held.x.shape[1:], forecast)
    block_ms = splitting.judged_ms(held.time, reach, MIN_BLOCKS)
    return ForecastHoldout(
        ORIGIN,
        forecast,
        held.y,
        held.time // block_ms,
        held.naive,
        answers.candidate,
        answers.stable,
        block_ms=block_ms,
    )


def _incomparable(said: Wanted, stable: Baseline) -> str:
    """Why the stable version cannot answer the same rows, for people; empty: it can."""
    if fault := said.task.difference(stable.manifest.task):
        return fault
    taken = stable.manifest.inputs
    return "" if len(taken) == 1 and taken[0] == said.row else "it takes another input"
