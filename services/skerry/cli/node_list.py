"""The list of `skerry nodes` and all of one node: whether it is alive, whether it counts, what it serves, what was not
taken of its uploads."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skerry.adapters import fleetstate
from skerry.adapters.objects.protocol import Object
from skerry.cli import object_access, output, system_file
from skerry.core import contract, errors, liveness
from skerry.core.membership import Standing
from skerry.dashboard import edge_models, fields, node_table, nodes, views

_STATE_STYLES = {"Online": "green", "Stale": "yellow", "Offline": "red", "Unknown": "dim"}


PER_PAGE = 100


def show(as_json: bool, state: Path, page: int | None = None) -> None:
    """Print nodes in the order of their names: one page of them, the first if none is named; as JSON all of them."""
    system, now = system_file.read(state), object_access.now_ms()
    store = object_access.store_of(state)
    fleets = store.list("EdgeFleet")
    known = node_table.NodeTable().read(store.list("EdgeNode"), fleets)
    certificates = nodes.certificates(known)
    chosen = sorted(known, key=lambda row: row.thing.name)
    if not as_json or page is not None:
        chosen = chosen[PER_PAGE * ((page or 1) - 1) :][:PER_PAGE]
    seen = nodes.views_of(chosen, {}, fleets, now_ms=now, certificates=certificates)
    spools = _readings(system.redis, [contract.spool_reading(node.name) for node in seen])
    addresses = {agent.node: agent.address for agent in system.agents}
    rows = [
        _row(node, row.thing, addresses.get(node.name, node.address), spools)
        for node, row in zip(seen, chosen, strict=True)
    ]
    output.show(as_json, rows, lambda listed: _table(listed, now), _none(len(known), page))
    if not as_json and len(known) > PER_PAGE:
        counted = [row for row in known if nodes.standing(row, certificates=certificates) is Standing.MEMBER]
        counts = liveness.tally(row.state(now) for row in counted)
        told = ", ".join(f"{count} {one}" for one, count in counts.items() if count)
        pages = -(-len(known) // PER_PAGE)
        output.say(f"page {page or 1} of {pages} (--page), {len(known)} nodes; of {len(counted)} that count: {told}")


def _none(count: int, page: int | None) -> str:
    return f"there is no page {page}: there are {count} nodes" if count else "no node has enrolled yet"


def show_one(name: str, as_json: bool, state: Path) -> None:
    """Print what is known of one node. Raises NotFoundError."""
    system, now = system_file.read(state), object_access.now_ms()
    store = object_access.store_of(state)
    fleets = store.list("EdgeFleet")
    known = node_table.NodeTable().read(store.list("EdgeNode"), fleets)
    chosen = [one for one in known if one.thing.name == name]
    if not chosen:
        raise errors.NotFoundError(f"there is no EdgeNode {name}")
    told = _readings(system.redis, nodes.keys_of(chosen))
    live = {key: fields.mapping(fields.json_of(text)) for key, text in told.items()}
    tasks, certificates = edge_models.tasks(store.list("EdgeModel")), nodes.certificates(known)
    (node,) = nodes.views_of(chosen, live, fleets, now_ms=now, certificates=certificates, tasks=tasks)
    addresses = {agent.node: agent.address for agent in system.agents}
    row = _row(node, chosen[0].thing, addresses.get(name, node.address), told) | _details(node)
    row["forecasts"] = _forecasts(node)
    if as_json:
        output.print_json(row)
    else:
        _print_one(row, node, now)


def _details(node: views.Node) -> dict[str, Any]:
    refusals = node.refusals
    return {
        "labels": dict(node.labels),
        "approvedKey": node.approved_key,
        "waitingKey": node.waiting_key,
        "certNotAfterUnixMs": node.certificate_ms or None,
        "agentVersion": node.agent_version,
        "conditions": [{"type": one.type, "status": one.status, "message": one.message} for one in node.conditions],
        "refusals": None
        if refusals is None
        else {"counts": dict(refusals.counts), "message": refusals.message, "atUnixMs": refusals.at_ms},
    }


def _print_one(row: Mapping[str, Any], node: views.Node, now: int) -> None:
    facts = [
        ("state", ", ".join([row["state"], *row["notes"]])),
        ("last sign of life", output.age(row["lastSeenUnixMs"], now)),
        ("labels", ", ".join(f"{key}={value}" for key, value in sorted(node.labels.items()))),
        ("address", row["address"]),
        ("agent", node.agent_version),
        ("approved key", node.approved_key),
        ("waiting key", node.waiting_key),
        ("certificate ends in", output.age(now, node.certificate_ms) if node.certificate_ms else ""),
        ("cannot be read", node.fault),
    ]
    facts += [
        (f"serves {one.model}", f"v{one.version} {output.short(one.digest)}") for one in node.serving if one.digest
    ]
    facts += [(f"forecasts of {one['model']}", one["text"]) for one in row["forecasts"]]
    facts += [
        (f"warns of {one.subject}", f"for {output.age(one.since_ms, now)}: {one.message}") for one in node.warnings
    ]
    if node.spool is not None:
        facts.append(("spool", _spool(node.spool)))
    facts += [(one.type, f"{one.status}: {one.message or one.reason}") for one in node.conditions]
    if node.refusals is not None:
        facts += [("not taken", f"{count} {words}") for words, count in node.refusals.counts]
        facts.append(("the last one", f"{output.age(node.refusals.at_ms, now)} ago: {node.refusals.message}"))
    output.print_table(node.name, ["what", "is"], [[what, told] for what, told in facts if told])


def _spool(spool: views.Spool) -> str:
    told = [f"{spool.pending} waiting", f"{spool.uploaded} uploaded"]
    told += [f"{spool.dropped} dropped"] if spool.dropped else []
    told += [f"{spool.too_large} too large to keep"] if spool.too_large else []
    return ", ".join(told)


def _forecasts(node: views.Node) -> list[dict[str, Any]]:
    """How the forecasts of the versions that it serves did, of those whose truth has come."""
    told = [(one.model, one.reading, one.accuracy) for one in node.serving if one.accuracy]
    return [
        {
            "model": model,
            "truths": reading.truths,
            "absoluteError": reading.absolute_error,
            "coverage": reading.coverage,
            "text": text,
        }
        for model, reading, text in told
        if reading is not None
    ]


def _readings(redis: str, keys: Sequence[str]) -> Mapping[str, str]:
    try:
        return fleetstate.open_fleetstate(redis).find(keys)
    except errors.UnavailableError:
        return {}


def _row(node: views.Node, thing: Object, address: str, spools: Mapping[str, str]) -> dict[str, Any]:
    return {
        "node": node.name,
        "state": node.liveness.state.value,
        "standing": node.standing.value,
        "lastSeenUnixMs": node.last_seen_ms or None,
        "address": address,
        "cordoned": bool(thing.spec.get("cordoned", False)),
        "revoked": bool(thing.spec.get("revoked", False)),
        "waiting": bool(node.waiting_key),
        "nameConflict": node.name_conflict is not None,
        "notes": list(node.notes),
        "fault": node.fault,
        "models": thing.status.get("models", []),
        "warnings": thing.status.get("warnings") or [],
        "spool": json.loads(spools.get(contract.spool_reading(node.name), "null")),
    }


def _table(rows: Any, now: int) -> None:
    output.print_table(
        "nodes",
        ["node", "state", "last sign of life", "serves", "bringing up", "address"],
        (
            [
                row["node"],
                output.styled(", ".join([row["state"], *row["notes"]]), _STATE_STYLES.get(row["state"], "")),
                output.age(row["lastSeenUnixMs"], now),
                ", ".join(f"{report['model']} v{report['version']}" for report in row["models"] if report.get("digest"))
                or output.DASH,
                row["fault"]
                or ", ".join(_target(report) for report in row["models"] if _is_coming(report))
                or output.DASH,
                row["address"],
            ]
            for row in rows
        ),
    )


def _is_coming(report: Any) -> bool:
    return report.get("targetState") not in ("", None, "Serving")


def _target(report: Any) -> str:
    reason = f": {report['reason']}" if report.get("reason") else ""
    return f"{report['model']} {output.short(report.get('targetDigest'))} {report['targetState']}{reason}"
