"""Observe, plan, apply: every rollout and every settled model, one step further.

What is right is decided by `core.rollout`; here it is read and written, in the order that `Plan` and `Settlement` ask
for. A conflict ends the step of that rollout: the next tick reads again.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from skerry.adapters.fleetstate.protocol import FleetState
from skerry.adapters.objects.protocol import Object
from skerry.adapters.telemetry import logs
from skerry.adapters.telemetry.on_change import OnChange
from skerry.controller import announcing, assigning, condition_json, observe, parsed, stopwatch
from skerry.controller.store import LeadershipLostError, Store
from skerry.core import errors, evidence, exclusions, membership, rollout, specs, truth_delay

log = logs.logger("controller")

_EVIDENCE_MS = 2_000
_LATE_EVIDENCE_MS = 10_000  # of answers whose truth comes late: many counters, for days
Known = tuple[specs.ModelRollout, rollout.Status, bool]  # whether it is active


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything that plans are made from, read once in a tick: of the nodes the members (`core.membership`). What
    cannot be parsed is told of and left out."""

    nodes: Sequence[specs.EdgeNode]
    fleets: Mapping[str, specs.EdgeFleet]
    versions: Mapping[str, specs.ModelVersion]

    def of(self, model: str) -> Mapping[str, specs.ModelVersion]:
        return {name: version for name, version in self.versions.items() if version.model == model}


def read_inventory(store: Store, on_change: OnChange) -> Inventory:
    fleets: dict[str, specs.EdgeFleet] = {}
    for thing in store.list("EdgeFleet"):
        try:
            fleets[thing.name] = specs.parse_fleet(thing.name, thing.spec)
        except errors.InputError as exc:
            _unreadable(on_change, thing, exc)
    versions: dict[str, specs.ModelVersion] = {}
    for thing in store.list("ModelVersion"):
        if not condition_json.is_true(thing.status, "Available"):
            continue
        try:
            versions[thing.name] = specs.parse_model_version(thing.name, thing.spec)
        except errors.InputError as exc:
            _unreadable(on_change, thing, exc)
    nodes, listed = list[specs.EdgeNode](), store.list("EdgeNode")
    for thing in listed:
        try:
            nodes.append(store.nodes.of(thing))
        except errors.InputError as exc:
            _unreadable(on_change, thing, exc)
    store.nodes.keep(listed)
    return Inventory(membership.members(nodes), fleets, versions)


def _unreadable(on_change: OnChange, thing: Object, exc: errors.InputError) -> None:
    if on_change.differs(f"{thing.kind} {thing.name}", str(exc)):
        log.warning("object_unreadable", kind=thing.kind, name=thing.name, error=str(exc))


