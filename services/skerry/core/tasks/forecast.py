"""Numbers that are still to come, with their uncertainty: quantiles of one or several steps of a series.

An answer is [steps · quantiles], step after step, in each the quantiles in their order, in the target's own unit. The
loss is the pinball loss (Koenker & Bassett 1978, "Regression Quantiles"), the confidence 1 - F(width of the interval),
where F is how widths are distributed over the holdout: uniform there, so thresholds, bins and drift mean what they mean
for classes.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import confidence, errors
from skerry.core.confidence import Calibration, Outputs
from skerry.core.inference import Parameter
from skerry.core.residuals import Residual
from skerry.core.tasks import columns, possible

MEDIAN = 500
MIN_QUANTILES, MAX_QUANTILES = 3, 9
MAX_STEPS = 1000
MAX_NAIVE = 8
WIDTHS = 21  # quantiles of the holdout's widths, 0, .05 … 1
MAX_VALUE = float(np.finfo(np.float32).max)  # rows keep truths as float32
BAD_SHARE = 0.1  # of the first version's holdout lies above the bound
_LEAST_BOUND = float(f"{np.finfo(np.float32).tiny:.7g}")  # of a series that is forecast without an error
_MAY_CHANGE = ("naive", "min", "max")  # no answer means something else by it
_SHOWN = 6  # significant digits of a value that is told


@dataclass(frozen=True)  # no slots: it remembers what is asked for with every answer
class Forecast:
    """`target` in `unit`, of a series with a value every `step_seconds`: the last `steps` values of the next `horizon`
    ones. `quantiles_permille` increase and hold the median; the outermost two are the interval. `naive`: the seasons,
    in steps, of the seasonal naive forecasts that a version must beat; 1 is the last value. No truth lies below
    `least` or above `most`; None: nothing is known of that."""

    target: str
    unit: str
    quantiles_permille: tuple[int, ...]
    step_seconds: int
    horizon: int = 1
    steps: int = 1
    naive: tuple[int, ...] = (1,)
    least: float | None = None
    most: float | None = None

    @property
    def name(self) -> str:
        return "Forecast"

    @property
    def class_names(self) -> tuple[str, ...]:
        return ()

    @property
    def width(self) -> int:
        return self.steps * len(self.quantiles_permille)

    @property
    def horizon_ms(self) -> int:
        return self.horizon * self.step_seconds * 1000

    @property
    def step_ms(self) -> int:
        return self.step_seconds * 1000

    @property
    def waits_for_truth(self) -> bool:
        return True

    @property
    def coverage(self) -> float:
        """The share of truths that the interval means to cover."""
        return (self.quantiles_permille[-1] - self.quantiles_permille[0]) / 1000

    @cached_property
    def digest(self) -> str:
        """What numbers mean: target, unit, steps and quantiles. Which naive forecasts it must beat and how large truths
        may be is no part of it."""
        meaning = {key: value for key, value in asdict(self).items() if key not in ("naive", "least", "most")}
        text = json.dumps({"forecast": meaning}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return "sha256:" + hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()

    def to_json(self) -> dict[str, Any]:
        ends = {"min": self.least, "max": self.most}
        return {
            "forecast": {
                "target": self.target,
                "unit": self.unit,
                "quantilesPermille": list(self.quantiles_permille),
                "stepSeconds": self.step_seconds,
                "horizon": self.horizon,
                "steps": self.steps,
                "naive": list(self.naive),
                **{end: value for end, value in ends.items() if value is not None},
            }
        }

    def meanings(self, digest: str) -> Sequence[int] | None:
        return range(self.width) if digest == self.digest else None

    @property
    def is_mapped(self) -> bool:
        return False

    @property
    def oldest_digest(self) -> str:
        return self.digest

    def cannot_read(self, data: object) -> str:
        return self.difference(data)

    def difference(self, version: object) -> str:
        return self._departs(version, "the model")

    def change(self, after: object) -> str:
        return self._departs(after, "the version before it")

    def split(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """[n, steps, quantiles] of [n, width]. Raises InputError for another width."""
        if outputs.ndim != 2 or outputs.shape[1] != self.width:
            raise errors.InputError(
                f"a forecast of {self.steps} steps and {len(self.quantiles_permille)} quantiles has {self.width} "
                f"numbers a row, not {list(outputs.shape)[1:]}"
            )
        return outputs.reshape(len(outputs), self.steps, len(self.quantiles_permille))

    def medians(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """[n, steps], the value that is told."""
        return self.split(outputs)[:, :, self._median]

    def interval(self, outputs: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """[n, steps] each: the lowest and the highest quantile."""
        steps = self.split(outputs)
        return steps[:, :, 0], steps[:, :, -1]

    def crossing(self, outputs: NDArray[Any]) -> NDArray[np.bool_]:
        """bool [n]: is a quantile of this answer above the next one?"""
        return np.asarray((np.diff(self.split(outputs), axis=2) < 0).any(axis=(1, 2)))

    def widths(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        """float64 [n] ≥ 0: the width of the interval, its mean over the steps; infinite for an answer that is not
        finite, or whose interval ends before it begins."""
        low, high = self.interval(outputs)
        with np.errstate(invalid="ignore", over="ignore"):
            wide = np.asarray(high, dtype=np.float64) - np.asarray(low, dtype=np.float64)
        sane = np.isfinite(outputs).all(axis=1) & (wide >= 0).all(axis=1)
        return np.where(sane, np.where(sane[:, None], wide, 0.0).mean(axis=1), np.inf)

    def confidences(self, outputs: NDArray[Any], calibration: Calibration) -> Sequence[float]:
        """0 throughout where no holdout's widths are known: then the threshold is 0 too, and nothing is hard."""
        return [confidence.share_wider(wide, calibration.widths) for wide in self.widths(outputs).tolist()]

    def calibrate(self, outputs: NDArray[Any], truth: NDArray[Any], rate: float, kind: Outputs | str) -> Calibration:
        """Without a usable row: the neutral calibration. The bound is that of a first version."""
        known = np.isfinite(truth).all(axis=1) & np.isfinite(self.widths(outputs))
        if not known.any():
            return Calibration()
        answered = outputs[known]
        at = np.quantile(self.widths(answered), np.linspace(0, 1, WIDTHS))
        calibration = Calibration(widths=tuple(float(f"{wide:.7g}") for wide in np.maximum.accumulate(at)))
        sure = np.asarray(self.confidences(answered, calibration))
        bound = float(f"{np.quantile(self.errors(answered, truth[known]), 1 - BAD_SHARE):.7g}")
        bound = max(bound, _LEAST_BOUND)  # 0 would say that none is known, and no verdict would ever come
        threshold = round(confidence.threshold_for_rate(sure, rate), 6)
        return Calibration(
            threshold=threshold, reference=confidence.histogram(sure), widths=calibration.widths, bound=bound
        )

    def errors(self, outputs: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.float64]:
        """float64 [n]: |truth - median|, the mean over the steps; infinite for an answer that is not finite."""
        with np.errstate(invalid="ignore", over="ignore"):
            apart = np.abs(np.asarray(truth, dtype=np.float64) - self.medians(outputs)).mean(axis=1)
        return np.where(np.isfinite(outputs).all(axis=1), apart, np.inf)

    def covered(self, outputs: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.float64]:
        """float64 [n]: the share of the steps whose truth lies in the interval, its ends included."""
        low, high = self.interval(outputs)
        return np.asarray(((truth >= low) & (truth <= high)).mean(axis=1), dtype=np.float64)

    def row_loss(self, outputs: NDArray[Any], truth: NDArray[Any]) -> NDArray[Any]:
        """The pinball loss, its mean over steps and quantiles."""
        levels = np.asarray(self.quantiles_permille) / 1000
        with np.errstate(invalid="ignore", over="ignore"):
            above = np.asarray(truth, dtype=np.float64)[:, :, None] - self.split(outputs)
            lost = np.maximum(levels * above, (levels - 1) * above).mean(axis=(1, 2))
        return np.where(np.isfinite(outputs).all(axis=1), lost, np.inf)

    def is_bad(self, outputs: NDArray[Any], truth: NDArray[Any], bound: float) -> NDArray[Any]:
        """Is the error above the bound that the first version's holdout set?"""
        return np.asarray(self.errors(outputs, truth) > bound)

    def residual(self, outputs: NDArray[Any], truth: int | tuple[float, ...]) -> Residual | None:
        row, values = outputs.reshape(1, -1), np.asarray(truth, dtype=np.float32).reshape(1, -1)  # as answers are
        error = float(self.errors(row, values)[0])
        return Residual(error, float(self.covered(row, values)[0])) if math.isfinite(error) else None

    def no_truth(self, rows: int) -> NDArray[Any]:
        return np.full((rows, self.steps), np.nan, dtype=np.float32)

    def has_truth(self, truth: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(~np.isnan(truth).any(axis=1))

    def column_fault(self, truth: NDArray[Any], soft: NDArray[Any]) -> columns.ColumnFault | None:
        def good(values: NDArray[Any]) -> NDArray[Any]:
            return np.asarray(np.isfinite(values).all(axis=1) | np.isnan(values).all(axis=1))

        return columns.first(
            ("y", ~good(truth), f"{self.steps} finite values, or NaN throughout"),
            ("soft", ~good(soft), "finite values, or NaN throughout"),
        )

    def truth_fault(self, truth: int | tuple[float, ...]) -> str:
        if isinstance(truth, int):
            return f"a label was given, and the model forecasts {self.target}: give its value in {self.unit}"
        if len(truth) != self.steps:
            return f"{len(truth)} values were given, an answer has {self.steps}: give one per step, in order"
        if not all(abs(value) <= MAX_VALUE for value in truth):  # NaN is not
            return f"a value is not finite, or beyond {MAX_VALUE:.4g}, the largest number that a dataset holds"
        return next(filter(None, map(self.impossible, truth)), "")

    def impossible(self, value: float) -> str:
        """Why no truth is this finite value, for people; empty: it can be."""
        if possible.is_possible(value, self.least, self.most):
            return ""
        return f"{_number(value)} {self.unit} cannot be: {possible.told(self.target, self.least, self.most)}"

    def in_terms_of(self, outputs: NDArray[Any], kind: Outputs | str) -> NDArray[Any]:
        return outputs

    def truth_text(self, truth: int | tuple[float, ...]) -> str:
        return f"{_values(np.atleast_1d(np.asarray(truth, dtype=np.float64)))} {self.unit}"

    def quality(self, gates: Mapping[str, Mapping[str, float]]) -> str:
        beaten = (gates.get(f"imported-beats-naive-{season}", {}).get("mae") for season in self.naive)
        error = next((mae for mae in beaten if mae is not None), None)
        covered = gates.get("imported-coverage", {}).get("coverage")
        told = [] if error is None else [f"mean error {_number(error)} {self.unit}"]
        told += [] if covered is None else [f"{covered:.0%} in the interval ({self.coverage:.0%} meant)"]
        return ", ".join(told)

    def described(self, outputs: NDArray[Any]) -> dict[str, Any]:
        values, (low, high) = self.medians(outputs), self.interval(outputs)
        rows = []
        for index in range(len(outputs)):
            steps = zip(values[index].tolist(), low[index].tolist(), high[index].tolist(), strict=True)
            shown = [{"value": value, "low": below, "high": above} for value, below, above in steps]
            text = "; ".join(
                f"{_number(step['value'])} ({_number(step['low'])} to {_number(step['high'])})" for step in shown
            )
            rows.append({"steps": shown, "text": f"{text} {self.unit}"})
        return {"rows": rows, "answers": "forecasts", "target": self.target, "unit": self.unit}

    def told(self, answered: NDArray[Any], local: NDArray[Any]) -> Mapping[str, Parameter]:
        steps = answered.reshape(self.steps, -1)
        return {
            "skerry_value": _values(steps[:, self._median]),
            "skerry_low": _values(steps[:, 0]),
            "skerry_high": _values(steps[:, -1]),
            "skerry_unit": self.unit,
        }

    def __str__(self) -> str:
        return f"a forecast of {self.target} in {self.unit}"

    def _departs(self, version: object, owner: str) -> str:
        if not isinstance(version, Forecast):
            return f"it answers {version}, {owner} {self}"
        mine, theirs = self.to_json()["forecast"], version.to_json()["forecast"]
        for name in mine:
            if name not in _MAY_CHANGE and mine[name] != theirs[name]:
                return f"its forecast has {name} {theirs[name]!r}, that of {owner} {mine[name]!r}"
        return ""

    @cached_property
    def _median(self) -> int:
        return self.quantiles_permille.index(MEDIAN)


def _values(numbers: NDArray[Any]) -> str:
    return ",".join(map(_number, numbers.tolist()))


def _number(value: float) -> str:
    return f"{value:.{_SHOWN}g}"
