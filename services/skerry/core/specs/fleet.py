"""EdgeFleet.spec, and an EdgeNode as decisions see it: its labels, what it is assigned, what it last reported.

A node's own report comes from outside: what is missing counts as never reported, what is wrong is an InputError.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from skerry.core import conditions, liveness
from skerry.core.specs.reader import Amount, Reader, read

ONE = Amount(1)


class TargetState(enum.StrEnum):
    """How far a node is with the version that it was assigned (fleet.ModelState)."""

    NONE = ""
    FETCHING = "Fetching"
    STAGED = "Staged"
    SERVING = "Serving"
    FETCH_FAILED = "FetchFailed"  # it tries again
    REFUSED = "Refused"
    INCOMPATIBLE = "Incompatible"
    SWAP_FAILED = "SwapFailed"


@dataclass(frozen=True, slots=True)
class EdgeFleet:
    """`selector`: labels a node must have (none: every node). `max_unavailable`: nodes that may swap at once."""

    name: str
    selector: Mapping[str, str] = field(default_factory=dict)
    max_unavailable: Amount = ONE
    offline_after_s: int = 15

    def selects(self, node: "EdgeNode") -> bool:
        return all(node.labels.get(key) == value for key, value in self.selector.items())


@dataclass(frozen=True, slots=True)
class PermitGrant:
    """Permission to swap, as the node sees it: single use, `ttl_ms` counted by the node from its own `request`."""

    number: int
    ttl_ms: int
    request: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The last permit of a node: it counts against the budget until it is resolved or `until_ms` has passed, the latest
    moment at which the node may still be swapping to `digest`. It outlives the assignment that it was given with."""

    number: int
    request: int
    until_ms: int
    digest: str
    rollout: str
    attempt: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a node shall run for one model. Without a permit it only stages. `rollout` empty: the settled version."""

    model: str
    digest: str
    version: int
    target_path: str
    rollout: str = ""
    attempt: int = 0
    rollback: bool = False
    permit: PermitGrant | None = None
    lease: Lease | None = None


@dataclass(frozen=True, slots=True)
class ModelReport:
    """What a node said last about one model; all empty: it never did."""

    model: str
    digest: str = ""
    version: int = 0
    target_digest: str = ""
    target_rollout: str = ""
    target_attempt: int = 0
    target_state: TargetState = TargetState.NONE
    reason: str = ""
    highest_permit: int = 0
    permit_request: int = 0
    last_known_good: str = ""


@dataclass(frozen=True, slots=True)
class EdgeNode:
    """`last_seen_ms` is 0 for a node that was never seen. `approved_key`: digest of the public key that may speak for
    the node; empty where nodes need no certificate. `trusted`: it teaches without a bound. `heartbeat_s`: longest time
    between heartbeats while connected. `erased_up_to`: the highest number of an Erasure that it carried out.
    `created_ms`: Unix time of its object, 0 where nobody asked."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    cordoned: bool = False
    approved_key: str = ""
    revoked: bool = False
    trusted: bool = False
    connected: bool = False
    last_seen_ms: int = 0
    heartbeat_s: int = liveness.HEARTBEAT_S
    erased_up_to: int = 0
    created_ms: int = 0
    assignments: tuple[Assignment, ...] = ()
    reports: tuple[ModelReport, ...] = ()

    def assignment(self, model: str) -> Assignment | None:
        return next((given for given in self.assignments if given.model == model), None)

    def report(self, model: str) -> ModelReport:
        return next((report for report in self.reports if report.model == model), None) or ModelReport(model)


def fleet_missing(name: str) -> str:
    """For people, when an object names a fleet that is not there or cannot be read."""
    return (
        f"there is no EdgeFleet {name} that can be read: `skerry fleets create {name}` makes one of every node; if it "
        "is there, its condition Ready says what is wrong with it"
    )


def parse_fleet(name: str, spec: Mapping[str, Any]) -> EdgeFleet:
    """Raises InputError naming the field."""
    return read("EdgeFleet", name, "spec", spec, lambda reader: _fleet(name, reader))


def parse_node(name: str, spec: Mapping[str, Any], status: Mapping[str, Any]) -> EdgeNode:
    """Both halves of an EdgeNode. Raises InputError naming the field."""
    node = read("EdgeNode", name, "spec", spec, lambda reader: _node_spec(name, reader))
    # A gateway of a newer release may say more: whoever is older still counts the node.
    return read("EdgeNode", name, "status", status, lambda reader: _node_status(node, reader), is_open=True)


