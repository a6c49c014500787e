"""What the nodes' answers say about two versions: counters of labelled answers and of requests, as the evidence that
`core` judges.

Counters that cannot be read make evidence with an error in it, never none and never zero.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from skerry.adapters.fleetstate.protocol import FleetState
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
    fleetstate: FleetState,
    model: str,
    canary: Arm,
    baseline: Arm,
    before: Arm,
    *,
    now_ms: int,
    excluded: Collection[str] = (),
) -> evidence.Evidence:
    """Answers and disagreements of `canary` and `baseline`, but for those of `excluded` nodes, requests and failures of
    `canary` and `before`, node by node."""
    try:
        return evidence.Evidence(
            canary=_count(fleetstate, _ANSWERS, model, _without(canary, excluded), now_ms),
            baseline=_count(fleetstate, _ANSWERS, model, _without(baseline, excluded), now_ms),
            read_ms=now_ms,
            canary_requests=_count(fleetstate, _REQUESTS, model, canary, now_ms),
            baseline_requests=_count(fleetstate, _REQUESTS, model, before, now_ms),
        )
    except errors.UnavailableError as exc:
        return evidence.Evidence(read_ms=now_ms, error=str(exc))


def _without(arm: Arm, excluded: Collection[str]) -> Arm:
    return replace(arm, nodes=[node for node in arm.nodes if node not in excluded])


def _count(fleetstate: FleetState, counters: _Counters, model: str, arm: Arm, now_ms: int) -> tuple[arms.Count, ...]:
    last = now_ms // counters.bucket_ms
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
                newest_ms = min(now_ms, (bucket + 1) * counters.bucket_ms)
            n, bad = n + fields.get(contract.ANSWERS, 0), bad + fields.get(contract.BAD_ANSWERS, 0)
        counts.append(arms.Count(node, n, bad, newest_ms))
    return tuple(counts)
