"""How sure a classifier is of an answer: temperature-calibrated max-softmax, and the threshold for a target rate.

A network answers with logits or, when it ends in a softmax of its own, with probabilities: `as_logits` makes logits of
either, so that nothing is squeezed twice. All else here takes logits.

Temperature scaling divides the logits by one number fitted on held-out labels (Guo et al. 2017, "On Calibration of
Modern Neural Networks", section 4.2); it never changes which class wins. What is done with the confidence is decided in
`core.offload` and `core.sampling`. Left out: margin, entropy and energy scores, which tie or lose on our data.
"""

import enum
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skerry.core import errors


class Outputs(enum.StrEnum):  # text, as it stands in manifests
    """What a classifier's output holds for each class."""

    LOGITS = "logits"
    PROBABILITIES = "probabilities"  # each in [0, 1], together 1


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a manifest knows of how sure its answers are. `reference`: counts of the 20 bins of the confidence histogram
    on the holdout; empty: not known. `outputs`: whether a classifier answers with logits or, ending in a softmax of its
    own, with probabilities. `widths`: of a forecaster, the quantiles at equal distances (the least and the greatest
    among them) of its intervals' widths on the holdout; `bound`: the error above which a forecast is bad."""

    temperature: float = 1.0
    threshold: float = 0.0
    reference: tuple[int, ...] = ()
    outputs: Outputs = Outputs.LOGITS
    widths: tuple[float, ...] = ()
    bound: float = 0.0


BINS = 20  # of the histogram over [0, 1] that nodes report and manifests carry
_MIN_TEMPERATURE, _MAX_TEMPERATURE = 0.1, 10.0
_BISECTIONS = 60
_SLACK = 0.02  # probabilities from int8 or half floats are a little more or less than 1 together
_LEAST = 1e-30  # a probability of 0 has no logarithm; this one is as good as 0


def as_logits(outputs: ArrayLike, kind: Outputs | str = Outputs.LOGITS) -> NDArray[np.float64]:
    """outputs[N, C] as logits in float64: softmax of them at temperature 1 gives probabilities back as they were.

    A row that is said to hold probabilities and holds something else becomes NaN: it is never trusted.
    """
    values: NDArray[np.float64] = np.asarray(outputs, dtype=np.float64)
    if kind != Outputs.PROBABILITIES:
        return values
    logits: NDArray[np.float64] = np.log(np.clip(values, _LEAST, None))
    logits[~_rows_of_probabilities(values)] = np.nan
    return logits


def in_terms_of(outputs: NDArray[Any], kind: Outputs | str) -> NDArray[Any]:
    """What another network for the same classes (a teacher) answered, outputs[N, C], as logits or probabilities as
    `kind` says. Which of the two it is is seen from the numbers; the class of each row stays the same."""
    if are_probabilities(outputs) == (kind == Outputs.PROBABILITIES):
        return outputs
    told = softmax(outputs) if kind == Outputs.PROBABILITIES else as_logits(outputs, Outputs.PROBABILITIES)
    return told.astype(outputs.dtype)


def are_probabilities(outputs: ArrayLike) -> bool:
    """Does every row of outputs[N, C] hold probabilities? Logits of real rows as good as never do. False for no row,
    and for one class, where nothing can be told."""
    values = np.asarray(outputs, dtype=np.float64)
    return values.ndim == 2 and values.shape[1] > 1 and len(values) > 0 and bool(_rows_of_probabilities(values).all())