def assignment_json(assignment: Assignment) -> dict[str, Any]:
    """As EdgeNode.spec.assignments holds it; `parse_node` reads it back. What is None is left out: the Kubernetes API
    keeps no null inside a list, and an assignment that never equals what is stored would be written for ever."""
    permit, lease = assignment.permit, assignment.lease
    fields: dict[str, Any] = {
        "model": assignment.model,
        "digest": assignment.digest,
        "version": assignment.version,
        "targetPath": assignment.target_path,
        "rollout": assignment.rollout,
        "attempt": assignment.attempt,
        "rollback": assignment.rollback,
    }
    if permit is not None:
        fields["permit"] = {
            "number": permit.number,
            "ttlMs": permit.ttl_ms,
            "request": permit.request,
            "epoch": permit.epoch,
        }
    if lease is not None:
        fields["lease"] = {
            "number": lease.number,
            "request": lease.request,
            "untilUnixMs": lease.until_ms,
            "digest": lease.digest,
            "rollout": lease.rollout,
            "attempt": lease.attempt,
            "epoch": lease.epoch,
        }
    return fields


def _fleet(name: str, reader: Reader) -> EdgeFleet:
    return EdgeFleet(
        name=name,
        selector=_labels(reader, "selector"),
        max_unavailable=reader.amount("maxUnavailable", ONE, low=1),  # 0 would stop every rollout for ever
        offline_after_s=reader.integer("offlineAfterSeconds", 15, 5, 86_400),
    )


def _labels(reader: Reader, name: str) -> Mapping[str, str]:
    found = reader.mapping(name, {})
    for key, value in found.items():
        if not isinstance(value, str):
            raise reader.fault(f"{name}.{key}", f"must be a text, not {value!r}")
    return found


def _node_spec(name: str, reader: Reader) -> EdgeNode:
    return EdgeNode(
        name=name,
        labels=_labels(reader, "labels"),
        cordoned=reader.flag("cordoned", False),
        approved_key=reader.digest("approvedKey", ""),
        revoked=reader.flag("revoked", False),
        trusted=reader.flag("trusted", False),
        assignments=reader.each("assignments", _assignment, limit=1000),
    )


def _assignment(reader: Reader) -> Assignment:
    return Assignment(
        model=reader.name("model"),
        digest=reader.digest("digest"),
        version=reader.integer("version", None, 1),
        target_path=reader.text("targetPath", None, limit=512),
        rollout=reader.text("rollout", "", limit=253),
        attempt=reader.integer("attempt", 0),
        rollback=reader.flag("rollback", False),
        permit=reader.inner("permit", _permit) if reader.has("permit") else None,
        lease=reader.inner("lease", _lease) if reader.has("lease") else None,
    )


def _permit(reader: Reader) -> PermitGrant:
    numbers = (reader.integer(field, None) for field in ("number", "ttlMs", "request", "epoch"))
    return PermitGrant(*numbers)


def _lease(reader: Reader) -> Lease:
    return Lease(
        number=reader.integer("number", None),
        request=reader.integer("request", None),
        until_ms=reader.integer("untilUnixMs", None),
        digest=reader.digest("digest"),
        rollout=reader.text("rollout", ""),
        attempt=reader.integer("attempt", 0),
        epoch=reader.integer("epoch", 0),
    )


def _node_status(node: EdgeNode, reader: Reader) -> EdgeNode:
    for shown in ("agentVersion", "bootId", "servingAddress", "waitingKey"):
        reader.text(shown, "")
    reader.integer("certNotAfterUnixMs", 0)
    reader.integer("conflictUnixMs", 0)
    reader.integer("waitingUnixMs", 0)
    reader.mapping("refusals", {})
    reader.texts("earlierBootIds", ())
    conditions.from_json(list(reader.items("conditions", ())))
    reader.mapping("runtime", {})
    return replace(
        node,
        connected=reader.flag("connected", False),
        last_seen_ms=reader.integer("lastSeenUnixMs", 0),
        heartbeat_s=reader.integer("markSeconds", liveness.HEARTBEAT_S, 1, 3600),
        erased_up_to=reader.integer("erasedUpTo", 0),
        reports=reader.each("models", _report, limit=1000),
    )


def _report(reader: Reader) -> ModelReport:
    return ModelReport(
        model=reader.name("model"),
        digest=reader.digest("digest", ""),
        version=reader.integer("version", 0),
        target_digest=reader.digest("targetDigest", ""),
        target_rollout=reader.text("targetRollout", ""),
        target_attempt=reader.integer("targetAttempt", 0),
        target_state=TargetState(reader.text("targetState", "", among=tuple(TargetState))),
        reason=reader.text("reason", "", limit=1 << 16),
        highest_permit=reader.integer("highestPermit", 0),
        permit_request=reader.integer("permitRequest", 0),
        last_known_good=reader.digest("lastKnownGood", ""),
    )
