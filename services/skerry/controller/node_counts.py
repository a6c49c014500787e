"""How many nodes are in each state, and how many serve each version: kept by change, so that to ask costs nothing,
whatever the size of the fleet. A state that time alone changes is looked at when its time has come.
"""

import collections
import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skerry.core import liveness, specs
from skerry.core.membership import Standing, standing

CERTIFICATE_MS = 5 * 86_400_000  # a node renews long before
_OFFLINE_AFTER_S = 15  # where no fleet says another


@dataclass(frozen=True, slots=True)
class _Counted:
    """One node as it is counted. `due_ms`: when time alone counts it elsewhere; 0: never."""

    node: specs.EdgeNode
    certificate_ms: int
    ends: liveness.Ends
    state: liveness.State
    is_ending: bool
    due_ms: int


class NodeCounts:
    """For one thread. `looked` counts the nodes that were looked at, for tests."""

    def __init__(self) -> None:
        self.looked = 0
        self.serving: collections.Counter[tuple[str, int]] = collections.Counter()  # model and version -> nodes
        self.certificates_ending = 0
        self._nodes: dict[str, _Counted] = {}
        self._due: list[tuple[int, str]] = []
        self._fleets: Sequence[specs.EdgeFleet] = ()
        self._approved = 0
        # By whether nodes have certificates, for that decides who is a member.
        self._states: Mapping[bool, collections.Counter[liveness.State]]
        self._states = {one: collections.Counter() for one in (False, True)}
        self._standings: Mapping[bool, collections.Counter[Standing]]
        self._standings = {one: collections.Counter() for one in (False, True)}

    def states(self) -> Mapping[liveness.State, int]:
        """Of the members; every state is named."""
        counted = self._states[self._approved > 0]
        return {state: counted[state] for state in liveness.State}

    def aside(self) -> Mapping[Standing, int]:
        """Nodes that are no members, by why."""
        counted = self._standings[self._approved > 0]
        return {why: counted[why] for why in Standing if why is not Standing.MEMBER}

    def set_fleets(self, fleets: Sequence[specs.EdgeFleet], now_ms: int) -> None:
        """How long nodes may be silent. Another answer than before looks at all of them."""
        if fleets != self._fleets:
            self._fleets = fleets
            for known in tuple(self._nodes.values()):
                self.put(known.node, known.certificate_ms, now_ms)

    def put(self, node: specs.EdgeNode, certificate_ms: int, now_ms: int) -> None:
        """`certificate_ms`: when its certificate ends (Unix); 0: it has none."""
        before = self._nodes.get(node.name)
        self._count(before, -1)
        counted = self._nodes[node.name] = self._look(node, certificate_ms, now_ms)
        self._count(counted, 1)
        if counted.due_ms and (before is None or not before.due_ms or counted.due_ms < before.due_ms):
            heapq.heappush(self._due, (counted.due_ms, node.name))

    def drop(self, name: str) -> None:
        self._count(self._nodes.pop(name, None), -1)

    def advance(self, now_ms: int) -> None:
        """Count again those whose time has come."""
        while self._due and self._due[0][0] <= now_ms:
            _, name = heapq.heappop(self._due)
            known = self._nodes.get(name)
            if known is None or not known.due_ms:
                continue
            if known.due_ms > now_ms:  # it was seen again since
                heapq.heappush(self._due, (known.due_ms, name))
                continue
            self._count(known, -1)
            counted = self._nodes[name] = self._look(known.node, known.certificate_ms, now_ms)
            self._count(counted, 1)
            if counted.due_ms:
                heapq.heappush(self._due, (counted.due_ms, name))

    def _look(self, node: specs.EdgeNode, certificate_ms: int, now_ms: int) -> _Counted:
        self.looked += 1
        after_s = min((one.offline_after_s for one in self._fleets if one.selects(node)), default=_OFFLINE_AFTER_S)
        ends = liveness.ends(
            connected=node.connected,
            last_seen_ms=node.last_seen_ms,
            offline_after_s=after_s,
            heartbeat_s=node.heartbeat_s,
        )
        warned_ms = certificate_ms - CERTIFICATE_MS if certificate_ms else 0
        moments = (ends.online_until_ms, ends.offline_from_ms, warned_ms)
        due_ms = min((one for one in moments if one > now_ms), default=0)
        return _Counted(
            node, certificate_ms, ends, ends.state(now_ms), 0 < warned_ms <= now_ms and not node.revoked, due_ms
        )

    def _count(self, one: _Counted | None, more: int) -> None:
        if one is None:
            return
        node = one.node
        self._approved += more * bool(node.approved_key)
        self.certificates_ending += more * one.is_ending
        for certificates, states in self._states.items():
            where = standing(node, certificates=certificates)
            self._standings[certificates][where] += more
            if where is Standing.MEMBER:
                states[one.state] += more
        for report in () if node.revoked else node.reports:
            if report.version:
                key = (report.model, report.version)
                self.serving[key] += more
                if not self.serving[key]:
                    del self.serving[key]


def certificate_ms(status: Mapping[str, Any]) -> int:
    """EdgeNode.status.certNotAfterUnixMs; 0 when it says none."""
    value = status.get("certNotAfterUnixMs")
    return value if type(value) is int and value > 0 else 0
