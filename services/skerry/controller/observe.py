"""What the nodes' answers say about two versions: counters of labelled answers and of requests, as the evidence that
`core` judges.

Counters that cannot be read make evidence with an error in it, never none and never zero.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from skerry.adapters.fleetstate.protocol import FleetState
from skerry.core import arms, contract, errors, evidence, evidence_counters, truth_delay

_REQUEST_BUCKETS = 4320  # a day and a half; no counter of requests lives as long
_RECENT_REQUEST_BUCKETS = 720  # six hours, of a rollout that lasts for days: each look reads one of each node
Spans = Sequence[evidence_counters.Span]


@dataclass(frozen=True, slots=True)
class Arm:
    """Nodes whose answers with the version of `digest` are counted from `since_ms` on."""

    digest: str
    nodes: Sequence[str]
    since_ms: int


def count(
    fleetstate: FleetState,
    model: str,
    canary: Arm,
    baseline: Arm,
    before: Arm,
    *,
    now_ms: int,
    excluded: Collection[str] = (),
    delay: truth_delay.TruthDelay = truth_delay.AT_ONCE,
) -> evidence.Evidence:
    """Answers and bad ones of `canary` and `baseline`, but for those of `excluded` nodes, requests and failures of
    `canary` and `before`, node by node. The truth of an answer takes `delay`."""

    def answers(arm: Arm) -> tuple[arms.Count, ...]:
        spans = evidence_counters.spans_since(arm.since_ms, now_ms, delay)
        return _count(fleetstate, spans, model, _without(arm, excluded), now_ms)

    def requests(arm: Arm) -> tuple[arms.Count, ...]:
        limit = _RECENT_REQUEST_BUCKETS if delay.is_late else _REQUEST_BUCKETS
        return _count(fleetstate, _request_spans(arm.since_ms, now_ms, limit), model, arm, now_ms)

    try:
        return evidence.Evidence(
            canary=answers(canary),
            baseline=answers(baseline),
            read_ms=now_ms,
            canary_requests=requests(canary),
            baseline_requests=requests(before),
        )
    except errors.UnavailableError as exc:
        return evidence.Evidence(read_ms=now_ms, error=str(exc))


def _without(arm: Arm, excluded: Collection[str]) -> Arm:
    return replace(arm, nodes=[node for node in arm.nodes if node not in excluded])


def _request_spans(since_ms: int, now_ms: int, limit: int) -> Spans:
    """Buckets of requests are long, and the digest alone says which version they met: the first one counts too."""
    last = contract.requests_bucket(now_ms)
    first = max(contract.requests_bucket(since_ms), last - limit + 1)
    return (evidence_counters.Span(contract.REQUESTS_BUCKET_MS, first, last + 1, contract.requests_counter),)


def _count(fleetstate: FleetState, spans: Spans, model: str, arm: Arm, now_ms: int) -> tuple[arms.Count, ...]:
    buckets = [(span, bucket) for span in spans for bucket in range(span.first, span.stop)]
    keys = [span.key(model, arm.digest, node, bucket) for node in arm.nodes for span, bucket in buckets]
    counted = iter(fleetstate.count(keys) if keys else ())
    counts = []
    for node in arm.nodes:
        n = bad = newest_ms = 0
        for span, bucket in buckets:
            fields = next(counted)
            if fields.get(contract.ANSWERS, 0):
                newest_ms = min(now_ms, (bucket + 1) * span.bucket_ms)
            n, bad = n + fields.get(contract.ANSWERS, 0), bad + fields.get(contract.BAD_ANSWERS, 0)
        counts.append(arms.Count(node, n, bad, newest_ms))
    return tuple(counts)
