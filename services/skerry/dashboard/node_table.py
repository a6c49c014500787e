"""Every node in short: which it is, how it is, what it serves. A node is read again when its object changed; to ask how
all of them are costs a comparison of numbers for each.
"""

import collections
import contextlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from skerry.adapters.objects import Object
from skerry.core import errors, liveness, specs

_OFFLINE_AFTER_S = 15  # where no fleet says another


@dataclass(frozen=True, slots=True)
class Row:
    """`node` is None for one that cannot be read, `fault` says why. `ends`: of its states (`liveness.ends`)."""

    thing: Object
    node: specs.EdgeNode | None
    fault: str
    ends: liveness.Ends

    def state(self, now_ms: int) -> liveness.State:
        return self.ends.state(now_ms)


class NodeTable:
    """May be kept from one look to the next, and asked from several threads."""

    def __init__(self) -> None:
        self.serving: collections.Counter[tuple[str, str]] = collections.Counter()  # nodes by model and digest
        self._lock = threading.Lock()
        self._rows: dict[str, Row] = {}
        self._fleets: Sequence[specs.EdgeFleet] = ()

    def read(self, found: Iterable[Object], fleets: Iterable[Object]) -> Sequence[Row]:
        """A row for each node, in their order."""
        with self._lock:
            return self._read(found, readable_fleets(fleets))

    def _read(self, found: Iterable[Object], readable: Sequence[specs.EdgeFleet]) -> Sequence[Row]:
        if readable != self._fleets:
            self._rows, self.serving, self._fleets = {}, collections.Counter(), readable
        before, self._rows = self._rows, {}
        for thing in found:
            row = before.pop(thing.name, None)
            if row is None or _version(row.thing) != _version(thing):
                self._count(row, -1)
                row = _row(thing, readable)
                self._count(row, 1)
            self._rows[thing.name] = row
        for gone in before.values():
            self._count(gone, -1)
        return list(self._rows.values())

    def _count(self, row: Row | None, more: int) -> None:
        for report in row.node.reports if row is not None and row.node is not None else ():
            self.serving[report.model, report.digest] += more


def _version(thing: Object) -> tuple[str, int]:
    return thing.uid, thing.resource_version


def _row(thing: Object, fleets: Sequence[specs.EdgeFleet]) -> Row:
    try:
        node = specs.parse_node(thing.name, thing.spec, thing.status)
    except errors.InputError as exc:
        return Row(thing, None, str(exc), liveness.NEVER)
    offline_after_s = min((fleet.offline_after_s for fleet in fleets if fleet.selects(node)), default=_OFFLINE_AFTER_S)
    ends = liveness.ends(
        connected=node.connected,
        last_seen_ms=node.last_seen_ms,
        offline_after_s=offline_after_s,
        heartbeat_s=node.heartbeat_s,
    )
    return Row(thing, node, "", ends)


def readable_fleets(fleets: Iterable[Object]) -> Sequence[specs.EdgeFleet]:
    """Whoever wrote one that cannot be read is told by the controller; its nodes are judged by the default."""
    readable = []
    for thing in fleets:
        with contextlib.suppress(errors.InputError):
            readable.append(specs.parse_fleet(thing.name, thing.spec))
    return readable
