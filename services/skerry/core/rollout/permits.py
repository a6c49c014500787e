"""Permission to swap: how many nodes may swap at once, which is next, and when a permit stops counting.

A permit is a lease. The node counts its `ttl_ms` from the moment it asked and gives up a swap after MAX_SWAP_MS, so a
permit is certainly over LEASE_MS after it was granted, whatever was delayed or lost; until then it counts against the
budget, on a node that is gone too. Who counts is the leader, from when it first saw the lease: another leader counts
anew. Permits are numbered, rising per node, and used once. The lease is written into the node's assignment beside the
permit and outlives it there, so that no later rollout can forget it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from skerry.core import specs
from skerry.core.rollout.case import Event
from skerry.core.rollout.elapsed import Elapsed
from skerry.core.rollout.status import Permit

TTL_MS = 60_000
MAX_SWAP_MS = 30_000
LEASE_MS = TTL_MS + MAX_SWAP_MS
MAX_AT_ONCE = 256  # permits of one rollout: they are written into one object


@dataclass(frozen=True, slots=True)
class DesiredVersion:
    """What a node shall run (None: nothing for this model), for which rollout, and whether it may swap now."""

    version: specs.ModelVersion | None
    rollout: str
    attempt: int
    permitted: bool


@dataclass(frozen=True, slots=True)
class Granted:
    assignments: Mapping[str, specs.Assignment | None]
    permits: tuple[Permit, ...]
    permit_number: int
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    now_ms: int
    epoch: int
    offline_after_ms: int
    elapsed: Elapsed

    def online(self, node: specs.EdgeNode) -> bool:
        """Heard of so recently that it counts as reachable. Its silence decides: a link can be lost without a
        goodbye."""
        silence_ms = self.elapsed.silence_ms.get(node.name)
        return silence_ms is not None and silence_ms <= max(self.offline_after_ms, 2000 * node.heartbeat_s)

    def lease_age_ms(self, node: str, lease: specs.Lease) -> int:
        return self.elapsed.lease_ms.get((node, lease.number), 0)


def grant(
    model: str,
    desired: Mapping[str, DesiredVersion],
    nodes: Sequence[specs.EdgeNode],
    permits: Sequence[Permit],
    permit_number: int,
    *,
    budget: int,
    moment: Moment,
) -> Granted:
    """The assignments that follow from `desired` (in order of preference), with as many permits as `budget` allows, and
    not more than MAX_AT_ONCE.

    `nodes` are all that share the budget. A permit is granted only to a connected node that says it has staged exactly
    what it shall run and asks for a permit.
    """
    by_name = {node.name: node for node in nodes}
    leases = outstanding(model, nodes, permits, moment)
    busy = set(leases) | {node.name for node in nodes if _serves_nothing(model, node, moment)}
    events = []
    for name, wanted in desired.items():
        node = by_name[name]
        if name in leases or not _requests_permit(model, node, wanted, moment):
            continue
        if len(leases) >= MAX_AT_ONCE or len(busy | {name}) > budget:
            continue
        assert wanted.version is not None
        report = node.report(model)
        permit_number = max(permit_number, report.highest_permit, _last_number(node)) + 1
        leases[name] = _lease(report, wanted, permit_number, moment)
        busy.add(name)
        events.append(Event("PermitGranted", f"{name} may swap to {wanted.version.name}", name))
    return Granted(
        {name: _assignment(model, by_name[name], wanted, leases.get(name), moment) for name, wanted in desired.items()},
        tuple(_permit(name, leases[name]) for name in sorted(leases)),
        permit_number,
        tuple(events),
    )


def desired_stable(
    model: str, node: specs.EdgeNode, stable: specs.ModelVersion | None, *, permitted: bool
) -> DesiredVersion:
    """The stable version. A node that is assigned it already keeps the name and attempt it was given with: another name
    would make the node try again what it has refused."""
    current = node.assignment(model)
    if stable is not None and current is not None and current.digest == stable.digest:
        return DesiredVersion(stable, current.rollout, current.attempt, permitted)
    return DesiredVersion(stable, "", 0, permitted)


def outstanding(
    model: str, nodes: Sequence[specs.EdgeNode], permits: Sequence[Permit], moment: Moment
) -> dict[str, specs.Lease]:
    """The permits that still count, by node: remembered in the status or beside the node's assignment."""
    remembered = {permit.node: lease_of(permit) for permit in permits}
    leases = {}
    for node in nodes:
        current = node.assignment(model)
        known = [
            lease for lease in (remembered.get(node.name), current.lease if current else None) if lease is not None
        ]
        newest = max(known, key=lambda lease: lease.number, default=None)
        if newest is None or moment.lease_age_ms(node.name, newest) >= LEASE_MS:
            continue
        if not resolved(newest, node.report(model)):
            leases[node.name] = newest
    return leases


