"""Is the canary worse than the baseline? One verdict from counted answers, with four outcomes, valid at every look.

Each arm is a count of answers and of bad ones (that disagree with the label), or of requests and of failed ones; each
takes half of alpha (`core.arms`).

No node decides alone: a verdict that turns when any one node is left out is none. Where `judges` nodes are asked for
(large fleets), fewer say nothing, and of each arm the one node that surely lies apart from the others, or counted what
cannot be, is set aside and named: it neither turns a verdict nor holds it up. What follows from a verdict is
`core.rollout`'s business.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from skerry.core.arms import NO_ARM, Arm, Count, bounds, capped, median_n, outlier, rates_without_one
from skerry.core.gates import Outcome
from skerry.core.specs.strategy import Analysis
from skerry.core.truth_delay import AT_ONCE, TruthDelay

STALE_READ_MS = 60_000  # the counters themselves must have been read so recently
FEW_FAILURES = 3  # fewer failed requests than that hold no wave


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
class Verdict:
    """`code` is one CamelCase word, `reason` a sentence. Bounds are of the bad rate, (low, high), 0..1. `set_aside`:
    nodes that it does not rest on."""

    outcome: Outcome
    code: str
    reason: str
    canary: Arm = NO_ARM
    baseline: Arm = NO_ARM
    canary_bounds: tuple[float, float] = (0.0, 1.0)
    baseline_bounds: tuple[float, float] = (0.0, 1.0)
    set_aside: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """{result, code, reason, canary: {n, bad}, baseline: {n, bad}, bounds: {canary: [ppm, ppm], baseline: …},
        setAside: [node]} (the last when there is one)."""
        bounds = {"canary": _ppm(self.canary_bounds), "baseline": _ppm(self.baseline_bounds)}
        arms = {name: {"n": arm.n, "bad": arm.bad} for name, arm in self._arms()}
        aside = {"setAside": list(self.set_aside)} if self.set_aside else {}
        shown = {"result": self.outcome.value, "code": self.code, "reason": self.reason, **arms, "bounds": bounds}
        return shown | aside

    def _arms(self) -> tuple[tuple[str, Arm], tuple[str, Arm]]:
        return ("canary", self.canary), ("baseline", self.baseline)


def verdict(
    evidence: Evidence | None, analysis: Analysis, *, now_ms: int, judges: int = 1, delay: TruthDelay = AT_ONCE
) -> Verdict:
    """Pass: surely less than `margin` worse. Fail: surely more than `harm` worse. Otherwise, and whenever anything is
    missing, old, no number or of fewer than `judges` nodes: Inconclusive; counts that cannot be: Error. The truth of an
    answer is due after `delay`, and an answer is not old before."""
    if evidence is None:
        return Verdict(Outcome.INCONCLUSIVE, "Missing", "nothing was measured yet")
    if evidence.error:
        return Verdict(Outcome.ERROR, "ProviderError", f"the evidence could not be read: {evidence.error}")
    if now_ms - evidence.read_ms > STALE_READ_MS:
        age_s = (now_ms - evidence.read_ms) // 1000
        return Verdict(Outcome.INCONCLUSIVE, "Stale", f"the evidence was read {age_s} s ago")
    gap, alpha = analysis.margin_permille / 4000, analysis.alpha_ppm / 1e6 / 2
    sides = []
    for name, counts in (("canary", evidence.canary), ("baseline", evidence.baseline)):
        side = _side(counts, judges, alpha, gap)
        if (unusable := _check(name, side, now_ms, delay)) is not None:
            return unusable
        if side.nodes < judges:
            text = f"answers of {side.nodes} nodes were counted on the {name}: {judges} are asked for in a large fleet"
            return Verdict(Outcome.INCONCLUSIVE, "TooFewNodes", text)
        sides.append(side)
    return _compare(sides[0], sides[1], analysis)


def objection(evidence: Evidence | None, analysis: Analysis, *, now_ms: int, judges: int = 1) -> Verdict | None:
    """Do requests fail that did not fail before? Fail: surely more than `harm` more often than with the version before;
    Inconclusive: it looks so. None, nothing against the canary: also where nothing was counted, for then nobody was
    answered before either, and where fewer than `judges` nodes counted."""
    if evidence is None or evidence.error or now_ms - evidence.read_ms > STALE_READ_MS:
        return None  # `verdict` says so
    alpha, harm = analysis.alpha_ppm / 1e6 / 2, analysis.harm_permille / 1000
    canary = _side(evidence.canary_requests, judges, alpha, harm / 4)
    before = _side(evidence.baseline_requests, judges, alpha, harm / 4)
    for name, side in (("canary", canary), ("baseline", before)):
        if (impossible := _impossible(name, side.counts)) is not None:
            return impossible
    if canary.nodes < judges:
        return None
    c, b = canary.arm, before.arm
    c_bounds, b_bounds = bounds(c, alpha), bounds(b, alpha)
    rates = f"{c.rate:.1%} of {c.n} requests failed or were refused, {b.rate:.1%} of {b.n} with the version before"

    def judged(outcome: Outcome, code: str, reason: str) -> Verdict:
        plain = Verdict(outcome, code, reason, c, b, c_bounds, b_bounds)
        return _naming(plain, (*canary.set_aside, *before.set_aside))

    if not b.n or c.bad < FEW_FAILURES or c.rate - b.rate <= harm:
        return None
    if c_bounds[0] - b_bounds[1] <= harm:
        return judged(Outcome.INCONCLUSIVE, "RequestsMayFail", f"{rates}: worse, but not yet surely")
    if _alone(canary, before, lambda worse: worse <= harm):
        return judged(Outcome.INCONCLUSIVE, "OneNodeDecides", f"{rates}: worse, but only because of one node")
    return judged(Outcome.FAIL, "RequestsFail", f"{rates}: surely worse by more than {harm:.1%}")


@dataclass(frozen=True, slots=True)
class _Side:
    """What a verdict rests on of one arm, and what it does not. `nodes`: how many counted anything, both together.
    `limit`: how much one may weigh, when any one is left out too (None: as those that are left say)."""

    counts: Sequence[Count]
    set_aside: tuple[Count, ...] = ()
    nodes: int = 0
    limit: float | None = None

    @property
    def arm(self) -> Arm:
        return capped(self.counts, self.limit)


def _side(counts: Sequence[Count], judges: int, alpha: float, gap: float) -> _Side:
    """The nodes that count. Where one judge is enough, that is all of them."""
    if judges == 1:
        return _Side(counts, nodes=sum(count.n > 0 for count in counts))
    usable = [count for count in counts if _possible(count)]
    aside = [count for count in counts if not _possible(count)]
    limit = median_n(usable)
    if (apart := outlier(usable, limit, alpha=alpha, gap=gap)) is not None:
        usable.remove(apart)
        aside.append(apart)
    return _Side(usable, tuple(aside), sum(count.n > 0 for count in usable) + len(aside), limit)


def _compare(canary: _Side, baseline: _Side, analysis: Analysis) -> Verdict:
    c, b = canary.arm, baseline.arm
    alpha = analysis.alpha_ppm / 1e6 / 2
    c_bounds, b_bounds = bounds(c, alpha), bounds(b, alpha)
    margin, harm = analysis.margin_permille / 1000, analysis.harm_permille / 1000
    rates = f"canary {_rate(c)}, baseline {_rate(b)}"

    def judged(outcome: Outcome, code: str, reason: str) -> Verdict:
        plain = Verdict(outcome, code, reason, c, b, c_bounds, b_bounds)
        return _naming(plain, (*canary.set_aside, *baseline.set_aside))

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


def _naming(plain: Verdict, aside: Sequence[Count]) -> Verdict:
    """The verdict with the nodes that it does not rest on, in words too."""
    if not aside:
        return plain
    told = [f"{count.node} ({count.bad:g} bad of {count.n:g})" for count in aside]
    text = f"{plain.reason}; set aside, for it lies apart from all others of its side, or cannot be: {', '.join(told)}"
    return replace(plain, reason=text, set_aside=tuple(dict.fromkeys(count.node for count in aside)))


def _alone(canary: _Side, baseline: _Side, turned: Callable[[float], bool]) -> bool:
    """Does leaving out one node of an arm that has several turn the observed difference?"""
    for side, other, sign in ((canary, baseline, 1), (baseline, canary, -1)):
        rest = capped(other.counts, other.limit).rate
        if any(turned(sign * (rate - rest)) for rate in rates_without_one(side.counts, side.limit)):
            return True
    return False


def _check(name: str, side: _Side, now_ms: int, delay: TruthDelay) -> Verdict | None:
    """Why an arm cannot be used, or None."""
    if (impossible := _impossible(name, side.counts)) is not None:
        return impossible
    newest = max((count.newest_ms for count in side.counts if count.n > 0), default=None)
    if newest is None:
        due = f": the truth of an answer is due {told} after it" if (told := delay.told()) else ""
        return Verdict(Outcome.INCONCLUSIVE, "Missing", f"nothing was measured on the {name} yet{due}")
    if now_ms - newest > delay.max_age_ms:
        due = f", and its truth was due after {told}" if (told := delay.told()) else ""
        text = f"the newest answer of the {name} is {(now_ms - newest) // 1000} s old{due}"
        return Verdict(Outcome.INCONCLUSIVE, "Stale", text)
    return None


def _possible(count: Count) -> bool:
    return math.isfinite(count.n) and math.isfinite(count.bad) and 0 <= count.bad <= count.n


def _impossible(name: str, counts: Sequence[Count]) -> Verdict | None:
    """Why these are no counts, or None."""
    for count in counts:
        if not (math.isfinite(count.n) and math.isfinite(count.bad)):
            return Verdict(Outcome.INCONCLUSIVE, "NotANumber", f"{count.node} reported no finite number for the {name}")
        if not 0 <= count.bad <= count.n:
            text = f"{count.node} reported {count.bad:g} bad of {count.n:g} answers for the {name}: that cannot be"
            return Verdict(Outcome.ERROR, "Impossible", text)
    return None


def _rate(arm: Arm) -> str:
    return f"{arm.rate:.1%} bad of {arm.n}"


def _ppm(pair: tuple[float, float]) -> list[int]:
    return [round(value * 1e6) for value in pair]
