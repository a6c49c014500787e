"""What the nodes' answers say about two versions: counters of labelled answers and of requests, as the evidence that
`core` judges.

Counters that cannot be read make evidence with an error in it, never none and never zero.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from skerry.adapters.fleetstate.protocol import FleetState
from skerry.controller import stopwatch
from skerry.core import arms, contract, errors, evidence

MAX_BUCKETS = 4320  # six hours of answers; older ones of a long wave no longer count


@dataclass(frozen=True, slots=True)
class Arm:
    """Nodes whose answers with the version of `digest` are counted from `since_ms` on."""

    digest: str
    nodes: Sequence[str]
    since_ms: int


@dataclass(frozen=True, slots=True)
class _Counters:
    """A kind of counter: `key(model, digest, node, bucket)`, and the first bucket that counts from a moment on."""

    bucket_ms: int
    key: Callable[[str, str, str, int], str]
    first: Callable[[int], int]


# A bucket of answers that began before the comparison is left out: it may hold answers from before the swap. Requests
# have long buckets, and the digest alone says which version they met.
_ANSWERS = _Counters(
    contract.EVIDENCE_BUCKET_MS, contract.evidence_counter, lambda since_ms: -(-since_ms // contract.EVIDENCE_BUCKET_MS)
)
_REQUESTS = _Counters(contract.REQUESTS_BUCKET_MS, contract.requests_counter, contract.requests_bucket)


def count(
    fleetstate: FleetState, model: str, canary: Arm, baseline: Arm, before: Arm, *, now_ms: int, until_ms: int = 0
) -> evidence.Evidence:
    """Answers and disagreements of `canary` and `baseline`, requests and failures of `canary` and `before`, node by
    node. Buckets are counted up to `now_ms`, or up to `until_ms` where that is later: a wall clock that was set back
    hides no answer."""
    end_ms = max(now_ms, until_ms)
    try:
        return evidence.Evidence(
            canary=_count(fleetstate, _ANSWERS, model, canary, end_ms),
            baseline=_count(fleetstate, _ANSWERS, model, baseline, end_ms),
            read_ms=now_ms,
            canary_requests=_count(fleetstate, _REQUESTS, model, canary, end_ms),
            baseline_requests=_count(fleetstate, _REQUESTS, model, before, end_ms),
        )
    except errors.UnavailableError as exc:
        return evidence.Evidence(read_ms=now_ms, error=str(exc))


def _count(fleetstate: FleetState, counters: _Counters, model: str, arm: Arm, end_ms: int) -> tuple[arms.Count, ...]:
    last = end_ms // counters.bucket_ms
    first = max(counters.first(arm.since_ms), last - MAX_BUCKETS + 1)
    buckets = range(first, last + 1)
    keys = [counters.key(model, arm.digest, node, bucket) for node in arm.nodes for bucket in buckets]
    counted = iter(fleetstate.count(keys) if keys else ())
    counts = []
    for node in arm.nodes:
        n = bad = newest_ms = 0
        for bucket in buckets:
            fields = next(counted)
            if fields.get(contract.ANSWERS, 0):
                newest_ms = (bucket + 1) * counters.bucket_ms
            n, bad = n + fields.get(contract.ANSWERS, 0), bad + fields.get(contract.BAD_ANSWERS, 0)
        counts.append(arms.Count(node, n, bad, newest_ms))
    return tuple(counts)


def with_ages(found: evidence.Evidence, watch: stopwatch.Stopwatch, *, now_ms: int, mono_ms: int) -> evidence.Evidence:
    """`found` with how old its newest answers are by the monotonic clock: since this process saw one come, by stamps
    only for what it did not see."""

    def aged(arm: str, counts: Sequence[arms.Count]) -> tuple[arms.Count, ...]:
        made = []
        for count in counts:
            if count.newest_ms:
                first_ms = max(0, now_ms - count.newest_ms)
                age_ms = watch.age_ms((arm, count.node), count.newest_ms, mono_ms=mono_ms, first_ms=first_ms)
                count = replace(count, newest_ms=now_ms - age_ms)
            made.append(count)
        return tuple(made)

    return replace(found, canary=aged("canary", found.canary), baseline=aged("baseline", found.baseline))