def lease_of(permit: Permit) -> specs.Lease:
    until_ms = permit.granted_ms + permit.ttl_ms + MAX_SWAP_MS  # for people: no decision reads it
    return specs.Lease(
        permit.number, permit.request, until_ms, permit.digest, permit.rollout, permit.attempt, permit.epoch
    )


def resolved(lease: specs.Lease, report: specs.ModelReport) -> bool:
    """Does the report prove that the node will not swap on this permit any more?"""
    target = (report.target_digest, report.target_rollout, report.target_attempt)
    if report.target_digest and target != (lease.digest, lease.rollout, lease.attempt):
        return True  # it follows another assignment: the permit is fenced by rollout and attempt
    if report.highest_permit < lease.number:
        return False  # not used yet
    # Used: it is over unless the node still says what it said when it asked, that is, swaps right now.
    return report.target_state != specs.TargetState.STAGED or report.permit_request != lease.request


def _serves_nothing(model: str, node: specs.EdgeNode, moment: Moment) -> bool:
    """A node that serves nothing although it once did. One that never had a version is not down because of us."""
    report = node.report(model)
    return moment.online(node) and not report.digest and bool(report.last_known_good)


def _requests_permit(model: str, node: specs.EdgeNode, wanted: DesiredVersion, moment: Moment) -> bool:
    report = node.report(model)
    if wanted.version is None or not wanted.permitted or report.digest == wanted.version.digest:
        return False
    target = (report.target_digest, report.target_rollout, report.target_attempt)
    staged = report.target_state == specs.TargetState.STAGED and target == (
        wanted.version.digest,
        wanted.rollout,
        wanted.attempt,
    )
    return staged and report.permit_request > 0 and node.connected and moment.online(node)


def _last_number(node: specs.EdgeNode) -> int:
    """The highest number this node was given for any of its models: it keeps one ledger for all."""
    return max((given.lease.number for given in node.assignments if given.lease is not None), default=0)


def _lease(report: specs.ModelReport, wanted: DesiredVersion, number: int, moment: Moment) -> specs.Lease:
    until_ms = moment.now_ms + LEASE_MS
    return specs.Lease(
        number, report.permit_request, until_ms, report.target_digest, wanted.rollout, wanted.attempt, moment.epoch
    )


def _permit(name: str, lease: specs.Lease) -> Permit:
    return Permit(
        node=name,
        number=lease.number,
        request=lease.request,
        granted_ms=lease.until_ms - LEASE_MS,
        ttl_ms=TTL_MS,
        epoch=lease.epoch,
        digest=lease.digest,
        rollout=lease.rollout,
        attempt=lease.attempt,
    )


def _assignment(
    model: str, node: specs.EdgeNode, wanted: DesiredVersion, lease: specs.Lease | None, moment: Moment
) -> specs.Assignment | None:
    version = wanted.version
    if version is None:
        return None
    current = node.assignment(model)
    was = max(node.report(model).version, current.version if current else 0)
    back = version.version < was or (current is not None and current.digest == version.digest and current.rollback)
    permit = None
    target = (version.digest, wanted.rollout, wanted.attempt)
    fits = lease is not None and (lease.digest, lease.rollout, lease.attempt) == target
    if lease is not None and fits and _is_offered(node.name, lease, current, moment):
        permit = specs.PermitGrant(lease.number, TTL_MS, lease.request, lease.epoch)
    return specs.Assignment(
        model=model,
        digest=version.digest,
        version=version.version,
        target_path=version.target_path,
        rollout=wanted.rollout,
        attempt=wanted.attempt,
        rollback=back,
        permit=permit,
        lease=lease or (current.lease if current else None),
    )


def _is_offered(node: str, lease: specs.Lease, current: specs.Assignment | None, moment: Moment) -> bool:
    """Within its time to live; and a permit that was withdrawn is not offered again by a leader that counts anew."""
    known = current is not None and current.lease is not None and current.lease.number >= lease.number
    withdrawn = known and (current is None or current.permit is None or current.permit.number != lease.number)
    return not withdrawn and moment.lease_age_ms(node, lease) < TTL_MS
