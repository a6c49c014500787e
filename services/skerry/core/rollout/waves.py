"""The waves of a rollout: which nodes it may touch, in which wave each comes, and where each stands.

Membership is frozen when an attempt starts: later nodes catch up after it, deleted ones leave numerator and
denominator.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from skerry.core import specs
from skerry.core.rollout.case import Case
from skerry.core.rollout.permits import MAX_AT_ONCE, Moment
from skerry.core.rollout.status import MAX_NAMED, Failure, Status, Tally, Wave

LARGE_FLEET = 10  # nodes from which on no node's answers pass or fail a wave alone
JUDGES = 3  # nodes whose answers must be counted there: of two that differ nobody can say which one is right
_MAX_BYTES = 480_000  # of a status as JSON, beside its spec
_OTHER_BYTES = 130_000  # reasons of failures, permits without names, verdicts
LEAST_JUDGING = JUDGES + 1  # nodes of the wave that judges, if its size is a percentage: one may be silent


@dataclass(frozen=True, slots=True)
class Scene:
    """A case with everything looked up. `stable` is the frozen stable version, None when there was none; `lost_stable`:
    there was one and it is gone."""

    case: Case
    target: specs.ModelVersion
    fleet: specs.EdgeFleet
    nodes: Mapping[str, specs.EdgeNode]
    moment: Moment
    stable: specs.ModelVersion | None = None
    lost_stable: bool = False

    @property
    def model(self) -> str:
        return self.case.rollout.model

    @property
    def name(self) -> str:
        return self.case.rollout.name

    @property
    def strategy(self) -> specs.RolloutStrategy:
        return self.case.rollout.strategy

    @property
    def now_ms(self) -> int:
        return self.moment.now_ms

    @property
    def clock_ms(self) -> int:
        return self.moment.elapsed.clock_ms

    @property
    def patience_ms(self) -> int:
        """Until one node can have as many answers with their truth as the comparison asks for."""
        return self.case.delay.patience_ms(self.strategy.analysis.min_samples)

    def report(self, name: str) -> specs.ModelReport:
        return self.nodes[name].report(self.model)

    def reachable(self, name: str) -> bool:
        return self.moment.online(self.nodes[name]) and not self.nodes[name].cordoned


def freeze(scene: Scene) -> tuple[Wave, ...]:
    """The waves with their members. Reachable nodes come first, then in an order that differs from rollout to rollout,
    so that the same site is not always the canary. Sizes are cumulative; a wave that adds no node is left out. In a
    large fleet the last wave before the rest is rounded up, if it is a percentage, so that it can judge."""
    candidates = [name for name, node in scene.nodes.items() if not node.cordoned]
    candidates.sort(key=lambda name: (not scene.reachable(name), _shuffled(scene.name, name)))
    waves, done = [], 0
    for index, wave in enumerate(scene.strategy.waves):
        upto = max(done, wave.size.ceil_of(len(candidates)))
        before_the_rest = index == len(scene.strategy.waves) - 2
        if before_the_rest and wave.size.percent and judges(len(candidates)) > 1:
            upto = max(upto, LEAST_JUDGING)
        if upto > done:
            waves.append(Wave(wave.name, tuple(candidates[done:upto]), asks=wave))
        done = upto
    return tuple(waves)


def too_many(frozen: Sequence[Wave]) -> str | None:
    """Why a rollout cannot name so many nodes, for people; None: it can. An object holds half a MiB."""
    sizes = [len(name) for wave in frozen for name in wave.nodes]
    named = (3 * MAX_NAMED + 2 * MAX_AT_ONCE) * max(sizes, default=0) + _OTHER_BYTES
    size = sum(sizes) + 3 * len(sizes) + named
    if size <= _MAX_BYTES:
        return None
    return (
        f"the names of {len(sizes)} nodes do not fit into one rollout ({size} bytes of {_MAX_BYTES}): give the model "
        "to fleets that are smaller (labels and a selector each), or the nodes shorter names"
    )


def judges(fleet_nodes: int) -> int:
    """How many nodes' answers must be counted before they pass or fail a wave."""
    return JUDGES if fleet_nodes >= LARGE_FLEET else 1


def wave_spec(strategy: specs.RolloutStrategy, wave: Wave) -> specs.WaveSpec:
    """What was asked of a wave when its attempt began. A release that did not write it down had it in the strategy."""
    known = (spec for spec in strategy.waves if spec.name == wave.name)
    return wave.asks or next(known, specs.WaveSpec(wave.name, specs.Amount(100, percent=True)))


def record_outcomes(scene: Scene, status: Status) -> Status:
    """`status` with every refusal of this attempt recorded for good, and the nodes that are deferred now."""
    failed = {failure.node: failure for failure in status.failed}
    incompatible = {failure.node: failure for failure in status.incompatible}
    members = [name for wave in status.waves for name in wave.nodes if name in scene.nodes]
    for name in members:
        report = scene.report(name)
        target = (report.target_digest, report.target_rollout, report.target_attempt)
        if target != (scene.target.digest, scene.name, status.attempt):
            continue
        reason = f"{report.target_state}: {report.reason}"[:200]
        if report.target_state in (specs.TargetState.REFUSED, specs.TargetState.SWAP_FAILED):
            failed.setdefault(name, Failure(name, reason))
        elif report.target_state == specs.TargetState.INCOMPATIBLE:
            incompatible.setdefault(name, Failure(name, reason))
    deferred = sorted(name for name in members if name not in failed and not scene.reachable(name))
    return replace(
        status,
        failed=tuple(failed.values()),
        incompatible=tuple(incompatible.values()),
        deferred=tuple(deferred),
    )


def tally(scene: Scene, status: Status, names: Sequence[str]) -> Tally:
    """Where these members stand. Updated: reachable, and itself reports the version as loaded."""
    failed = {failure.node for failure in status.failed}
    incompatible = {failure.node for failure in status.incompatible}
    counts = {"updated": 0, "failed": 0, "incompatible": 0, "deferred": 0, "pending": 0}
    for name in names:
        if name not in scene.nodes:
            continue
        if name in failed:
            counts["failed"] += 1
        elif not scene.reachable(name):
            counts["deferred"] += 1
        elif name in incompatible:
            counts["incompatible"] += 1
        elif scene.report(name).digest == scene.target.digest:
            counts["updated"] += 1
        else:
            counts["pending"] += 1
    return Tally(**counts)


def _shuffled(rollout: str, node: str) -> str:
    return hashlib.sha256(f"{rollout}/{node}".encode()).hexdigest()
