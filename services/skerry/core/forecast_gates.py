"""The gates of a forecast on one holdout: it beats every naive forecast, its interval covers what it says, it is not
worse than the version before it, and in no time block far worse.

Versions are compared on the same rows by what each row loses (pinball loss), in blocks of time (`core.block_means`):
days, or parts of a day where there are few, which are not taken as independent.
A naive forecast has no interval, so the median's error is compared with it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import block_means
from skerry.core.gates import Gate, GatePolicy, Outcome
from skerry.core.series.clock import DAY_MS
from skerry.core.tasks import Forecast

COVERAGE_TOLERANCE = 0.05
MIN_BLOCKS = 10  # fewer say nothing of how much blocks differ
_MIN_BLOCK_ROWS = 4  # of a block that is judged by itself
_TWICE = 2.0  # a block that loses twice what it lost, and more than the worst block before, is no chance

Rows = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ForecastHoldout:
    """What was answered on one kind of holdout rows, [n, width] each; `truth` [n, steps], `block` [n] (blocks of
    `block_ms`, counted from 1970), `naive` [n, seasons, steps] (NaN: not known). `baseline` is None when there is no
    version to compare with; `unquantized` are the answers of the float network behind an int8 candidate, None when the
    candidate is float."""

    origin: str
    forecast: Forecast
    truth: NDArray[Any]
    block: NDArray[np.int64]
    naive: NDArray[Any]
    candidate: NDArray[Any]
    baseline: NDArray[Any] | None = None
    unquantized: NDArray[Any] | None = None
    block_ms: int = DAY_MS

    def judge(self, policy: GatePolicy) -> list[Gate]:
        """Every gate of this holdout. On the imported one what is asked must be proved; the captured one begins small
        and decides where the numbers are sure."""
        n = len(self.truth)
        if n == 0:
            return [
                Gate(f"{self.origin}-holdout", Outcome.INCONCLUSIVE, f"the {self.origin} holdout has no usable rows")
            ]
        gates = [_finite(self), _ordered(self)]
        if any(gate.outcome is Outcome.FAIL for gate in gates):
            return gates  # no number below would mean anything
        strict = self.origin == "imported"
        if strict:
            gates.append(_enough(policy, self))
        gates += [*_beats_naive(self, strict=strict), _coverage(self, strict=strict)]
        if self.baseline is not None:
            gates += [_not_worse(policy, self, self.baseline, strict=strict), _worst_block(policy, self, self.baseline)]
        if self.unquantized is not None:
            gates.append(_int8(policy, self, self.unquantized))
        return gates

    def mean(self, values: Rows, where: NDArray[np.bool_] | slice = slice(None)) -> block_means.Mean:
        """Of the rows `where`, as far as time blocks tell it."""
        return block_means.mean(values[where], self.block[where], alike=self.block_ms < DAY_MS)

    def numbers(self) -> dict[str, Any]:
        """What people want to see of it: {n, mae, coverage, candidate, baseline, float, naive: {season: mae}}, the
        losses of the versions in the target's unit; None where there is none."""
        usable = np.isfinite(self.candidate).all(axis=1)
        answered, truth = self.candidate[usable], self.truth[usable]

        def loss(outputs: NDArray[Any] | None) -> float | None:
            return None if outputs is None else _shown(self.forecast.row_loss(outputs, self.truth))

        return {
            "n": len(self.truth),
            "mae": _shown(self.forecast.errors(answered, truth)),
            "coverage": _shown(self.forecast.covered(answered, truth)),
            "candidate": loss(self.candidate),
            "baseline": loss(self.baseline),
            "float": loss(self.unquantized),
            "naive": {
                str(season): _shown(errors[known])
                for season, known, errors in zip(self.forecast.naive, *_naive_errors(self), strict=True)
            },
        }


def _shown(values: NDArray[Any]) -> float | None:
    finite = values[np.isfinite(values)]
    return float(f"{finite.mean():.6g}") if len(finite) and len(finite) == len(values) else None


def _finite(held: ForecastHoldout) -> Gate:
    bad = int((~np.isfinite(held.candidate).all(axis=1)).sum())
    name, n = f"{held.origin}-finite", len(held.truth)
    if bad:
        return Gate(name, Outcome.FAIL, f"{bad} of {n} answers are not finite numbers", {"nonFinite": float(bad)})
    return Gate(name, Outcome.PASS, f"all {n} answers are finite", {"nonFinite": 0.0})


