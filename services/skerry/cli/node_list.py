"""The list of `skerry nodes`: whether each node is alive, whether it counts, and what it serves."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skerry.adapters import fleetstate
from skerry.adapters.objects.protocol import Object
from skerry.cli import object_access, output, system_file
from skerry.core import contract, errors
from skerry.dashboard import nodes, views

_STATE_STYLES = {"Online": "green", "Stale": "yellow", "Offline": "red", "Unknown": "dim"}


def show(as_json: bool, state: Path) -> None:
    """Print every node, in the order of their names."""
    system, now = system_file.read(state), object_access.now_ms()
    store = object_access.store_of(state)
    found = {thing.name: thing for thing in store.list("EdgeNode")}
    seen = nodes.view(list(found.values()), store.list("EdgeFleet"), {}, now_ms=now)
    spools, addresses = _spools(system.redis), {agent.node: agent.address for agent in system.agents}
    rows = [
        _row(node, found[node.name], addresses.get(node.name, node.address), spools)
        for node in sorted(seen, key=lambda node: node.name)
    ]
    output.show(as_json, rows, lambda listed: _table(listed, now), "no node has enrolled yet")


def _spools(redis: str) -> Mapping[str, str]:
    try:
        return fleetstate.open_fleetstate(redis).get(contract.SPOOL_READINGS)
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
