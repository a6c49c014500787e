"""EdgeNodes with their live readings as people see them: does each live, does it count, what does it serve."""

from collections.abc import Mapping, Sequence
from typing import Any

from skerry.adapters.objects import Object
from skerry.core import conditions, contract, join_tokens, liveness, membership, specs, uploads
from skerry.core.tasks import Task
from skerry.dashboard import fields, node_table, views

_NO_TASKS: Mapping[str, Task] = {}
Readings = Mapping[str, Mapping[str, Any]]
_RECENT_MS = 86_400_000
_ORDER = (liveness.State.OFFLINE, liveness.State.UNKNOWN, liveness.State.STALE, liveness.State.ONLINE)


def view(
    found: Sequence[Object],
    fleets: Sequence[Object],
    live: Readings,
    *,
    now_ms: int,
    tasks: Mapping[str, Task] = _NO_TASKS,
) -> Sequence[views.Node]:
    """Every node, those that need a look first. `tasks`: what each model answers, to tell how its answers did."""
    rows = node_table.NodeTable().read(found, fleets)
    return views_of(in_order(rows, now_ms), live, fleets, now_ms=now_ms, certificates=certificates(rows), tasks=tasks)


def certificates(rows: Sequence[node_table.Row]) -> bool:
    """Do these nodes, all that there are, have keys that may speak for them?"""
    return membership.uses_certificates(row.node for row in rows if row.node is not None)


def in_order(rows: Sequence[node_table.Row], now_ms: int) -> Sequence[node_table.Row]:
    """Those that need a look first, then by name."""
    by_state: dict[liveness.State, list[node_table.Row]] = {state: [] for state in _ORDER}
    for row in sorted(rows, key=lambda row: row.thing.name):
        by_state[row.state(now_ms)].append(row)
    return [row for state in _ORDER for row in by_state[state]]


def standing(row: node_table.Row, *, certificates: bool) -> membership.Standing:
    """One that cannot be read is not forgotten: it counts."""
    if row.node is None:
        return membership.Standing.MEMBER
    return membership.standing(row.node, certificates=certificates)


def views_of(
    rows: Sequence[node_table.Row],
    live: Readings,
    fleets: Sequence[Object],
    *,
    now_ms: int,
    certificates: bool,
    tasks: Mapping[str, Task] = _NO_TASKS,
) -> Sequence[views.Node]:
    """These nodes in full."""
    thresholds = node_table.readable_fleets(fleets)
    return [
        _unreadable(row.thing, row.fault)
        if row.node is None
        else _node(row.thing, row.node, standing(row, certificates=certificates), thresholds, live, now_ms, tasks)
        for row in rows
    ]


def keys_of(rows: Sequence[node_table.Row]) -> list[str]:
    """The keys of their live readings."""
    keys = [contract.spool_reading(row.thing.name) for row in rows]
    for row in rows:
        reports = row.node.reports if row.node is not None else ()
        keys += [contract.node_reading(row.thing.name, report.model) for report in reports]
    return keys


def _unreadable(thing: Object, fault: str) -> views.Node:
    unknown = liveness.Liveness(liveness.State.UNKNOWN, None, "its object cannot be read")
    return views.Node(thing.name, unknown, 0, False, "", [], None, fault)


