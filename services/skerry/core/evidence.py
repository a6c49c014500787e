"""Is the canary worse than the baseline? One verdict from counted answers, with four outcomes, valid at every look.

Each arm is a count of answers and of bad ones (that disagree with the label), or of requests and of failed ones. Its
true rate is bounded by a confidence sequence, which holds at all times at once, so that looking often does not make a
false alarm likely:

    M(p) = B(a + bad, b + n - bad) / (B(a, b) p^bad (1 - p)^(n - bad)),   {p : M(p) < 1 / alpha},   a = b = 1/2

the beta-binomial mixture (Robbins, "Statistical methods related to the law of the iterated logarithm", Annals of
Mathematical Statistics 41, 1970; Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic
confidence sequences", Annals of Statistics 49, 2021). Each arm takes half of alpha.

No node decides alone: within an arm none weighs more than twice the (lower) median node, and a verdict that turns
when any one node is left out is none. What follows from a verdict is `core.rollout`'s business.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from skerry.core.gates import Outcome
from skerry.core.specs.strategy import Analysis

PRIOR = 0.5
STALE_READ_MS = 60_000  # the counters themselves must have been read so recently
STALE_SAMPLE_MS = 900_000  # and an arm's newest answer must not be older
FEW_FAILURES = 3  # fewer failed requests than that hold no wave
_BISECTIONS = 50


@dataclass(frozen=True, slots=True)
class Count:
    """Answers of one node with one version since the comparison began. Numbers from outside: checked before use."""

    node: str
    n: float
    bad: float
    newest_ms: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was counted for both arms, when it was read, and what went wrong in reading it (empty: nothing).
    `…_requests` count requests; bad ones failed on the node, or were refused in a form that its versions take."""

    canary: tuple[Count, ...] = ()
    baseline: tuple[Count, ...] = ()
    read_ms: int = 0
    error: str = ""
    canary_requests: tuple[Count, ...] = ()
    baseline_requests: tuple[Count, ...] = ()


@dataclass(frozen=True, slots=True)
class Arm:
    """`bad` of `n` answers, summed over nodes."""

    n: int = 0
    bad: int = 0

    @property
    def rate(self) -> float:
        return self.bad / self.n if self.n else math.nan


@dataclass(frozen=True, slots=True)
class Verdict:
    """`code` is one CamelCase word, `reason` a sentence. Bounds are of the bad rate, (low, high), 0..1."""

    outcome: Outcome
    code: str
    reason: str
    canary: Arm = Arm()
    baseline: Arm = Arm()
    canary_bounds: tuple[float, float] = (0.0, 1.0)
    baseline_bounds: tuple[float, float] = (0.0, 1.0)

    def to_json(self) -> dict[str, Any]:
        """{result, code, reason, canary: {n, bad}, baseline: {n, bad}, bounds: {canary: [ppm, ppm], baseline: …}}."""
        bounds = {"canary": _ppm(self.canary_bounds), "baseline": _ppm(self.baseline_bounds)}
        arms = {name: {"n": arm.n, "bad": arm.bad} for name, arm in self._arms()}
        return {"result": self.outcome.value, "code": self.code, "reason": self.reason, **arms, "bounds": bounds}

    def _arms(self) -> tuple[tuple[str, Arm], tuple[str, Arm]]:
        return ("canary", self.canary), ("baseline", self.baseline)


def verdict(evidence: Evidence | None, analysis: Analysis, *, now_ms: int) -> Verdict:
    """Pass: surely less than `margin` worse. Fail: surely more than `harm` worse. Otherwise, and whenever anything is
    missing, old or no number: Inconclusive; counts that cannot be: Error."""
    if evidence is None:
        return Verdict(Outcome.INCONCLUSIVE, "Missing", "nothing was measured yet")
    if evidence.error:
        return Verdict(Outcome.ERROR, "ProviderError", f"the evidence could not be read: {evidence.error}")
    if now_ms - evidence.read_ms > STALE_READ_MS:
        age_s = (now_ms - evidence.read_ms) // 1000
        return Verdict(Outcome.INCONCLUSIVE, "Stale", f"the evidence was read {age_s} s ago")
    for name, counts in (("canary", evidence.canary), ("baseline", evidence.baseline)):
        if (unusable := _check(name, counts, now_ms)) is not None:
            return unusable
    return _compare(evidence.canary, evidence.baseline, analysis)


