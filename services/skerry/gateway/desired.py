"""What a node shall run, from custom resources: its assignments, and each model's policies for nodes beside them.

A view is what the watch last saw. A desired state is whole, so a node that misses one misses nothing.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from skerry.adapters.objects.protocol import Change, Object
from skerry.adapters.telemetry import logs
from skerry.core import comparisons, errors, name_claim, specs
from skerry.gateway.standing import StandingErasures
from skerry.proto import fleet_pb2

# What stands in EdgeNode.status and is no word of the node itself.
_NOT_SAID = frozenset({"lastSeenUnixMs", "waitingKey", "waitingUnixMs", "conditions", "conflictUnixMs", "refusals"})
KINDS = ("EdgeNode", "EdgeModel", "Erasure", "ModelRollout", "ModelVersion")

_log = logs.logger("gateway")


@dataclass(frozen=True, slots=True)
class WrittenStatus:
    """An EdgeNode.status, in what the gateway asks of it: is it the same, when was the node last seen, which process
    holds its name, and since when (0: not) two fight for it."""

    fingerprint: bytes
    last_seen_ms: int
    connected: bool
    holder: name_claim.Holder
    conflict_ms: int

    @classmethod
    def of(cls, status: Mapping[str, Any], said: bytes | None = None) -> "WrittenStatus":
        """`said`: its fingerprint, where it is known."""
        holder = name_claim.Holder(str(status.get("bootId") or ""), tuple(status.get("earlierBootIds") or ()))
        return cls(
            fingerprint(status) if said is None else said,
            int(status.get("lastSeenUnixMs", 0)),
            bool(status.get("connected")),
            holder,
            int(status.get("conflictUnixMs") or 0),
        )


@dataclass(frozen=True, slots=True)
class _Policies:
    """What a model's nodes are told beside its version, as JSON; empty: nothing."""

    offload: bytes = b""
    warn: bytes = b""
    policy: bytes = b""


def fingerprint(status: Mapping[str, Any]) -> bytes:
    """Of what a node's report and certificate say in EdgeNode.status."""
    said = {key: value for key, value in status.items() if key not in _NOT_SAID and value is not None}
    return hashlib.blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=16).digest()


