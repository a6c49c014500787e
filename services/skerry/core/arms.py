"""One side of a comparison: what its nodes counted, as one arm with bounds of its true rate.

A rate is bounded by a confidence sequence, which holds at all times at once, so that looking often does not make a
false alarm likely:

    M(p) = B(a + bad, b + n - bad) / (B(a, b) p^bad (1 - p)^(n - bad)),   {p : M(p) < 1 / alpha},   a = b = 1/2

the beta-binomial mixture (Robbins, "Statistical methods related to the law of the iterated logarithm", Annals of
Mathematical Statistics 41, 1970; Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic
confidence sequences", Annals of Statistics 49, 2021).

No node weighs more than twice the (lower) median node, or than that node itself where one may be hostile; there, of
three and more, the one that surely lies apart from all the others together can be set aside.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PRIOR = 0.5
_BISECTIONS = 50
_SUSPECTS = 3


@dataclass(frozen=True, slots=True)
class Count:
    """Answers of one node with one version since the comparison began. Numbers from outside: checked before use."""

    node: str
    n: float
    bad: float
    newest_ms: int


@dataclass(frozen=True, slots=True)
class Arm:
    """`bad` of `n` answers, summed over nodes."""

    n: int = 0
    bad: int = 0

    @property
    def rate(self) -> float:
        return self.bad / self.n if self.n else math.nan


NO_ARM = Arm()


def bounds(arm: Arm, alpha: float) -> tuple[float, float]:
    """The confidence sequence of the true rate at this moment: (low, high) in 0..1, 0 < alpha < 1."""
    if arm.n == 0:
        return 0.0, 1.0
    limit = -math.log(alpha)
    low = 0.0 if arm.bad == 0 else _edge(arm, limit, 0.0)
    high = 1.0 if arm.bad == arm.n else _edge(arm, limit, 1.0)
    return low, high


def median_n(counts: Sequence[Count]) -> float:
    """How many answers the lower median node has, of those that counted anything; 0: none did."""
    sizes = sorted(count.n for count in counts if count.n > 0)
    return sizes[(len(sizes) - 1) // 2] if sizes else 0


def capped(counts: Sequence[Count], limit: float | None = None) -> Arm:
    """The sum over nodes, none weighing more than `limit` (None: twice the median of these)."""
    limit = 2 * median_n(counts) if limit is None else limit
    shares = [_share(count, limit) for count in counts]
    n = sum(answers for answers, _ in shares)
    return Arm(n, min(n, sum(bad for _, bad in shares)))


def rates_without_one(counts: Sequence[Count], limit: float | None = None) -> Iterator[float]:
    """The rate of `capped` when one node is left out, for each that counted anything, in O(n log n): without one of
    them the median is one of two numbers."""
    counted = sorted((count for count in counts if count.n > 0), key=lambda count: count.n)
    if len(counted) < 2:
        return
    middle = (len(counted) - 2) // 2  # of what is left; the first `middle` + 1 make way for the next one
    for left_out, median in ((slice(middle + 1), counted[middle + 1].n), (slice(middle + 1, None), counted[middle].n)):
        shares = [_share(count, 2 * median if limit is None else limit) for count in counted]
        n, bad = sum(answers for answers, _ in shares), sum(bad for _, bad in shares)
        for own_n, own_bad in shares[left_out]:
            yield Arm(n - own_n, min(n - own_n, bad - own_bad)).rate


def outlier(counts: Sequence[Count], limit: float, *, alpha: float, gap: float) -> Count | None:
    """Of three nodes and more the one whose rate surely lies farthest from that of all the others together, if by more
    than `gap`. None weighs more than `limit`; `alpha` is shared between all nodes, though only those that may be it are
    looked at closely."""
    counted = [count for count in counts if count.n > 0]
    if len(counted) < 3:
        return None
    whole, farthest = capped(counted, limit), None
    suspects = sorted(counted, key=lambda count: _roughly_apart(count, whole), reverse=True)
    for count in suspects[:_SUSPECTS]:
        own = capped([count], limit)
        rest = Arm(whole.n - own.n, whole.bad - own.bad)
        low, high = bounds(Arm(round(count.n), round(count.bad)), alpha / len(counted))
        rest_low, rest_high = bounds(rest, alpha / len(counted))
        apart = max(low - rest_high, rest_low - high)
        if apart > gap:
            gap, farthest = apart, count
    return farthest


def _share(count: Count, limit: float) -> tuple[int, int]:
    """(answers, bad ones) that a node weighs."""
    taken = min(count.n, limit)
    return round(taken), round(count.bad * taken / count.n) if count.n else 0


def _roughly_apart(count: Count, whole: Arm) -> float:
    """How far a node lies from all, less what chance explains: enough to say whom to look at."""
    return abs(count.bad / count.n - whole.rate) - 4 * math.sqrt(0.25 / count.n)


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