class Rollouts:
    """Steps all rollouts, then settles the nodes that no rollout is busy with."""

    def __init__(self, store: Store, fleetstate: FleetState, writers: int = assigning.WRITERS) -> None:
        self._store, self._fleetstate = store, fleetstate
        self._on_change = OnChange()
        self._stopwatch = stopwatch.RolloutStopwatch()
        self._answers: dict[str, tuple[rollout.Question, evidence.Evidence]] = {}
        self._parsed = parsed.Parsed[Known](_parse)
        self._assigning = assigning.Assigning(store, writers)

    def step(self, *, now_ms: int, mono_ms: int, epoch: int) -> bool:
        """Returns whether it waits for time to pass, or to try again: it rests when only a change can bring it on."""
        self._assigning.begin()
        inventory = read_inventory(self._store, self._on_change)
        busy: dict[str, set[str]] = {}
        active, models = self._active(now_ms), self._store.list("EdgeModel")
        self._stopwatch.keep([spec.name for _, spec, _ in active])
        self._answers = {spec.name: self._answers[spec.name] for _, spec, _ in active if spec.name in self._answers}
        self._stopwatch.tick(
            inventory.nodes,
            _permits(active, models),
            now_ms=now_ms,
            mono_ms=mono_ms,
            heard_ms=self._store.heard_ms,
        )
        waits = bool(active)
        newer = rollout.superseded_by([(thing.created_unix_ms, spec, status) for thing, spec, status in active])
        for thing, spec, status in active:
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
                waits |= self._settle(inventory, model, frozenset(busy.get(model.name, ())), now_ms, epoch)
                self._on_change.forget(model.name)
            except LeadershipLostError:
                raise
            except errors.SkerryError as exc:
                self._log_failure("settling_failed", model.name, exc)
                waits = True
        return waits

    def _log_failure(self, event: str, name: str, exc: errors.SkerryError) -> None:
        """A conflict is nothing to tell of: the next tick reads again."""
        if not isinstance(exc, errors.ConflictError) and self._on_change.differs(name, str(exc)):
            log.warning(event, name=name, error=str(exc))

    def _active(self, now_ms: int) -> list[tuple[Object, specs.ModelRollout, rollout.Status]]:
        active, listed = [], self._store.list("ModelRollout")
        for thing in listed:
            try:
                spec, status, is_active = self._parsed.of(thing)
            except errors.InputError as exc:
                self._refuse(thing, str(exc), now_ms)
            else:
                if is_active:
                    active.append((thing, spec, status))
        self._parsed.keep(listed)
        return active

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
            spec,
            inventory.of(spec.model),
            stable,
            inventory.fleets.get(spec.strategy.fleet),
            newer if model else "",
            self._delay(model),
        )
        elapsed = self._stopwatch.of(spec.name, status)
        question = rollout.question(case, status, inventory.nodes, now_ms=now_ms, epoch=epoch, elapsed=elapsed)
        counted = self._answer(spec, question, case.delay, now_ms) if question else None
        plan = rollout.plan(case, status, inventory.nodes, counted, now_ms=now_ms, epoch=epoch, elapsed=elapsed)
        if plan.stale:
            log.warning("stale_epoch", rollout=spec.name, epoch=epoch, seen=status.epoch)
            return {node.name for node in inventory.nodes}
        if plan.stable and model is not None:
            self._store.put_status(model, {**model.status, "stableVersion": plan.stable})
        written = self._store.put_status(thing, rollout.to_json(plan.status))
        for event in plan.events:
            log.info("rollout", rollout=spec.name, reason=event.reason, message=event.message, node=event.node)
        self._store.tell(written, announcing.of_rollout(plan.events))
        self._assigning.write(spec.model, inventory.nodes, plan.assignments, epoch)
        return set(plan.assignments)

    def _delay(self, model: Object | None) -> truth_delay.TruthDelay:
        """Of a model of which something else cannot be read by what it answers, all the same: its rollout goes on as
        it did before. Of one that is gone, or answers what cannot be read, as where the truth comes at once."""
        if model is None:
            return truth_delay.AT_ONCE
        try:
            return truth_delay.of(specs.parse_edge_model(model.name, model.spec).task)
        except errors.InputError as exc:
            _unreadable(self._on_change, model, exc)
        with contextlib.suppress(errors.InputError):
            return truth_delay.of(specs.parse_task(model.name, model.spec))
        return truth_delay.AT_ONCE

    def _answer(
        self, spec: specs.ModelRollout, question: rollout.Question, delay: truth_delay.TruthDelay, now_ms: int
    ) -> evidence.Evidence:
        """Counted again when the last count is old: a long soak is many counters."""
        last = self._answers.get(spec.name)
        fresh_ms = _LATE_EVIDENCE_MS if delay.is_late else _EVIDENCE_MS
        if last is not None and last[0] == question and 0 <= now_ms - last[1].read_ms < fresh_ms:
            return last[1]
        canary = observe.Arm(question.canary_digest, question.canary_nodes, question.since_ms)
        baseline = observe.Arm(question.baseline_digest, question.baseline_nodes, question.baseline_since_ms)
        before = observe.Arm(question.baseline_digest, question.before_nodes, question.before_since_ms)
        excluded = exclusions.nodes(one.spec for one in self._store.list("Exclusion"))
        counted = observe.count(
            self._fleetstate, spec.model, canary, baseline, before, now_ms=now_ms, excluded=excluded, delay=delay
        )
        self._answers[spec.name] = question, counted
        return counted

    def _settle(self, inventory: Inventory, model: Object, busy: frozenset[str], now_ms: int, epoch: int) -> bool:
        """Returns whether it waits for time to pass, or has more to write."""
        given = specs.parse_edge_model(model.name, model.spec)
        settled = rollout.settled_from_json(model.name, model.status.get("catchUp"))
        fleet = inventory.fleets.get(given.rollout.fleet)
        stable = inventory.versions.get(str(model.status.get("stableVersion", "")))
        if fleet is None or stable is None:
            return False
        settlement = rollout.settle(
            model.name,
            stable,
            fleet,
            settled,
            inventory.nodes,
            busy,
            now_ms=now_ms,
            epoch=epoch,
            elapsed=self._stopwatch.of_settling(),
        )
        if settlement.stale:
            return False
        if settlement.settled != settled:
            self._store.put_status(model, {**model.status, "catchUp": rollout.settled_to_json(settlement.settled)})
        for event in settlement.events:
            log.info("settled", model=model.name, reason=event.reason, message=event.message, node=event.node)
        is_done = self._assigning.write(model.name, inventory.nodes, settlement.assignments, epoch)
        asks = any(_asks(node, node.report(model.name)) for node in inventory.nodes)
        return not is_done or asks or settlement.waits


def _asks(node: specs.EdgeNode, report: specs.ModelReport) -> bool:
    """Does it wait for a permit, which may come when other nodes' permits end?"""
    return node.connected and report.permit_request > 0 and report.target_state == specs.TargetState.STAGED


def _parse(thing: Object) -> Known:
    spec = specs.parse_rollout(thing.name, thing.spec)
    status = rollout.from_json(thing.name, thing.status)
    return spec, status, rollout.active(spec, status)


def _permits(
    known: Sequence[tuple[Object, specs.ModelRollout, rollout.Status]], models: Sequence[Object]
) -> Iterator[rollout.Permit]:
    """All that are remembered. What cannot be read is told of where it is settled."""
    for _, _, status in known:
        yield from status.permits
    for model in models:
        with contextlib.suppress(errors.InputError):
            yield from rollout.settled_from_json(model.name, model.status.get("catchUp")).permits