def _ordered(held: ForecastHoldout) -> Gate:
    crossing = int(held.forecast.crossing(held.candidate).sum())
    name, numbers = f"{held.origin}-quantiles", {"crossing": float(crossing)}
    if crossing:
        text = (
            f"quantiles cross in {crossing} of {len(held.truth)} answers: build them from the median outward, as "
            "skerry.nets.forecasting does"
        )
        return Gate(name, Outcome.FAIL, text, numbers)
    return Gate(name, Outcome.PASS, "no quantile is above the next one", numbers)


def _enough(policy: GatePolicy, held: ForecastHoldout) -> Gate:
    n, blocks = len(held.truth), len(np.unique(held.block))
    name, numbers = f"{held.origin}-holdout", {"n": float(n), "minimum": float(policy.min_holdout), "blocks": blocks}
    if n < policy.min_holdout:
        text = f"{n} rows are too few to judge by: {policy.min_holdout} are asked for (gates.minHoldout)"
        return Gate(name, Outcome.INCONCLUSIVE, text, numbers)
    if blocks < MIN_BLOCKS:
        text = (
            f"its rows lie in {blocks} time blocks, and {MIN_BLOCKS} are needed to tell how much blocks differ (a "
            "block is a day, or a part of one that holds a row's window and horizon): import a longer holdout"
        )
        return Gate(name, Outcome.INCONCLUSIVE, text, numbers)
    return Gate(name, Outcome.PASS, f"{n} rows in {blocks} time blocks of {_length(held.block_ms)}", numbers)


def _length(ms: int) -> str:
    minutes = ms // 60_000
    return "a day" if ms == DAY_MS else f"{minutes / 60:g} h" if minutes >= 60 else f"{minutes} min"


def _naive_errors(held: ForecastHoldout) -> tuple[list[NDArray[np.bool_]], list[Rows]]:
    """By season: where it is known [n], and its mean error over the steps [n]."""
    errors = np.abs(held.naive.astype(np.float64) - held.truth[:, None, :]).mean(axis=2)
    columns = [errors[:, index] for index in range(errors.shape[1])]
    return [np.isfinite(column) for column in columns], columns


def _beats_naive(held: ForecastHoldout, *, strict: bool) -> list[Gate]:
    """One gate for each naive forecast. Where no row knows it: open on the imported holdout, none on the captured."""
    gates = []
    mine = held.forecast.errors(held.candidate, held.truth)
    for season, known, theirs in zip(held.forecast.naive, *_naive_errors(held), strict=True):
        name = f"{held.origin}-beats-naive-{season}"
        what = "the last value" if season == 1 else f"the value of {season} steps before"
        if not known.any():
            if strict:
                text = f"no row of the holdout knows {what}: import the series with its season"
                gates.append(Gate(name, Outcome.INCONCLUSIVE, text))
            continue
        gain = held.mean(theirs - mine, known)
        was, now = float(theirs[known].mean()), float(mine[known].mean())
        unit = held.forecast.unit
        text = f"mean error {now:.6g} {unit}, {what} has {was:.6g}, on {gain.n} rows in {gain.blocks} time blocks"
        numbers = {"mae": now, "naive": was, "n": float(gain.n), "blocks": float(gain.blocks)}
        if (gain.low if strict else gain.value) > 0:
            gates.append(Gate(name, Outcome.PASS, text, numbers))
            continue
        surely_not = gain.value <= 0 if strict else gain.high < 0
        outcome = Outcome.FAIL if surely_not else Outcome.INCONCLUSIVE
        gates.append(Gate(name, outcome, f"{text}: it does not beat it beyond chance", numbers))
    return gates


def _coverage(held: ForecastHoldout, *, strict: bool) -> Gate:
    """Outside the tolerance is a failure where chance does not explain it; else open on the imported holdout."""
    covered = held.mean(held.forecast.covered(held.candidate, held.truth))
    nominal, name = held.forecast.coverage, f"{held.origin}-coverage"
    apart = abs(covered.value - nominal) - COVERAGE_TOLERANCE
    text = (
        f"the interval covers {covered.value:.3f} of the truths, {nominal:.3f} is meant, {COVERAGE_TOLERANCE:.2f} "
        "either way is taken"
    )
    numbers = {"coverage": covered.value, "nominal": nominal, "tolerance": COVERAGE_TOLERANCE}
    if apart <= 0:
        return Gate(name, Outcome.PASS, text, numbers)
    if apart > covered.value - covered.low:
        return Gate(name, Outcome.FAIL, text, numbers)
    return Gate(name, Outcome.INCONCLUSIVE if strict else Outcome.PASS, f"{text}; chance explains it", numbers)


