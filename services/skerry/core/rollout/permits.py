"""Permission to swap: how many nodes may swap at once, which is next, and when a permit stops counting.

A permit is a lease. The node counts its `ttl_ms` from the moment it asked and gives up a swap after MAX_SWAP_MS. A
request stands until it is answered: the leader adds to the `ttl_ms` what it has seen the request stand, which is less
than what the node counts, so a permit is certainly over LEASE_MS after it was granted, whatever was delayed or lost;
until then it counts against the budget, on a node that is gone too. Who counts is the leader, from when it first saw
the lease or the request: another leader counts anew, and a permit that is too short for it is given up by its node,
which asks again. Permits are numbered, rising per node, and used once.

A permit lives in its node's assignment, and its lease outlives it there, so that no later rollout can forget it. Before
it is written there it is remembered in the status, until the node is seen with it: whoever continues after a crash
counts it too. So many fit into the status, and more are granted in the next look.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from skerry.core import specs
from skerry.core.rollout.case import Event
from skerry.core.rollout.elapsed import Elapsed
from skerry.core.rollout.status import Permit, said_by

TTL_MS = 60_000
MAX_SWAP_MS = 30_000
LEASE_MS = TTL_MS + MAX_SWAP_MS
REMEMBERED_BYTES = 3_000  # of the permits that one status remembers
_EACH_BYTES, _GROUP_BYTES = 34, 240  # of one beside its node's name; of what those of one version say together
_DRIFT = 1_000  # a node's clock may be so much slower than ours: a thousandth of what it counts


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

    def ttl_ms(self, node: str, request: int) -> int:
        """Of a permit that answers this request now, by the node's clock, which began when it asked."""
        stood_ms = self.elapsed.request_ms.get((node, request), 0)
        return TTL_MS + stood_ms - stood_ms // _DRIFT


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
    """The assignments that follow from `desired` (in order of preference), with as many permits as `budget` allows and
    a status remembers.

    `nodes` are all that share the budget. A permit is granted only to a connected node that says it has staged exactly
    what it shall run and asks for a permit.
    """
    by_name = {node.name: node for node in nodes}
    leases = outstanding(model, nodes, permits, moment)
    unseen = {one.node: one for one in permits if _is_unseen(model, one, by_name.get(one.node), leases)}
    room = REMEMBERED_BYTES - _size(unseen.values())
    busy = set(leases) | {node.name for node in nodes if _serves_nothing(model, node, moment)}
    events = []
    for name, wanted in desired.items():
        node = by_name[name]
        if name in leases or not _requests_permit(model, node, wanted, moment):
            continue
        if len(busy) + (name not in busy) > budget:
            continue
        assert wanted.version is not None
        report = node.report(model)
        number = max(permit_number, report.highest_permit, _last_number(node)) + 1
        permit = _permit(name, report, wanted, number, moment)
        if (room := room - _size([permit], unseen.values())) < 0:
            break
        permit_number, unseen[name], leases[name] = number, permit, lease_of(permit)
        busy.add(name)
        events.append(Event("PermitGranted", f"{name} may swap to {wanted.version.name}", name))
    return Granted(
        {
            name: _assignment(model, by_name[name], wanted, leases.get(name), unseen.get(name), moment)
            for name, wanted in desired.items()
        },
        tuple(unseen[name] for name in sorted(unseen)),
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
            lease for lease in (current.lease if current else None, remembered.get(node.name)) if lease is not None
        ]
        newest = max(known, key=lambda lease: lease.number, default=None)
        if newest is None or moment.lease_age_ms(node.name, newest) >= LEASE_MS:
            continue
        if not resolved(newest, node.report(model)):
            leases[node.name] = newest
    return leases


def lease_of(permit: Permit) -> specs.Lease:
    until_ms = permit.granted_ms + LEASE_MS  # for people: no decision reads it
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


def is_over(lease: specs.Lease, report: specs.ModelReport) -> bool:
    """Was it used, and is the swap over? Then the node's own ledger says all that is left to know of it."""
    return report.highest_permit >= lease.number and resolved(lease, report)


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


def _permit(name: str, report: specs.ModelReport, wanted: DesiredVersion, number: int, moment: Moment) -> Permit:
    return Permit(
        node=name,
        number=number,
        request=report.permit_request,
        granted_ms=moment.now_ms,
        ttl_ms=moment.ttl_ms(name, report.permit_request),
        epoch=moment.epoch,
        digest=report.target_digest,
        rollout=wanted.rollout,
        attempt=wanted.attempt,
    )


def _is_unseen(model: str, permit: Permit, node: specs.EdgeNode | None, leases: Mapping[str, specs.Lease]) -> bool:
    """Does it count, and is it not yet in its node's assignment?"""
    lease = leases.get(permit.node)
    if node is None or lease is None or lease.number != permit.number:
        return False
    current = node.assignment(model)
    return current is None or current.lease is None or current.lease.number < permit.number


def _size(permits: Iterable[Permit], beside: Iterable[Permit] = ()) -> int:
    """Bytes that `permits` take in a status that holds those of `beside`."""
    groups, size = {said_by(one) for one in beside}, 0
    for permit in permits:
        size += len(permit.node) + _EACH_BYTES
        if (said := said_by(permit)) not in groups:
            size += _GROUP_BYTES + len(permit.rollout)
            groups.add(said)
    return size


def _assignment(
    model: str,
    node: specs.EdgeNode,
    wanted: DesiredVersion,
    lease: specs.Lease | None,
    unseen: Permit | None,
    moment: Moment,
) -> specs.Assignment | None:
    """What differs from what the node holds is written: a permit that is over stands until there is another."""
    version, current = wanted.version, node.assignment(model)
    if version is None:  # what is withdrawn from a node that may be swapping is so when that is over
        return replace(current, permit=None) if current is not None and lease is not None else None
    was = max(node.report(model).version, current.version if current else 0)
    back = version.version < was or (current is not None and current.digest == version.digest and current.rollback)
    target = (version.digest, wanted.rollout, wanted.attempt)
    is_same = current is not None and target == (current.digest, current.rollout, current.attempt)
    permit = current.permit if current is not None and is_same else None
    if lease is not None and unseen is not None:
        is_offered = moment.lease_age_ms(node.name, lease) < TTL_MS
        if is_offered and target == (lease.digest, lease.rollout, lease.attempt):
            permit = specs.PermitGrant(lease.number, unseen.ttl_ms, lease.request, lease.epoch)
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
