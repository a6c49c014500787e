"""Observe, plan, apply: every rollout and every settled model, one step further.

What is right is decided by `core.rollout`; here it is read and written, in the order that `Plan` and `Settlement` ask
for. A conflict ends the step of that rollout: the next tick reads again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from skerry.adapters.fleetstate.protocol import FleetState
from skerry.adapters.lease import epochs
from skerry.adapters.objects.protocol import Object
from skerry.adapters.telemetry import logs
from skerry.adapters.telemetry.on_change import OnChange
from skerry.controller import announcing, condition_json, observe
from skerry.controller.store import LeadershipLostError, Store
from skerry.core import errors, evidence, rollout, specs

log = logs.logger("controller")

_TRIES = 3
_EVIDENCE_MS = 2_000
Assignments = Mapping[str, specs.Assignment | None]


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything that plans are made from, read once in a tick. What cannot be parsed is told of and left out."""

    nodes: Sequence[specs.EdgeNode]
    fleets: Mapping[str, specs.EdgeFleet]
    versions: Mapping[str, specs.ModelVersion]

    def of(self, model: str) -> Mapping[str, specs.ModelVersion]:
        return {name: one for name, one in self.versions.items() if one.model == model}


def read_inventory(store: Store, on_change: OnChange) -> Inventory:
    fleets: dict[str, specs.EdgeFleet] = {}
    for one in store.list("EdgeFleet"):
        try:
            fleets[one.name] = specs.parse_fleet(one.name, one.spec)
        except errors.InputError as exc:
            _unreadable(on_change, one, exc)
    versions: dict[str, specs.ModelVersion] = {}
    for one in store.list("ModelVersion"):
        if not condition_json.is_true(one.status, "Available"):
            continue
        try:
            versions[one.name] = specs.parse_model_version(one.name, one.spec)
        except errors.InputError as exc:
            _unreadable(on_change, one, exc)
    nodes: list[specs.EdgeNode] = []
    for one in store.list("EdgeNode"):
        try:
            nodes.append(specs.parse_node(one.name, one.spec, one.status))
        except errors.InputError as exc:
            _unreadable(on_change, one, exc)
    return Inventory(nodes, fleets, versions)


def _unreadable(on_change: OnChange, thing: Object, exc: errors.InputError) -> None:
    if on_change.differs(f"{thing.kind} {thing.name}", str(exc)):
        log.warning("object_unreadable", kind=thing.kind, name=thing.name, error=str(exc))


