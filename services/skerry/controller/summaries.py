"""How fleets and models stand, for people who look at them: nodes online and offline, whether a model is served.

Written only when it changes; decisions read none of it. Also stamps objects whose spec moved on without another change
of their status, so that a caller that waits for a condition knows that it speaks of what was asked last.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from skerry.adapters.objects.protocol import Json, Object
from skerry.controller import condition_json, fleet_counts, signatures
from skerry.controller.store import Store
from skerry.core import conditions, errors, label_backlog, liveness, membership, privacy, specs

_STAMPED = ("EdgeFleet", "EdgeModel", "ModelVersion", "ModelRollout", "TrainingRun")


def step(
    store: Store,
    counts: fleet_counts.FleetCounts,
    *,
    now_ms: int,
    mono_ms: int,
    trust: signatures.TrustStatus | None = None,
    labels: Mapping[str, label_backlog.Standing] | None = None,
) -> None:
    """One look at everything. `counts`: when which fleet's were written; `mono_ms`: a monotonic clock. `trust`: of the
    model repository, once somebody looked; `labels`: by model, of those whose curator tells how far they are; None:
    nobody knows."""
    nodes, fleets, listed = _nodes(store), set[str](), store.list("EdgeFleet")
    for thing in listed:
        status = fleet_status(thing, nodes, now_ms=now_ms)
        if counts.is_due(thing, status, mono_ms):
            store.put_status(thing, status)
        if not condition_json.has(status, "Ready", "False", "Invalid"):
            fleets.add(thing.name)
    counts.keep({thing.name for thing in listed})
    for thing in store.list("EdgeModel"):
        status = trusted(model_status(thing, fleets, now_ms=now_ms), trust, now_ms)
        status = permitted(status, thing, now_ms=now_ms)
        if labels is not None:
            status = labelled(status, labels.get(thing.name), now_ms)
        store.put_status(thing, status)
    for kind in _STAMPED:
        for thing in store.list(kind):
            if thing.status.get("observedGeneration", thing.generation) != thing.generation:
                store.put_status(thing, thing.status)


def fleet_status(thing: Object, nodes: Sequence[specs.EdgeNode], *, now_ms: int) -> Json:
    """EdgeFleet.status: how many of `nodes`, the members, it selects, and how many of them are there."""
    try:
        fleet = specs.parse_fleet(thing.name, thing.spec)
    except errors.InputError as exc:
        return condition_json.with_condition(thing.status, "Ready", "False", "Invalid", str(exc), now_ms)
    states = [_state(node, fleet, now_ms) for node in nodes if fleet.selects(node)]
    gone = sum(state in (liveness.State.OFFLINE, liveness.State.UNKNOWN) for state in states)
    counts = {"nodes": len(states), "online": len(states) - gone, "offline": gone}
    if not states and fleet.selector:
        wanted = ", ".join(f"{key}={value}" for key, value in sorted(fleet.selector.items()))
        return _ready(thing.status | counts, "False", "NoNodes", f"no node has the labels {wanted}", now_ms)
    if not states:  # how each installation begins: `helm install --wait` waits until the fleet of its chart is Ready
        return _ready(thing.status | counts, "True", "NoNodes", "no node has joined yet", now_ms)
    return _ready(thing.status | counts, "True", "NodesSelected", f"{len(states)} nodes are selected", now_ms)


def model_status(thing: Object, fleets: Collection[str], *, now_ms: int) -> Json:
    """EdgeModel.status with its Ready condition: it has a version that is settled as stable, and a fleet to serve it.
    `fleets`: names of those that can be read."""
    try:
        fleet = specs.parse_edge_model(thing.name, thing.spec).rollout.fleet
    except errors.InputError as exc:
        return _ready(thing.status, "False", "Invalid", str(exc), now_ms)
    if fleet not in fleets:
        return _ready(thing.status, "False", "FleetNotFound", specs.fleet_missing(fleet), now_ms)
    stable = str(thing.status.get("stableVersion", ""))
    if not stable:
        text = "no version has been rolled out yet: import one (`skerry models import`) or let a training run make one"
        return _ready(thing.status, "False", "NoVersion", text, now_ms)
    return _ready(thing.status, "True", "Served", f"{stable} is the stable version", now_ms)


def trusted(status: Json, trust: signatures.TrustStatus | None, now_ms: int) -> Json:
    """EdgeModel.status with what signatures are worth. People look at models, and all models share them."""
    if trust is None:
        return status
    return condition_json.with_condition(
        status, signatures.CONDITION, trust.status, trust.reason, trust.message, now_ms
    )


def permitted(status: Json, thing: Object, *, now_ms: int) -> Json:
    """EdgeModel.status with whether its privacy permits what its offload policy asks; nothing of a model that never
    named a privacy."""
    try:
        model = specs.parse_edge_model(thing.name, thing.spec)
    except errors.InputError:
        return status  # Ready tells
    known = conditions.find(conditions.from_json(status.get("conditions")), privacy.CONDITION)
    if model.privacy == privacy.OPEN and known is None:
        return status
    found = privacy.conflicts(model.privacy, model.offload.policy, model.offload.capture)
    told = ("False", privacy.FORBIDS, "; ".join(found)) if found else ("True", privacy.PERMITS, privacy.ALL)
    return condition_json.with_condition(status, privacy.CONDITION, *told, now_ms)


def labelled(status: Json, standing: label_backlog.Standing | None, now_ms: int) -> Json:
    """EdgeModel.status with how far labels are; of a curator that fell silent that it did."""
    if standing is None:
        if conditions.find(conditions.from_json(status.get("conditions")), label_backlog.CONDITION) is None:
            return status
        standing = label_backlog.SILENT
    return condition_json.with_condition(
        status, label_backlog.CONDITION, standing.status, standing.reason, standing.message, now_ms
    )


def _ready(status: Mapping[str, Any], value: str, reason: str, message: str, now_ms: int) -> Json:
    return condition_json.with_condition(status, "Ready", value, reason, message, now_ms)


def _nodes(store: Store) -> Sequence[specs.EdgeNode]:
    nodes = []
    for thing in store.list("EdgeNode"):
        try:
            nodes.append(store.nodes.of(thing))
        except errors.InputError:
            continue  # told of where nodes are planned for
    return membership.members(nodes)


def _state(node: specs.EdgeNode, fleet: specs.EdgeFleet, now_ms: int) -> liveness.State:
    seen = liveness.judge(
        connected=node.connected,
        last_seen_ms=node.last_seen_ms,
        now_ms=now_ms,
        offline_after_s=fleet.offline_after_s,
        heartbeat_s=node.heartbeat_s,
    )
    return seen.state