def objection(evidence: Evidence | None, analysis: Analysis, *, now_ms: int) -> Verdict | None:
    """Do requests fail that did not fail before? Fail: surely more than `harm` more often than with the version before;
    Inconclusive: it looks so. None, nothing against the canary: also where nothing was counted, for then nobody was
    answered before either."""
    if evidence is None or evidence.error or now_ms - evidence.read_ms > STALE_READ_MS:
        return None  # `verdict` says so
    for name, counts in (("canary", evidence.canary_requests), ("baseline", evidence.baseline_requests)):
        if (impossible := _impossible(name, counts)) is not None:
            return impossible
    c, b = capped(evidence.canary_requests), capped(evidence.baseline_requests)
    alpha, harm = analysis.alpha_ppm / 1e6 / 2, analysis.harm_permille / 1000
    c_bounds, b_bounds = bounds(c, alpha), bounds(b, alpha)
    rates = f"{c.rate:.1%} of {c.n} requests failed or were refused, {b.rate:.1%} of {b.n} with the version before"

    def judged(outcome: Outcome, code: str, reason: str) -> Verdict:
        return Verdict(outcome, code, reason, c, b, c_bounds, b_bounds)

    if not b.n or c.bad < FEW_FAILURES or c.rate - b.rate <= harm:
        return None
    if c_bounds[0] - b_bounds[1] <= harm:
        return judged(Outcome.INCONCLUSIVE, "RequestsMayFail", f"{rates}: worse, but not yet surely")
    if _alone(evidence.canary_requests, evidence.baseline_requests, lambda worse: worse <= harm):
        return judged(Outcome.INCONCLUSIVE, "OneNodeDecides", f"{rates}: worse, but only because of one node")
    return judged(Outcome.FAIL, "RequestsFail", f"{rates}: surely worse by more than {harm:.1%}")


def bounds(arm: Arm, alpha: float) -> tuple[float, float]:
    """The confidence sequence of the true rate at this moment: (low, high) in 0..1, 0 < alpha < 1."""
    if arm.n == 0:
        return 0.0, 1.0
    limit = -math.log(alpha)
    low = 0.0 if arm.bad == 0 else _edge(arm, limit, 0.0)
    high = 1.0 if arm.bad == arm.n else _edge(arm, limit, 1.0)
    return low, high