def _rows_of_probabilities(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        in_range = ((values >= 0) & (values <= 1 + _SLACK)).all(axis=-1)  # NaN is not
        return np.asarray(in_range & (np.abs(values.sum(axis=-1) - 1) <= _SLACK))


def softmax(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """exp(z/T) / sum(exp(z/T)) over the last axis of logits[N, C], float64. A row with a non-finite logit becomes NaN.

    Raises InputError when `logits` is not a matrix with at least one column, or the temperature is not positive.
    """
    z: NDArray[np.float64] = np.asarray(logits, dtype=np.float64)
    if z.ndim != 2 or z.shape[1] == 0:
        raise errors.InputError(f"logits must be a matrix [rows, classes], not of shape {list(z.shape)}")
    if not (np.isfinite(temperature) and temperature > 0):
        raise errors.InputError(f"temperature must be a positive number, not {temperature}")
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(z).all(axis=1))
    safe = np.where(finite[:, None], z, 0.0)
    # The shift comes first: dividing a huge logit by a small temperature would overflow.
    powers = np.exp((safe - safe.max(axis=1, keepdims=True)) / temperature)
    probabilities: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    probabilities[~finite] = np.nan
    return probabilities


def max_softmax(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """Confidence in [0, 1] per row of logits[N, C]. A row with a non-finite logit has 0: it is never trusted.

    Raises InputError as `softmax`.
    """
    sure: NDArray[np.float64] = np.nan_to_num(softmax(logits, temperature).max(axis=1), nan=0.0)
    return sure


def max_softmax_of(logits: Sequence[float], temperature: float = 1.0) -> float:
    """`max_softmax` of one row in plain Python: for a few classes ten times as fast, and every request pays for it."""
    highest, exp = max(logits), math.exp
    total = sum([exp((logit - highest) / temperature) for logit in logits])
    # A NaN anywhere makes the sum NaN (or, as the highest, every term): neither compares as at least 1.
    finite = total >= 1.0 and math.isfinite(highest) and math.isfinite(min(logits))
    return 1.0 / total if finite else 0.0


def confidence_of(outputs: Sequence[float], kind: Outputs | str, temperature: float = 1.0) -> float:
    """`max_softmax_of` one row of a network's outputs. For probabilities at temperature 1 it is the highest of them."""
    if kind != Outputs.PROBABILITIES:
        return max_softmax_of(outputs, temperature)
    total = math.fsum(outputs)
    if not (min(outputs) >= 0.0 and abs(total - 1.0) <= _SLACK):  # also for a NaN
        return 0.0
    if temperature == 1.0:
        return min(1.0, max(outputs) / total)
    return max_softmax_of([math.log(max(value, _LEAST)) for value in outputs], temperature)


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The temperature in [0.1, 10] with the least mean negative log likelihood of labels[N] (class index) under
    softmax(logits[N, C] / T). Rows with a non-finite logit are left out.

    The loss is convex in b = 1/T with derivative mean(sum_c p_c z_c - z_label), so bisection finds its zero.
    Raises InputError for no usable row, labels of another length, or a label that names no class.
    """
    z, y = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if z.ndim != 2 or y.shape != (z.shape[0],) or not np.issubdtype(y.dtype, np.integer):
        raise errors.InputError(
            f"logits {list(z.shape)} and labels {list(y.shape)} do not fit: need [N, C] and N integers"
        )
    usable = np.isfinite(z).all(axis=1)
    z, y = z[usable], y[usable]
    if len(y) == 0:
        raise errors.InputError("a temperature needs at least one labelled row with finite logits; there is none")
    if y.min() < 0 or y.max() >= z.shape[1]:
        raise errors.InputError(f"labels must be class indices in 0..{z.shape[1] - 1}; found {y.min()}..{y.max()}")
    of_label = z[np.arange(len(y)), y]
    low, high = 1 / _MAX_TEMPERATURE, 1 / _MIN_TEMPERATURE
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        slope = np.mean((softmax(z, 1 / middle) * z).sum(axis=1) - of_label)
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float(2 / (low + high))


def threshold_for_rate(confidences: ArrayLike, rate: float) -> float:
    """The highest threshold t such that at most `rate` (0 to 1) of confidences[N] lie below t.

    Ties at t stay above it, so the share below can be less than `rate`, never more.
    Raises InputError for no confidences, values outside [0, 1], or such a rate.
    """
    ordered = np.sort(np.asarray(confidences, dtype=np.float64))
    if ordered.ndim != 1 or len(ordered) == 0:
        raise errors.InputError("a threshold needs at least one confidence; there is none")
    if not (ordered[0] >= 0 and ordered[-1] <= 1):
        raise errors.InputError("confidences must lie in [0, 1]")
    if not 0 <= rate <= 1:
        raise errors.InputError(f"the offload rate must lie in 0..1, not {rate}")
    below = int(np.floor(rate * len(ordered)))
    return float(ordered[below]) if below < len(ordered) else float(np.nextafter(1.0, 2.0))


def histogram(confidences: ArrayLike, bins: int = BINS) -> tuple[int, ...]:
    """How many of confidences[N] fall into each of `bins` equal parts of [0, 1]; 1.0 and above count in the last,
    below 0 and NaN in the first."""
    values = np.nan_to_num(np.asarray(confidences, dtype=np.float64).ravel(), nan=0.0, posinf=1.0, neginf=0.0)
    index = np.minimum((np.clip(values, 0.0, 1.0) * bins).astype(np.int64), bins - 1)
    return tuple(int(count) for count in np.bincount(index, minlength=bins))


def share_wider(wide: float, widths: Sequence[float]) -> float:
    """1 - F(wide), F of interval widths from its quantiles at equal distances; 0 where there are none."""
    if not widths or not math.isfinite(wide):
        return 0.0
    above = bisect_right(widths, wide)
    if above == len(widths):
        return 0.0
    if above == 0:
        return 1.0
    below, to = widths[above - 1], widths[above]
    return 1.0 - (above - 1 + (wide - below) / (to - below)) / (len(widths) - 1)
