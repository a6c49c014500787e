"""Has the world changed? The confidence of recent answers against the version's own holdout, the offload rate, what
the inputs are like, and of forecasts how many truths their interval covered.

Confidence: the two-sample Kolmogorov-Smirnov test on equal bins. Binning can only lower the distance, so it makes the
test later, never wrong. The p-value is the asymptotic one with Stephens' correction for small samples (M. A. Stephens,
"Use of the Kolmogorov-Smirnov, Cramér-von Mises and related statistics without extensive tables", Journal of the Royal
Statistical Society B 32, 1970). With many answers any difference is significant, so a least distance is asked for too.
What follows from drift is `core.retrain`'s business.

Inputs: the mean of each feature (`core.input_sketch`) over recent rows, in spreads of the holdout. Of n rows it has a
standard error of 1/√n, so the least shift that is asked for, half a spread, is five of them at the fewest rows; a
z-test shared among the features guards what is asked below that.

Coverage: the truths that an interval missed, bounded by a confidence sequence (`core.arms`), against its nominal share
and ten points more. Errors of answers whose horizons overlap go together: of answers a horizon of h steps ahead only
one in h counts.
"""

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

from skerry.core import arms
from skerry.core.specs.model import RetrainSpec
from skerry.core.tasks import Task, forecast

MIN_ANSWERS = 100  # below this no test is asked
COVERAGE_FALL = 0.1  # below the nominal coverage


class Outcome(enum.StrEnum):
    DRIFT = "Drift"
    NO_DRIFT = "NoDrift"
    INCONCLUSIVE = "Inconclusive"


@dataclass(frozen=True, slots=True)
class Window:
    """Recent answers of all nodes with one version. `confidence_counts`: equal bins over 0..1; `hard`: answers that the
    edge wanted to offload, whether or not the cloud could be asked."""

    confidence_counts: tuple[int, ...] = ()
    requests: int = 0
    hard: int = 0

    def plus(self, other: "Window") -> "Window":
        """Both together. Histograms of another number of bins are not added but replaced by nothing."""
        mine, theirs = self.confidence_counts, other.confidence_counts
        counts = tuple(a + b for a, b in zip(mine, theirs, strict=True)) if len(mine) == len(theirs) else ()
        if not mine or not theirs:
            counts = mine or theirs
        return Window(counts, self.requests + other.requests, self.hard + other.hard)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Recent rows of all nodes with one version, and of each feature the sum of their distances from the holdout's
    mean, in its spreads."""

    rows: int = 0
    sums: tuple[float, ...] = ()

    def plus(self, rows: int, sums: tuple[float, ...]) -> "Inputs":
        """Both together; sums of other features are not added."""
        if self.rows and len(sums) != len(self.sums):
            return self
        added = tuple(a + b for a, b in zip(self.sums, sums, strict=True)) if self.rows else sums
        return Inputs(self.rows + rows, added)


@dataclass(frozen=True, slots=True)
class Truths:
    """The newest truths about forecasts of all nodes with one version; `covered` of them lay in their interval."""

    told: int = 0
    covered: float = 0.0

    def plus(self, told: int, coverage: float) -> "Truths":
        return Truths(self.told + told, self.covered + told * coverage)


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Outcome
    code: str
    reason: str
    distance: float = 0.0
    p_value: float = 1.0


def expected_hard_share(task: Task, target_rate: float) -> float:
    """Of answers in a world like the holdout's, those that are hard. Where truths come late, each one that shows a bad
    answer makes the next one hard (`core.residuals`), on top of those that the threshold was set for."""
    return target_rate + forecast.BAD_SHARE * (1 - target_rate) if task.waits_for_truth else target_rate


def judge(reference: Sequence[int], window: Window, hard_share: float, policy: RetrainSpec) -> Verdict:
    """Drift when either test finds it. `reference`: counts on the holdout, from the version's manifest; `hard_share`
    (0..1): of answers in a world like the holdout's."""
    if not usable(window.confidence_counts) or not 0 <= window.hard <= window.requests:
        return Verdict(
            Outcome.INCONCLUSIVE, "BadCounts", "the nodes' counts cannot be: negative, or more hard than all"
        )
    if not usable(reference) or len(reference) != len(window.confidence_counts):
        reason = f"{len(window.confidence_counts)} bins of confidence were reported, the version has {len(reference)}"
        return Verdict(Outcome.INCONCLUSIVE, "NotComparable", reason)
    if min(sum(reference), sum(window.confidence_counts)) < MIN_ANSWERS:
        reason = f"{sum(window.confidence_counts)} recent answers, {MIN_ANSWERS} are needed"
        return Verdict(Outcome.INCONCLUSIVE, "TooFewAnswers", reason)
    distance, p_value = kolmogorov_smirnov(reference, window.confidence_counts)
    alpha, least = policy.drift_alpha_ppm / 1e6, policy.drift_distance_permille / 1000
    shift = f"confidence is {distance:.3f} away from the holdout's (p {p_value:.1g})"
    if p_value < alpha and distance >= least:
        return Verdict(Outcome.DRIFT, "ConfidenceShift", shift, distance, p_value)
    rise = policy.offload_rise_permille / 1000
    low, _ = arms.bounds(arms.Arm(window.requests, window.hard), alpha)
    if low > hard_share + rise:
        rate = window.hard / window.requests
        reason = f"{rate:.0%} of answers are hard, of this version {hard_share:.0%} should be"
        return Verdict(Outcome.DRIFT, "OffloadRise", reason, distance, p_value)
    return Verdict(Outcome.NO_DRIFT, "AsExpected", shift, distance, p_value)