class Rollouts:
    """Steps all rollouts, then settles the nodes that no rollout is busy with."""

    def __init__(self, store: Store, fleetstate: FleetState) -> None:
        self._store, self._fleetstate = store, fleetstate
        self._on_change = OnChange()
        self._answers: dict[str, tuple[rollout.Question, evidence.Evidence]] = {}

    def step(self, *, now_ms: int, epoch: int) -> None:
        inventory = read_inventory(self._store, self._on_change)
        busy: dict[str, set[str]] = {}
        known = self._known(now_ms)
        newer = rollout.superseded_by([(thing.created_unix_ms, spec, status) for thing, spec, status in known])
        for thing, spec, status in known:
            if not rollout.active(spec, status):
                self._answers.pop(spec.name, None)
                continue
            try:
                held = self._plan(inventory, thing, spec, status, newer.get(spec.name, ""), now_ms, epoch)
                self._on_change.forget(spec.name)
            except LeadershipLostError:
                raise
            except errors.SkerryError as exc:
                self._log_failure("rollout_failed", spec.name, exc)
                held = {node.name for node in inventory.nodes}  # nobody else moves these nodes before it was planned
            busy.setdefault(spec.model, set()).update(held)
        for model in self._store.list("EdgeModel"):
            try:
                self._settle(inventory, model, frozenset(busy.get(model.name, ())), now_ms, epoch)
                self._on_change.forget(model.name)
            except LeadershipLostError:
                raise
            except errors.SkerryError as exc:
                self._log_failure("settling_failed", model.name, exc)

    def _log_failure(self, event: str, name: str, exc: errors.SkerryError) -> None:
        """A conflict is nothing to tell of: the next tick reads again."""
        if not isinstance(exc, errors.ConflictError) and self._on_change.differs(name, str(exc)):
            log.warning(event, name=name, error=str(exc))

    def _known(self, now_ms: int) -> list[tuple[Object, specs.ModelRollout, rollout.Status]]:
        found = []
        for thing in self._store.list("ModelRollout"):
            try:
                spec = specs.parse_rollout(thing.name, thing.spec)
                found.append((thing, spec, rollout.from_json(thing.name, thing.status)))
            except errors.InputError as exc:
                self._refuse(thing, str(exc), now_ms)
        return found

    def _refuse(self, thing: Object, why: str, now_ms: int) -> None:
        if not condition_json.has(thing.status, "Accepted", "False", "Invalid", why):
            log.warning("rollout_unreadable", rollout=thing.name, error=why)
        status = condition_json.with_condition(thing.status, "Accepted", "False", "Invalid", why, now_ms)
        self._store.put_status(
            thing, condition_json.with_condition(status, "Succeeded", "False", "Invalid", why, now_ms)
        )

    def _plan(
        self,
        inventory: Inventory,
        thing: Object,
        spec: specs.ModelRollout,
        status: rollout.Status,
        newer: str,
        now_ms: int,
        epoch: int,
    ) -> set[str]:
        """One step of one rollout; returns the nodes that it holds."""
        model = self._store.find("EdgeModel", spec.model)
        stable = str(model.status.get("stableVersion", "")) if model else ""
        case = rollout.Case(
            spec, inventory.of(spec.model), stable, inventory.fleets.get(spec.strategy.fleet), newer if model else ""
        )
        asked = rollout.question(case, status, inventory.nodes, now_ms=now_ms, epoch=epoch)
        found = self._answer(spec, asked, now_ms) if asked else None
        made = rollout.plan(case, status, inventory.nodes, found, now_ms=now_ms, epoch=epoch)
        if made.stale:
            log.warning("stale_epoch", rollout=spec.name, epoch=epoch, seen=status.epoch)
            return {node.name for node in inventory.nodes}
        if made.stable and model is not None:
            self._store.put_status(model, {**model.status, "stableVersion": made.stable})
        written = self._store.put_status(thing, rollout.to_json(made.status))
        for event in made.events:
            log.info("rollout", rollout=spec.name, reason=event.reason, message=event.message, node=event.node)
        self._store.tell(written, announcing.of_rollout(made.events))
        self._assign(spec.model, made.assignments, epoch)
        return set(made.assignments)

    def _answer(self, spec: specs.ModelRollout, asked: rollout.Question, now_ms: int) -> evidence.Evidence:
        """Counted anew when what was counted last is old: a long soak is many counters."""
        known = self._answers.get(spec.name)
        if known is not None and known[0] == asked and 0 <= now_ms - known[1].read_ms < _EVIDENCE_MS:
            return known[1]
        canary = observe.Arm(asked.canary_digest, asked.canary_nodes, asked.since_ms)
        baseline = observe.Arm(asked.baseline_digest, asked.baseline_nodes, asked.baseline_since_ms)
        before = observe.Arm(asked.baseline_digest, asked.before_nodes, asked.before_since_ms)
        found = observe.count(self._fleetstate, spec.model, canary, baseline, before, now_ms=now_ms)
        self._answers[spec.name] = asked, found
        return found

    def _settle(self, inventory: Inventory, model: Object, busy: frozenset[str], now_ms: int, epoch: int) -> None:
        parsed = specs.parse_edge_model(model.name, model.spec)
        settled = rollout.settled_from_json(model.name, model.status.get("catchUp"))
        fleet = inventory.fleets.get(parsed.rollout.fleet)
        stable = inventory.versions.get(str(model.status.get("stableVersion", "")))
        if fleet is None or stable is None:
            return
        made = rollout.settle(model.name, stable, fleet, settled, inventory.nodes, busy, now_ms=now_ms, epoch=epoch)
        if made.stale:
            return
        if made.settled != settled:
            self._store.put_status(model, {**model.status, "catchUp": rollout.settled_to_json(made.settled)})
        for event in made.events:
            log.info("settled", model=model.name, reason=event.reason, message=event.message, node=event.node)
        self._assign(model.name, made.assignments, epoch)

    def _assign(self, model: str, assignments: Assignments, epoch: int) -> None:
        for node, wanted in sorted(assignments.items()):
            self._assign_node(node, model, wanted, epoch)

    def _assign_node(self, node: str, model: str, wanted: specs.Assignment | None, epoch: int) -> None:
        """One entry of EdgeNode.spec.assignments, the others left as they are. The gateway writes the same object's
        status often: a conflict with it is read again at once. Raises LeadershipLostError when a later leader has
        written there."""
        for attempt in range(_TRIES):
            thing = self._store.find("EdgeNode", node)
            if thing is None:
                return
            if (later := max(epochs.named_by(thing), default=0)) > epoch:
                raise LeadershipLostError(f"EdgeNode {node} was written by a leader of epoch {later}, ours is {epoch}")
            kept = [one for one in thing.spec.get("assignments", []) if one.get("model") != model]
            mine = [] if wanted is None else [specs.assignment_json(wanted)]
            entries = sorted([*kept, *mine], key=lambda one: str(one["model"]))
            try:
                self._store.put_spec(thing, {"assignments": entries})
                return
            except errors.ConflictError:
                if attempt == _TRIES - 1:
                    log.info("node_read_again", node=node)
