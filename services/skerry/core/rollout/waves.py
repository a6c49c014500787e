"""The waves of a rollout: which nodes it may touch, in which wave each comes, and where each stands.

Membership is frozen when an attempt starts: later nodes catch up after it, deleted ones leave numerator and
denominator.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from skerry.core import specs
from skerry.core.rollout.case import Case
from skerry.core.rollout.permits import Moment
from skerry.core.rollout.status import Failure, Status, Tally, Wave


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

    def report(self, name: str) -> specs.ModelReport:
        return self.nodes[name].report(self.model)

    def reachable(self, name: str) -> bool:
        return self.moment.online(self.nodes[name]) and not self.nodes[name].cordoned


def freeze(scene: Scene) -> tuple[Wave, ...]:
    """The waves with their members. Reachable nodes come first, then in an order that differs from rollout to rollout,
    so that the same site is not always the canary. Sizes are cumulative; a wave that adds no node is left out."""
    candidates = [name for name, node in scene.nodes.items() if not node.cordoned]
    candidates.sort(key=lambda name: (not scene.reachable(name), _shuffled(scene.name, name)))
    waves, done = [], 0
    for wave in scene.strategy.waves:
        upto = max(done, wave.size.ceil_of(len(candidates)))
        if upto > done:
            waves.append(Wave(wave.name, tuple(candidates[done:upto])))
        done = upto
    return tuple(waves)


def wave_spec(scene: Scene, wave: Wave) -> specs.WaveSpec:
    """The strategy of a frozen wave. Waves cannot change within an attempt: a change starts another."""
    return next(spec for spec in scene.strategy.waves if spec.name == wave.name)


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
        reason = f"{report.target_state}: {report.reason}"[:500]
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
