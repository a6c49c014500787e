"""The rollout's state machine: `plan` turns intent, status, nodes and evidence into the next status and assignments.

    Pending ──► Progressing{wave i: Activate → Soak → Judge} ──► Succeeded
       │              │ failures, harm, abort
       │              ▼
       └──abort──► RollingBack ──► RolledBack | RollbackIncomplete      (from any of these: Superseded;
                                                                         from Pending: Invalid)

A pause is beside the state (`pauses`). An attempt is fenced by its number, which rises when the fixed part of the spec
changes (a new version, waves or retry token); terminal states are immutable within it. Everything is level-triggered:
planning twice is planning once, nothing is remembered outside the status and the assignments, and success is only what
nodes report as loaded. Each rule has its own module; this one puts them in order.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from skerry.core import specs
from skerry.core.evidence import Evidence
from skerry.core.rollout import conditions, judging, pauses, permits, progress, rollback, waves, writing
from skerry.core.rollout.case import Case, Plan, Question
from skerry.core.rollout.elapsed import Elapsed
from skerry.core.rollout.permits import DesiredVersion, Moment
from skerry.core.rollout.status import (
    INVALID,
    PENDING,
    PROGRESSING,
    ROLLBACK_INCOMPLETE,
    ROLLED_BACK,
    ROLLING_BACK,
    SUCCEEDED,
    SUPERSEDED,
    Status,
)
from skerry.core.rollout.waves import Scene

BACKWARDS = "CounterNotMonotonic"
_MAX_STEPS = 4 * 20 + 8  # transitions that one moment can bring: four per wave


def plan(
    case: Case,
    status: Status,
    nodes: Sequence[specs.EdgeNode],
    evidence: Evidence | None,
    *,
    now_ms: int,
    epoch: int,
    elapsed: Elapsed,
) -> Plan:
    """The next status and what every node in scope shall be assigned.

    `nodes` are all nodes (the fleet's selector is applied here), `evidence` the answer to `question` (None: not read),
    `now_ms` the wall clock for stamps, `epoch` that of the caller's lease, `elapsed` what it counted. Raises nothing:
    what is missing becomes a condition.
    """
    if epoch < status.epoch:
        return Plan(status, stale=True)
    elapsed = replace(elapsed, clock_ms=max(1, elapsed.clock_ms, status.clock_ms))
    before, status = status, _current_attempt(case.rollout, status)
    if status.terminal:
        return Plan(status)
    status = replace(_with_clock_marks(case.rollout, status, elapsed.clock_ms), epoch=epoch)
    planned = _plan(case, status, nodes, evidence, Moment(now_ms, epoch, 0, elapsed))
    after = writing.to_write(before, planned.status, elapsed.clock_ms)
    return replace(planned, status=after, events=(*conditions.transitions(before, after), *planned.events))


def _plan(
    case: Case,
    status: Status,
    nodes: Sequence[specs.EdgeNode],
    evidence: Evidence | None,
    moment: Moment,
) -> Plan:
    now_ms = moment.now_ms
    if case.newer:
        return Plan(conditions.end(status, SUPERSEDED, "Superseded", f"{case.newer} is newer", now_ms))
    scene, reason, message = _look_up(case, status, nodes, moment)
    status = conditions.set_accepted(status, reason, message, now_ms)
    if scene is None:
        return Plan(_wait_for_references(case, status, reason, message, moment))
    for _ in range(_MAX_STEPS):
        if status.waves and not scene.members:
            scene = waves.located(scene, status)
        moved = _step(scene, status, evidence)
        if moved == status:
            break
        status = moved
    if status.terminal:
        stable = scene.target.name if status.state == SUCCEEDED else ""
        return Plan(status, stable=stable)
    return _assign(scene, conditions.set_paused(status, now_ms))


def question(
    case: Case, status: Status, nodes: Sequence[specs.EdgeNode], *, now_ms: int, epoch: int, elapsed: Elapsed
) -> Question | None:
    """The evidence that the next `plan` would use; None: it needs none."""
    if status.state != PROGRESSING:
        return None
    scene, _, _ = _look_up(case, status, nodes, Moment(now_ms, epoch, 0, elapsed))
    return None if scene is None else judging.question(waves.located(scene, status), status)


def active(rollout: specs.ModelRollout, status: Status) -> bool:
    """Does it still want something: not terminal, or asked for another attempt?"""
    return not status.terminal or status.spec_hash != rollout.fingerprint


def superseded_by(rollouts: Sequence[tuple[int, specs.ModelRollout, Status]]) -> Mapping[str, str]:
    """Which rollout each active one yields to ("": none), by name. Given are (createdUnixMs, spec, status); of one
    model's active rollouts the one created last goes on. Kubernetes knows that to the second: of one second it is the
    one with the higher numbers in its name, as the release counter is."""
    newest: dict[str, tuple[int, tuple[tuple[int, str], ...], str]] = {}
    wanting = [(created_ms, rollout) for created_ms, rollout, status in rollouts if active(rollout, status)]
    for created_ms, rollout in wanting:
        mine = (created_ms, _by_number(rollout.name), rollout.name)
        newest[rollout.model] = max(newest.get(rollout.model, mine), mine)
    return {
        rollout.name: "" if newest[rollout.model][2] == rollout.name else newest[rollout.model][2]
        for _, rollout in wanting
    }


def _by_number(name: str) -> tuple[tuple[int, str], ...]:
    """For sorting: v10 comes after v9."""
    return tuple((int(part) if part.isascii() and part.isdigit() else -1, part) for part in re.split(r"([0-9]+)", name))


def _current_attempt(rollout: specs.ModelRollout, status: Status) -> Status:
    """The same attempt, or a fresh one: permits and numbers are all that the new one keeps of the old."""
    if status.spec_hash == rollout.fingerprint:
        return status
    return Status(
        attempt=status.attempt + 1,
        spec_hash=rollout.fingerprint,
        permits=status.permits,
        permit_number=status.permit_number,
        pause_number=status.pause_number,
        epoch=status.epoch,
        clock_ms=status.clock_ms,
    )


def _with_clock_marks(rollout: specs.ModelRollout, status: Status, clock_ms: int) -> Status:
    """A rollout that a release without clocks began: what it waits for begins to count now. Its waves are what they
    were, whatever a later release takes for a default."""
    if status.clock_ms or status.state not in (PROGRESSING, ROLLING_BACK):
        return status
    marked = tuple(
        replace(
            wave,
            asks=waves.wave_spec(rollout.strategy, wave),
            soak_clock_ms=clock_ms if wave.soak_started_ms else 0,
            judge_clock_ms=clock_ms if wave.judge_since_ms else 0,
        )
        for wave in status.waves
    )
    evidence_clock_ms = clock_ms if status.evidence_since_ms else 0
    return replace(status, waves=marked, progress_clock_ms=clock_ms, evidence_clock_ms=evidence_clock_ms)


def _look_up(
    case: Case, status: Status, nodes: Sequence[specs.EdgeNode], moment: Moment
) -> tuple[Scene | None, str, str]:
    """The scene, or None with a reason and a message for people."""
    rollout = case.rollout
    target = case.versions.get(rollout.version)
    started = status.state != PENDING
    name = status.stable_version if started else case.stable
    stable = case.versions.get(name)
    if target is None:
        return None, "VersionNotAvailable", f"{rollout.version} is no published version of {rollout.model}"
    if case.fleet is None:
        return None, "FleetNotFound", specs.fleet_missing(rollout.strategy.fleet)
    if not started and name and stable is None:
        return None, "StableVersionMissing", f"the stable version {name} is not published: nothing to go back to"
    if not started and stable is not None and target.version < stable.version and not rollout.rollback:
        text = f"{target.name} is older than the stable {stable.name}: set spec.rollback to go back"
        return None, BACKWARDS, text
    scope = {node.name: node for node in sorted(nodes, key=lambda node: node.name) if case.fleet.selects(node)}
    moment = replace(moment, offline_after_ms=1000 * case.fleet.offline_after_s)
    return Scene(case, target, case.fleet, scope, moment, stable, bool(name) and stable is None), "", ""


def _wait_for_references(case: Case, status: Status, reason: str, message: str, moment: Moment) -> Status:
    """What it refers to is missing: it waits, holds no node, and can be aborted. What can never be right ends."""
    now_ms = moment.now_ms
    if reason == BACKWARDS:
        return conditions.end(status, INVALID, reason, message, now_ms)
    if case.rollout.aborted:
        state = ROLLED_BACK if status.state == PENDING else ROLLBACK_INCOMPLETE
        return conditions.end(status, state, "Aborted", f"an operator aborted it; {message}", now_ms)
    status = conditions.put(
        pauses.apply_operator_input(case.rollout, status, now_ms, moment.elapsed.clock_ms),
        conditions.PROGRESSING,
        "False",
        reason,
        message,
        now_ms,
    )
    return conditions.set_paused(status, now_ms)


def _step(scene: Scene, status: Status, evidence: Evidence | None) -> Status:
    if status.terminal:
        return status
    if scene.case.rollout.aborted and status.state in (PENDING, PROGRESSING):
        if status.state == PENDING:  # an earlier attempt may have left nodes on the version
            status = replace(status, stable_version=scene.case.stable)
        return rollback.begin(scene, status, "Aborted", "an operator aborted it")
    if status.state == ROLLING_BACK:
        return rollback.step(scene, status)
    status = pauses.apply_operator_input(scene.case.rollout, status, scene.now_ms, scene.clock_ms)
    if status.state == PENDING:
        return _start(scene, status)
    return progress.step(scene, status, evidence)


def _start(scene: Scene, status: Status) -> Status:
    """Freeze the waves and the version to go back to, unless paused or without any node."""
    if pauses.paused(status):
        return status
    if fault := waves.fault(scene):
        return conditions.end(status, INVALID, "SelectorTooLarge", fault, scene.now_ms)
    frozen = waves.freeze(scene, status)
    if not frozen.waves:
        return pauses.pause(status, pauses.EMPTY_WAVE, f"fleet {scene.fleet.name} has no node: resume when it has")
    return replace(
        frozen,
        state=PROGRESSING,
        wave=0,
        judges=waves.judges(sum(wave.size for wave in frozen.waves)),
        waves=(replace(frozen.waves[0], started_ms=scene.now_ms), *frozen.waves[1:]),
        stable_version=scene.case.stable,
        progress_ms=scene.now_ms,
        progress_clock_ms=scene.clock_ms,
        started_ms=scene.now_ms,
    )


def _assign(scene: Scene, status: Status) -> Plan:
    """With permits, if it is time for more: `clock_ms` of `status` is when it was written last."""
    nodes = tuple(scene.nodes.values())
    desired = _desired_versions(scene, status)
    if not writing.may_grant(status, len(nodes), scene.clock_ms):
        desired = {name: replace(wanted, permitted=False) for name, wanted in desired.items()}
    granted = permits.grant(
        scene.model,
        desired,
        nodes,
        status.permits,
        status.permit_number,
        budget=max(1, scene.fleet.max_unavailable.floor_of(len(nodes))),
        moment=scene.moment,
    )
    status = replace(status, permits=granted.permits, permit_number=granted.permit_number)
    return Plan(status, granted.assignments, granted.events)


def _desired_versions(scene: Scene, status: Status) -> Mapping[str, DesiredVersion]:
    """What every node in scope shall run, those first that shall swap first."""
    if status.state == PENDING:
        return {}
    back = status.state == ROLLING_BACK
    may_swap = back or not pauses.paused(status)
    desired = {}
    for index, members in enumerate(() if back else scene.members[: status.wave + scene.strategy.preload_ahead + 1]):
        ahead = index > status.wave
        for name in members:
            if ahead and _runs_superseded_version(scene, scene.nodes[name]):
                continue
            permitted = may_swap and not ahead and not scene.nodes[name].cordoned
            desired[name] = DesiredVersion(scene.target, scene.name, status.attempt, permitted)
    for name, node in scene.nodes.items():
        if name not in desired and not scene.lost_stable:
            desired[name] = permits.desired_stable(scene.model, node, scene.stable, permitted=may_swap)
    return desired


def _runs_superseded_version(scene: Scene, node: specs.EdgeNode) -> bool:
    """Does it still run what neither is stable nor comes: a version that was superseded in mid-rollout? Before its wave
    comes it goes back to stable, and serves as baseline there."""
    runs = node.report(scene.model).digest
    return scene.stable is not None and runs not in ("", scene.stable.digest, scene.target.digest)
