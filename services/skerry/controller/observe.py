"""What the nodes' answers say about two versions: counters of labelled answers and of requests, as the evidence that
`core` judges.

Counters that cannot be read make evidence with an error in it, never none and never zero.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from skerry.adapters.fleetstate.protocol import FleetState
from skerry.core import arms, contract, errors, evidence, evidence_counters, truth_delay
from skerry.core.contract import Counted


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
    `canary` and `before`, node by node. The comparison began when `canary` did; an arm since another moment is of the
    past. The truth of an answer takes `delay`."""

    def read(kind: Counted, arm: Arm, delay: truth_delay.TruthDelay) -> tuple[arms.Count, ...]:
        if not arm.nodes:
            return ()
        if arm.since_ms == canary.since_ms:
            counters = [contract.comparison_counter(kind, model, arm.digest, arm.since_ms)]
        else:
            counters = evidence_counters.past(kind, model, arm.digest, arm.since_ms, now_ms, delay)
        fields = evidence_counters.fields_of(arm.nodes) if arm is before else ()  # few nodes, of all that there are
        return evidence_counters.counts(fleetstate.count(counters, fields), arm.nodes, now_ms)

    try:
        return evidence.Evidence(
            canary=read(Counted.ANSWERS, _without(canary, excluded), delay),
            baseline=read(Counted.ANSWERS, _without(baseline, excluded), delay),
            read_ms=now_ms,
            canary_requests=read(Counted.REQUESTS, canary, truth_delay.AT_ONCE),
            baseline_requests=read(Counted.REQUESTS, before, truth_delay.AT_ONCE),
        )
    except errors.UnavailableError as exc:
        return evidence.Evidence(read_ms=now_ms, error=str(exc))


def _without(arm: Arm, excluded: Collection[str]) -> Arm:
    return replace(arm, nodes=[node for node in arm.nodes if node not in excluded])
