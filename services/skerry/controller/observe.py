"""What the nodes' answers say about two versions: counters of labelled answers, as the evidence that `core` judges.

Counters that cannot be read make evidence with an error in it, never none and never zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from skerry.adapters.fleetstate.protocol import FleetState
from skerry.core import contract, errors, evidence

MAX_BUCKETS = 4320  # six hours of answers; older ones of a long wave no longer count


@dataclass(frozen=True, slots=True)
class Arm:
    """Nodes whose answers with the version of `digest` are counted from `since_ms` on."""

    digest: str
    nodes: Sequence[str]
    since_ms: int


def count(fleetstate: FleetState, model: str, canary: Arm, baseline: Arm, *, now_ms: int) -> evidence.Evidence:
    """Answers and disagreements of both arms, node by node."""
    try:
        return evidence.Evidence(
            canary=_count(fleetstate, model, canary, now_ms),
            baseline=_count(fleetstate, model, baseline, now_ms),
            read_ms=now_ms,
        )
    except errors.UnavailableError as exc:
        return evidence.Evidence(read_ms=now_ms, error=str(exc))


def _count(fleetstate: FleetState, model: str, arm: Arm, now_ms: int) -> tuple[evidence.Count, ...]:
    """A bucket that began before `since_ms` is left out: it may hold answers from before the swap."""
    last = contract.evidence_bucket(now_ms)
    first = max(-(-arm.since_ms // contract.EVIDENCE_BUCKET_MS), last - MAX_BUCKETS + 1)
    buckets = range(first, last + 1)
    keys = [contract.evidence_counter(model, arm.digest, node, bucket) for node in arm.nodes for bucket in buckets]
    counted = iter(fleetstate.count(keys) if keys else ())
    found = []
    for node in arm.nodes:
        n = bad = newest_ms = 0
        for bucket in buckets:
            fields = next(counted)
            if fields.get(contract.ANSWERS, 0):
                newest_ms = min(now_ms, (bucket + 1) * contract.EVIDENCE_BUCKET_MS)
            n, bad = n + fields.get(contract.ANSWERS, 0), bad + fields.get(contract.BAD_ANSWERS, 0)
        found.append(evidence.Count(node, n, bad, newest_ms))
    return tuple(found)
