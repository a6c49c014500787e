"""May the wave pass? The comparison of `core.evidence`, and explicit rules for when there is nothing to compare with.

A first version has no baseline: absolute limits (failures, updated nodes, soak, self-test) decide. When no node is left
on stable, an earlier wave's comparison (or an operator's promotion) holds; a strategy without one asks an operator,
unless it names the past as its baseline or requires no analysis. Requests that fail on the nodes and did not with the
version before speak against a version in any case.

In a large fleet (`waves.LARGE_FLEET`) a wave judges only when it and those before it have enough nodes, and enough are
left on stable: the answers of fewer neither pass nor fail it, absolute limits do. A node that refuses the version or
crashes on it counts as ever. A rollout that no wave of which can judge waits for an operator.
"""

from dataclasses import replace
from typing import Any

from skerry.core.evidence import Evidence, Verdict, objection, verdict
from skerry.core.gates import Outcome
from skerry.core.rollout.case import Question
from skerry.core.rollout.status import MESSAGE_CHARS, PROMOTED, Status
from skerry.core.rollout.waves import LEAST_JUDGING, Scene

COMPARED = frozenset({"NotWorse", PROMOTED})
NO_WAVE_JUDGES, JUDGED_LATER = "NoWaveJudges", "JudgedLater"
_MAX_SET_ASIDE = 5  # nodes that a verdict names
MAX_BEFORE_NODES = 200  # whose requests are read: each look reads a counter of each


def question(scene: Scene, status: Status) -> Question | None:
    """What to count for the wave that soaks now; None when there is nothing to compare."""
    if scene.stable is None or scene.stable.digest == scene.target.digest or not status.evidence_since_ms:
        return None
    canary = _members(scene, status, upto=True)
    baseline, since_ms = _members(scene, status, upto=False), status.evidence_since_ms
    if not baseline and scene.strategy.analysis.baseline == "Historical":
        baseline = tuple(scene.nodes)
        since_ms = status.started_ms - max(1000 * scene.strategy.analysis.history_s, scene.patience_ms)
    if not canary:
        return None
    return Question(
        scene.target.digest,
        canary,
        scene.stable.digest,
        baseline,
        status.evidence_since_ms,
        since_ms,
        before_nodes=tuple(dict.fromkeys((*canary, *sorted(scene.nodes))))[:MAX_BEFORE_NODES],
        before_since_ms=status.started_ms - 1000 * scene.strategy.analysis.history_s,
    )


def judge(scene: Scene, status: Status, evidence: Evidence | None) -> Verdict:
    """The verdict on the current wave at this moment. Missing data is never a pass."""
    if scene.lost_stable:
        text = f"the stable version {status.stable_version} is gone: nothing to compare with"
        return Verdict(Outcome.INCONCLUSIVE, "StableVersionMissing", text)
    if scene.stable is None:
        return Verdict(Outcome.PASS, "NoBaseline", "a first version: absolute limits decided")
    if scene.stable.digest == scene.target.digest:
        return Verdict(Outcome.PASS, "SameVersion", "this is the stable version itself")
    required, judges = scene.strategy.analysis.required, max(1, status.judges)
    asked = question(scene, status)
    if asked is not None and len(asked.canary_nodes) < judges:
        return _left_to_another_wave(scene, status)
    against = objection(evidence, scene.strategy.analysis, now_ms=scene.now_ms, judges=judges)
    if against is not None:
        return against
    if asked is None or len(asked.baseline_nodes) < judges:
        if any(wave.verdict.get("code") in COMPARED for wave in status.waves[: status.wave]):
            left = "too few nodes are" if asked is not None and asked.baseline_nodes else "no node is"
            return Verdict(Outcome.PASS, "NoBaselineLeft", f"compared in an earlier wave; {left} left on stable")
        if asked is not None and asked.baseline_nodes:
            return _left_to_another_wave(scene, status)
        if required:
            text = (
                "no node runs the stable version, so nothing can be compared: promote the wave, or set "
                "analysis.baseline to Historical, or analysis.required to false"
            )
            return Verdict(Outcome.INCONCLUSIVE, "NoBaselineLeft", text)
        return Verdict(Outcome.PASS, "NotRequired", "no analysis is required; absolute limits decided")
    delay = scene.case.delay
    judged = verdict(evidence, scene.strategy.analysis, now_ms=scene.now_ms, judges=judges, delay=delay)
    if len(asked.canary_nodes) == 1 and judged.outcome in (Outcome.PASS, Outcome.FAIL):
        judged = replace(judged, reason=f"{judged.reason}; one node decides in a fleet of {_fleet(status)}")
    if not required and judged.outcome is not Outcome.FAIL:
        return Verdict(Outcome.PASS, "NotRequired", f"no analysis is required; {judged.reason}")
    return judged


def verdict_json(judged: Verdict, *, final: bool) -> dict[str, Any]:
    """As a wave keeps it. `final`: the wave has passed on it."""
    shown = judged.to_json()
    aside = {"setAside": shown["setAside"][:_MAX_SET_ASIDE]} if "setAside" in shown else {}
    return shown | aside | {"reason": judged.reason[:MESSAGE_CHARS], "final": final}


def _left_to_another_wave(scene: Scene, status: Status) -> Verdict:
    """The verdict on a wave whose answers are of too few nodes."""
    few = f"in a fleet of {_fleet(status)} the answers of fewer than {status.judges} nodes decide nothing"
    for index in range(status.wave + 1, len(status.waves)):
        if _can_judge(scene, status, index):
            return Verdict(Outcome.PASS, JUDGED_LATER, f"{few}; wave {status.waves[index].name} judges")
    if not scene.strategy.analysis.required:
        return Verdict(Outcome.PASS, "NotRequired", f"no analysis is required; {few}")
    text = (
        f"{few}, and no wave has so many and leaves so many on the stable version: promote the wave, or start again "
        f'with a wave of size "{LEAST_JUDGING}" or more before the last'
    )
    return Verdict(Outcome.INCONCLUSIVE, NO_WAVE_JUDGES, text)


def _can_judge(scene: Scene, status: Status, index: int) -> bool:
    canary = sum(map(len, scene.members[: index + 1]))
    left = sum(map(len, scene.members[index + 1 :]))
    historical = scene.strategy.analysis.baseline == "Historical"
    return canary >= status.judges and (historical or left >= status.judges)


def _fleet(status: Status) -> int:
    return sum(wave.size for wave in status.waves)


def _members(scene: Scene, status: Status, *, upto: bool) -> tuple[str, ...]:
    """Existing members of the waves up to the current one, or of those after it."""
    waves = scene.members[: status.wave + 1] if upto else scene.members[status.wave + 1 :]
    return tuple(name for wave in waves for name in wave)