class View:
    """The objects that desired states are made of, as of `revision`."""

    def __init__(self) -> None:
        self.revision = 0
        self.epoch = 0
        self._nodes: dict[str, specs.EdgeNode] = {}
        self._specs_read: dict[str, tuple[str, int]] = {}  # uid and generation of what stands in `_nodes`
        self._statuses_by_node: dict[str, WrittenStatus] = {}
        self._own_writes: dict[str, int] = {}  # the newest, by resource version
        self.admissions = 0  # rises whenever `allowed` may say something else
        self._policies: dict[str, _Policies] = {}
        self.erasures = StandingErasures()
        self._comparisons: dict[str, tuple[str, int]] = {}  # model and moment, by rollout

    def apply(self, changes: Iterable[Change], revision: int) -> frozenset[str] | None:
        """Take in what changed; returns the nodes whose desired state may differ now, None for all of them."""
        touched: set[str] = set()
        everyone = False
        for change in changes:
            thing = change.object
            if thing.kind == "EdgeNode":
                touched |= self._apply_node(change)
            elif thing.kind == "EdgeModel":
                everyone |= self._apply_model(change)
            elif thing.kind == "Erasure":
                everyone |= self.erasures.apply(change)
            elif thing.kind == "ModelRollout":
                everyone |= self._raise_epoch(thing.status.get("epoch"))
                self._apply_comparison(change)
        self.revision = max(self.revision, revision)
        return None if everyone else frozenset(touched)

    def comparisons(self, model: str) -> frozenset[int]:
        """Since when (Unix ms) rollouts of the model compare now."""
        return frozenset(since_ms for of, since_ms in self._comparisons.values() if of == model)

    def written_status(self, node: str) -> "WrittenStatus | None":
        """What EdgeNode.status said last; None when there is no such node."""
        return self._statuses_by_node.get(node)

    def approval(self, node: str) -> tuple[str, bool] | None:
        """The key that may speak for the node, and whether it is revoked; None when there is no such node."""
        known = self._nodes.get(node)
        return None if known is None else (known.approved_key, known.revoked)

    def allowed(self) -> Iterator[tuple[str, str]]:
        """Each node that is not revoked, with the key that may speak for it."""
        for node, known in self._nodes.items():
            if known.approved_key and not known.revoked:
                yield node, known.approved_key

    def remember_status(
        self, node: str, status: Mapping[str, Any], *, said: bytes | None = None, written: Object | None = None
    ) -> None:
        """What was just written, before the watch brings it back. `written` is what the store answered: to hear of that
        once more costs nothing. `said`: the status's fingerprint, where it is known."""
        if written is not None:
            self._own_writes[node] = written.resource_version
            conflict_ms = int(written.status.get("conflictUnixMs") or 0)
        else:
            before = self._statuses_by_node.get(node)
            conflict_ms = 0 if before is None else before.conflict_ms
        self._statuses_by_node[node] = replace(WrittenStatus.of(status, said), conflict_ms=conflict_ms)

    def remember_conflict(self, node: str, conflict_ms: int) -> None:
        """As `remember_status`, of what is written when two agents have one name."""
        if (before := self._statuses_by_node.get(node)) is not None:
            self._statuses_by_node[node] = replace(before, conflict_ms=conflict_ms)

    def desired(self, node: str) -> fleet_pb2.DesiredState:
        known = self._nodes.get(node)
        assignments = known.assignments if known is not None else ()
        return fleet_pb2.DesiredState(
            revision=self.revision,
            epoch=self.epoch,
            erasures=self.erasures.told(node),
            erased_up_to=self.erasures.number,
            retired=self.erasures.retired,
            assignments=[
                _assignment(assignment, self._policies.get(assignment.model, _Policies())) for assignment in assignments
            ],
        )

    def _apply_comparison(self, change: Change) -> None:
        thing = change.object
        since_ms = None if change.deleted else comparisons.since(thing.status)
        if since_ms is None:
            self._comparisons.pop(thing.name, None)
        else:
            self._comparisons[thing.name] = str(thing.spec.get("model", "")), since_ms

    def _apply_node(self, change: Change) -> set[str]:
        thing = change.object
        before = self._nodes.get(thing.name)
        if change.deleted:
            for known in (self._nodes, self._specs_read, self._statuses_by_node, self._own_writes):
                known.pop(thing.name, None)
            self.admissions += 1
            return {thing.name}
        if self._own_writes.get(thing.name) != thing.resource_version:
            self._statuses_by_node[thing.name] = WrittenStatus.of(thing.status)
        if self._specs_read.get(thing.name) == (thing.uid, thing.generation):
            return set()
        try:
            node = specs.parse_node(thing.name, thing.spec, {})
        except errors.InputError as exc:  # the node keeps the state that it was sent last
            _log.error("assignments_unreadable", node=thing.name, message=str(exc))
            return set()
        self._nodes[thing.name], self._specs_read[thing.name] = node, (thing.uid, thing.generation)
        if before is None or (before.approved_key, before.revoked) != (node.approved_key, node.revoked):
            self.admissions += 1
        for assignment in node.assignments:
            for epoch in (assignment.permit and assignment.permit.epoch, assignment.lease and assignment.lease.epoch):
                self._raise_epoch(epoch)
        same = before is not None and _concerns_node(before) == _concerns_node(node)
        return set() if same else {thing.name}

    def _apply_model(self, change: Change) -> bool:
        thing = change.object
        before = self._policies.get(thing.name)
        if change.deleted:
            self._policies.pop(thing.name, None)
            return before is not None
        try:
            told = specs.policy_for_nodes(thing.name, thing.spec)
            warn = specs.warn_for_nodes(thing.name, thing.spec)
        except errors.InputError as exc:  # nodes keep the policy that they have
            _log.error("offload_policy_unreadable", model=thing.name, message=str(exc))
            return False
        policy = _json(told.policy) if told.policy is not None else b""
        self._policies[thing.name] = _Policies(_json(told.offload), _json(warn) if warn else b"", policy)
        return self._policies[thing.name] != before

    def _raise_epoch(self, epoch: object) -> bool:
        """Desired states carry the highest epoch that any object names: it never falls while this process lives."""
        if not isinstance(epoch, int) or epoch <= self.epoch:
            return False
        self.epoch = epoch
        return True


def _json(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def _concerns_node(node: specs.EdgeNode) -> tuple[object, ...]:
    """What of its object the node itself must hear of."""
    return node.assignments, node.approved_key, node.revoked


def _assignment(assignment: specs.Assignment, policies: _Policies) -> fleet_pb2.Assignment:
    message = fleet_pb2.Assignment(
        model=assignment.model,
        digest=assignment.digest,
        version=assignment.version,
        target_path=assignment.target_path,
        rollout=assignment.rollout,
        attempt=assignment.attempt,
        rollback=assignment.rollback,
        offload_json=policies.offload,
        warn_json=policies.warn,
        policy_json=policies.policy,
    )
    if assignment.permit is not None:
        permit = assignment.permit
        message.permit.MergeFrom(
            fleet_pb2.Permit(number=permit.number, ttl_ms=permit.ttl_ms, request=permit.request, epoch=permit.epoch)
        )
    return message
