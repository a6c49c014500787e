"""Where an answer or a request is counted, and which counters say what came since a moment.

A counter is of one version and one span of time, with fields for each node, so that their number does not grow with the
fleet. There are two kinds:

- of a comparison: all since the moment in which a rollout began to compare. Exact, and there only while one does;
- of a bucket of time: the past that a rollout may be compared with. What is asked for may begin within a bucket, which
  is counted whole: the past may be longer than asked, and is never shorter. Fine buckets are kept for an hour, coarse
  ones as long as anything counts.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from skerry.core import arms, contract
from skerry.core.contract import Counted
from skerry.core.truth_delay import TruthDelay

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_COARSE_BUCKETS = 128  # of late truths: so many cover the time in which answers count


class Counter(NamedTuple):
    """`lifetime_ms`: from when something was added last."""

    key: str
    lifetime_ms: int


class Level(NamedTuple):
    """Buckets of `width_ms`. They are asked for what came in the last `reach_ms`."""

    width_ms: int
    reach_ms: int

    @property
    def lifetime_ms(self) -> int:
        return self.reach_ms + 2 * self.width_ms


def levels(delay: TruthDelay) -> tuple[Level, ...]:
    """The finest first. Where truths come late, nothing is asked about the last hour."""
    if not delay.is_late:
        return Level(5 * _MINUTE_MS, _HOUR_MS), Level(_HOUR_MS, delay.lifetime_ms)
    return (Level(_HOUR_MS * math.ceil(delay.lifetime_ms / (_COARSE_BUCKETS * _HOUR_MS)), delay.lifetime_ms),)


def counters_of(
    kind: Counted, model: str, digest: str, at_ms: int, comparisons: Iterable[int], delay: TruthDelay
) -> Iterator[Counter]:
    """What something of `at_ms` is counted in. `comparisons`: since when the model's rollouts compare. Raises
    InputError for what is no digest."""
    for level in levels(delay):
        bucket = contract.bucket_counter(kind, model, digest, level.width_ms, at_ms // level.width_ms)
        yield Counter(bucket, level.lifetime_ms)
    yield from compared(kind, model, digest, at_ms, comparisons, delay)


def compared(
    kind: Counted, model: str, digest: str, at_ms: int, comparisons: Iterable[int], delay: TruthDelay
) -> Iterator[Counter]:
    """Those of comparisons alone. Raises InputError for what is no digest."""
    for since_ms in comparisons:
        if since_ms <= at_ms:
            yield Counter(contract.comparison_counter(kind, model, digest, since_ms), delay.lifetime_ms)


def past(kind: Counted, model: str, digest: str, since_ms: int, now_ms: int, delay: TruthDelay) -> list[str]:
    """The buckets with what came since then, the first one whole; no more than fit the level that reaches so far.
    Raises InputError for what is no digest."""
    reaching = [level for level in levels(delay) if now_ms - since_ms <= level.reach_ms]
    level = reaching[0] if reaching else levels(delay)[-1]
    first = max(since_ms, now_ms - level.reach_ms) // level.width_ms
    buckets = range(first, now_ms // level.width_ms + 1)
    return [contract.bucket_counter(kind, model, digest, level.width_ms, bucket) for bucket in buckets]


def fields_of(nodes: Iterable[str]) -> list[str]:
    """Of these nodes: answers or requests, and bad ones."""
    return [field for node in nodes for field in (node, contract.bad_field(node))]


def counts(found: Sequence[Mapping[str, int]], nodes: Iterable[str], now_ms: int) -> tuple[arms.Count, ...]:
    """The sum over the counters, node by node. Which node answered last is not kept: each counts as the newest."""
    told = (at_ms for fields in found for field, at_ms in fields.items() if contract.is_newest_field(field))
    newest_ms = min(now_ms, max(told, default=0))

    def of(node: str) -> arms.Count:
        n = sum(fields.get(node, 0) for fields in found)
        bad = sum(fields.get(contract.bad_field(node), 0) for fields in found)
        return arms.Count(node, n, bad, newest_ms if n else 0)

    return tuple(map(of, nodes))