def _not_worse(policy: GatePolicy, held: ForecastHoldout, baseline: NDArray[Any], *, strict: bool) -> Gate:
    """Non-inferiority: at most the margin of the loss of the version before is added. `strict` wants proof; else the
    estimate decides, and a loss that chance explains stays open."""
    name = f"{held.origin}-not-worse"
    now, was = (held.forecast.row_loss(outputs, held.truth) for outputs in (held.candidate, baseline))
    if not np.isfinite(was).all():
        return Gate(name, Outcome.PASS, "the version before it gives answers that are not finite", {})
    more, margin = held.mean(now - was), policy.margin_permille / 1000
    allowed = margin * float(was.mean())
    text = (
        f"loss {was.mean():.6g} before, {now.mean():.6g} now, {held.forecast.unit}, on {more.n} rows in {more.blocks} "
        f"time blocks (difference {more.value:+.4g}, bounds {more.low:+.4g} and {more.high:+.4g}, {allowed:.4g} is "
        f"taken: {margin:.3f} of it)"
    )
    numbers = {
        "baseline": float(was.mean()),
        "candidate": float(now.mean()),
        "delta": more.value,
        "margin": margin,
        "n": float(more.n),
        "blocks": float(more.blocks),
    }
    if (more.high if strict else more.value) <= allowed:
        return Gate(name, Outcome.PASS, text, numbers)
    surely = more.value > allowed and more.low > 0
    return Gate(name, Outcome.FAIL if surely else Outcome.INCONCLUSIVE, text, numbers)


def _worst_block(policy: GatePolicy, held: ForecastHoldout, baseline: NDArray[Any]) -> Gate:
    """No day may lose twice what it lost before and, by the margin, more than the worst day did: a holiday that is
    forgotten hides in the mean."""
    name, margin = f"{held.origin}-worst-block", policy.class_margin_permille / 1000
    now, was = (held.forecast.row_loss(outputs, held.truth) for outputs in (held.candidate, baseline))
    if not np.isfinite(was).all():
        return Gate(name, Outcome.PASS, "the version before it gives answers that are not finite", {})
    days = held.block * held.block_ms // DAY_MS
    blocks, mine = block_means.of_blocks(now, days, _MIN_BLOCK_ROWS)
    theirs = block_means.of_blocks(was, days, _MIN_BLOCK_ROWS)[1]
    if not len(blocks):
        return Gate(name, Outcome.PASS, f"no time block has {_MIN_BLOCK_ROWS} rows to be judged by itself", {})
    limit = (1 + margin) * float(theirs.max())
    far = (mine > _TWICE * theirs) & (mine > limit)
    numbers = {"before": float(theirs.max()), "now": float(mine.max()), "blocks": float(len(blocks))}
    if far.any():
        at = int(np.where(far, mine, -np.inf).argmax())
        day = np.datetime64(int(blocks[at]), "D")
        text = (
            f"{day} (a time block is a day) loses {mine[at]:.6g} {held.forecast.unit}, {theirs[at]:.6g} before; the "
            f"worst block before lost {theirs.max():.6g} ({int(far.sum())} of {len(blocks)} blocks are like that)"
        )
        return Gate(name, Outcome.FAIL, text, numbers)
    return Gate(name, Outcome.PASS, f"the worst time block lost {theirs.max():.6g}, now {mine.max():.6g}", numbers)


def _int8(policy: GatePolicy, held: ForecastHoldout, unquantized: NDArray[Any]) -> Gate:
    whole = float(held.forecast.row_loss(unquantized, held.truth).mean())
    small = float(held.forecast.row_loss(held.candidate, held.truth).mean())
    limit = policy.max_int8_loss_permille / 1000
    text = f"loss: float {whole:.6g}, int8 {small:.6g} {held.forecast.unit}, at most {limit:.3f} of it may be added"
    passed = np.isfinite(whole) and small - whole <= limit * whole
    numbers = {"int8": small, "limit": limit} | ({"float": whole} if np.isfinite(whole) else {})
    return Gate(f"{held.origin}-int8", Outcome.PASS if passed else Outcome.FAIL, text, numbers)