def _node(
    thing: Object,
    node: specs.EdgeNode,
    standing: membership.Standing,
    fleets: Sequence[specs.EdgeFleet],
    live: Readings,
    now_ms: int,
    tasks: Mapping[str, Task],
) -> views.Node:
    return views.Node(
        name=node.name,
        liveness=liveness.judge(
            connected=node.connected,
            last_seen_ms=node.last_seen_ms,
            now_ms=now_ms,
            offline_after_s=min((fleet.offline_after_s for fleet in fleets if fleet.selects(node)), default=15),
            heartbeat_s=node.heartbeat_s,
        ),
        last_seen_ms=node.last_seen_ms,
        cordoned=node.cordoned,
        address=str(thing.status.get("servingAddress", "")),
        serving=[_serving(node.name, report, live, tasks) for report in node.reports],
        spool=_spool(live.get(contract.spool_reading(node.name))),
        standing=standing,
        waiting_key=join_tokens.waiting_key(node.approved_key, thing.status, now_ms=now_ms),
        approved_key=node.approved_key,
        certificate_ms=fields.whole(thing.status.get("certNotAfterUnixMs")),
        agent_version=str(thing.status.get("agentVersion", "")),
        labels=node.labels,
        conditions=conditions.from_json(thing.status.get("conditions")),
        refusals=_refusals(fields.mapping(thing.status.get("refusals")), now_ms),
        warnings=_warnings(thing.status.get("warnings")),
    )


def _warnings(told: object) -> list[views.Warning]:
    found = map(fields.mapping, told if isinstance(told, list) else [])
    return [
        views.Warning(
            str(one.get("model", "")),
            str(one.get("series", "")),
            fields.whole(one.get("sinceUnixMs")),
            str(one.get("message", "")),
        )
        for one in found
    ]


def _refusals(status: Mapping[str, Any], now_ms: int) -> views.Refusals | None:
    counts = {name: fields.whole(count) for name, count in fields.mapping(status.get("counts")).items()}
    if not any(counts.values()):
        return None
    at_ms = fields.whole(status.get("atUnixMs"))
    words = {fault.value: text for fault, text in uploads.TEXTS.items()}
    told = [(words.get(name, name), count) for name, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))]
    note = "uploads refused" if counts.keys() - {fault.value for fault in uploads.TAKEN} else ""
    if not note and uploads.Fault.CLOCK_OFF in counts:
        note = "its clock is wrong"
    return views.Refusals(told, str(status.get("message", "")), at_ms, note if now_ms - at_ms < _RECENT_MS else "")


def _serving(node: str, report: specs.ModelReport, live: Readings, tasks: Mapping[str, Task]) -> views.Serving:
    reading = _reading(live.get(contract.node_reading(node, report.model)))
    return views.Serving(
        model=report.model,
        version=report.version,
        digest=report.digest,
        target_state=report.target_state,
        target_digest=report.target_digest,
        reason=report.reason,
        reading=reading,
        accuracy=_accuracy(reading, tasks.get(report.model)),
    )


def _accuracy(reading: views.Reading | None, task: Task | None) -> str:
    if task is None or not task.waits_for_truth:
        return ""  # of classes no error is told, whatever a node writes
    if reading is None or reading.absolute_error is None or reading.coverage is None:
        return ""
    error, meant = task.truth_text((reading.absolute_error,)), f"{task.coverage:.0%} are meant to be"
    return f"{reading.truths} truths lately, mean error {error}, {reading.coverage:.0%} in the interval ({meant})"


def _reading(value: Mapping[str, Any] | None) -> views.Reading | None:
    if value is None:
        return None
    requests, truths = fields.whole(value.get("requests")), fields.whole(value.get("truths"))
    counts = value.get("confidenceCounts")
    return views.Reading(
        requests=requests,
        offload_rate=fields.whole(value.get("offloaded")) / requests if requests else None,
        degraded=fields.whole(value.get("degraded")),
        failed=fields.whole(value.get("failed")),
        confidence=[fields.whole(count) for count in counts] if isinstance(counts, list) else [],
        p50_ms=fields.real(value.get("p50Ms")) if requests else None,
        p99_ms=fields.real(value.get("p99Ms")) if requests else None,
        truths=truths,
        absolute_error=fields.real(value.get("absoluteError")) if truths else None,
        coverage=fields.real(value.get("coverage")) if truths else None,
    )


def _spool(value: Mapping[str, Any] | None) -> views.Spool | None:
    if value is None:
        return None
    names = ("pending", "pendingBytes", "captured", "dropped", "uploaded", "tooLarge")
    return views.Spool(*(fields.whole(value.get(name)) for name in names))