def capped(counts: Sequence[Count]) -> Arm:
    """The sum over nodes, no node weighing more than twice the lower median of those that counted anything."""
    sizes = sorted(count.n for count in counts if count.n > 0)
    if not sizes:
        return Arm()
    most = 2 * sizes[(len(sizes) - 1) // 2]
    n = bad = 0
    for count in counts:
        taken = min(count.n, most)
        n += round(taken)
        bad += round(count.bad * taken / count.n) if count.n else 0
    return Arm(n, min(n, bad))


def _compare(canary: Sequence[Count], baseline: Sequence[Count], analysis: Analysis) -> Verdict:
    c, b = capped(canary), capped(baseline)
    alpha = analysis.alpha_ppm / 1e6 / 2
    c_bounds, b_bounds = bounds(c, alpha), bounds(b, alpha)
    margin, harm = analysis.margin_permille / 1000, analysis.harm_permille / 1000
    rates = f"canary {_rate(c)}, baseline {_rate(b)}"

    def judged(outcome: Outcome, code: str, reason: str) -> Verdict:
        return Verdict(outcome, code, reason, c, b, c_bounds, b_bounds)

    if min(c.n, b.n) < analysis.min_samples:
        return judged(Outcome.INCONCLUSIVE, "TooFewSamples", f"{rates}: {analysis.min_samples} of each are asked for")
    if c_bounds[0] - b_bounds[1] > harm:
        if _alone(canary, baseline, lambda worse: worse <= harm):
            return judged(Outcome.INCONCLUSIVE, "OneNodeDecides", f"{rates}: worse, but only because of one node")
        return judged(Outcome.FAIL, "Worse", f"{rates}: surely worse by more than {harm:.1%}")
    if c_bounds[1] - b_bounds[0] < margin:
        if _alone(canary, baseline, lambda worse: worse >= margin):
            return judged(Outcome.INCONCLUSIVE, "OneNodeDecides", f"{rates}: not worse, but only because of one node")
        return judged(Outcome.PASS, "NotWorse", f"{rates}: surely less than {margin:.1%} worse")
    return judged(Outcome.INCONCLUSIVE, "NotYetSure", f"{rates}: not yet sure either way")


def _alone(canary: Sequence[Count], baseline: Sequence[Count], turned: Callable[[float], bool]) -> bool:
    """Does leaving out one node of an arm that has several turn the observed difference?"""
    for arm, other, sign in ((canary, baseline, 1), (baseline, canary, -1)):
        counted = [count for count in arm if count.n > 0]
        rest = capped(other).rate
        for left_out in counted if len(counted) > 1 else ():
            rate = capped([count for count in counted if count is not left_out]).rate
            if turned(sign * (rate - rest)):
                return True
    return False


def _check(name: str, counts: Sequence[Count], now_ms: int) -> Verdict | None:
    """Why an arm cannot be used, or None."""
    if (impossible := _impossible(name, counts)) is not None:
        return impossible
    newest = max((count.newest_ms for count in counts if count.n > 0), default=None)
    if newest is None:
        return Verdict(Outcome.INCONCLUSIVE, "Missing", f"nothing was measured on the {name} yet")
    if now_ms - newest > STALE_SAMPLE_MS:
        text = f"the newest answer of the {name} is {(now_ms - newest) // 1000} s old"
        return Verdict(Outcome.INCONCLUSIVE, "Stale", text)
    return None


def _impossible(name: str, counts: Sequence[Count]) -> Verdict | None:
    """Why these are no counts, or None."""
    for count in counts:
        if not (math.isfinite(count.n) and math.isfinite(count.bad)):
            return Verdict(Outcome.INCONCLUSIVE, "NotANumber", f"{count.node} reported no finite number for the {name}")
        if not 0 <= count.bad <= count.n:
            text = f"{count.node} reported {count.bad:g} bad of {count.n:g} answers for the {name}: that cannot be"
            return Verdict(Outcome.ERROR, "Impossible", text)
    return None


def _edge(arm: Arm, limit: float, outer: float) -> float:
    """Where log M crosses `limit` between the observed rate and `outer`, by bisection: log M is convex in p."""
    inner = arm.rate
    mixture = _log_beta(PRIOR + arm.bad, PRIOR + arm.n - arm.bad) - _log_beta(PRIOR, PRIOR)
    for _ in range(_BISECTIONS):
        p = (inner + outer) / 2
        if mixture - _log_power(p, arm.bad) - _log_power(1 - p, arm.n - arm.bad) < limit:
            inner = p
        else:
            outer = p
    return outer


def _log_power(p: float, k: int) -> float:
    """log(p^k), 0 for k = 0 whatever p is."""
    return k * math.log(p) if k and p > 0 else (0.0 if k == 0 else -math.inf)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _rate(arm: Arm) -> str:
    return f"{arm.rate:.1%} bad of {arm.n}"


def _ppm(pair: tuple[float, float]) -> list[int]:
    return [round(value * 1e6) for value in pair]