def judge_inputs(inputs: Inputs, policy: RetrainSpec) -> Verdict:
    """Drift when some feature's mean surely moved, and by `input_shift_permille` of a spread (0: not asked)."""
    if not policy.input_shift_permille or inputs.rows < MIN_ANSWERS or not inputs.sums:
        reason = f"{inputs.rows} recent inputs were looked at, {MIN_ANSWERS} are needed"
        return Verdict(Outcome.INCONCLUSIVE, "TooFewInputs", reason)
    shifts = [total / inputs.rows for total in inputs.sums]
    index = max(range(len(shifts)), key=lambda at: abs(shifts[at]))
    far = abs(shifts[index])
    p_value = min(1.0, len(shifts) * math.erfc(far * math.sqrt(inputs.rows / 2)))
    reason = (
        f"feature {index} of the inputs is {shifts[index]:+.2f} spreads away from the holdout's (p {p_value:.1g}, "
        f"{inputs.rows} rows)"
    )
    if far >= policy.input_shift_permille / 1000 and p_value < policy.drift_alpha_ppm / 1e6:
        return Verdict(Outcome.DRIFT, "InputShift", reason, far, p_value)
    return Verdict(Outcome.NO_DRIFT, "AsExpected", reason, far, p_value)


def judge_coverage(truths: Truths, nominal: float, overlap: int, policy: RetrainSpec) -> Verdict:
    """Drift when the interval surely covers less than it means to (`nominal`, 0: there is none) by ten points. Of
    `overlap` answers, which err together, one counts."""
    if not nominal or truths.told < MIN_ANSWERS:
        reason = f"{truths.told} recent truths, {MIN_ANSWERS} are needed"
        return Verdict(Outcome.INCONCLUSIVE, "TooFewTruths", reason)
    missed = arms.Arm(round(truths.told / overlap), round((truths.told - truths.covered) / overlap))
    covers = f"the interval covers {truths.covered / truths.told:.0%} of {truths.told} recent truths, not {nominal:.0%}"
    low, _ = arms.bounds(missed, policy.drift_alpha_ppm / 1e6)
    if low > 1 - nominal + COVERAGE_FALL:
        return Verdict(Outcome.DRIFT, "CoverageFall", covers)
    return Verdict(Outcome.NO_DRIFT, "AsExpected", covers)


def kolmogorov_smirnov(first: Sequence[int], second: Sequence[int]) -> tuple[float, float]:
    """(distance in 0..1, p-value) of two histograms with the same bins, each with at least one count."""
    n, m = sum(first), sum(second)
    distance = at_first = at_second = 0.0
    for a, b in zip(first, second, strict=True):
        at_first, at_second = at_first + a, at_second + b
        distance = max(distance, abs(at_first / n - at_second / m))
    effective = math.sqrt(n * m / (n + m))
    return distance, _tail((effective + 0.12 + 0.11 / effective) * distance)


def usable(counts: Sequence[int]) -> bool:
    return bool(counts) and min(counts) >= 0


def _tail(x: float) -> float:
    """Q(x) = 2 sum_{k>=1} (-1)^(k-1) exp(-2 k² x²), the Kolmogorov distribution's upper tail."""
    if x < 0.2:
        return 1.0  # the series converges badly there, and Q is 1 to 12 digits
    total: float = sum((-1.0) ** (k - 1) * math.exp(-2 * k * k * x * x) for k in range(1, 101))
    return min(1.0, max(0.0, 2 * total))
