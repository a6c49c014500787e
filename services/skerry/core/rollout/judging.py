"""May the wave pass? The comparison of `core.evidence`, and explicit rules for when there is nothing to compare with.

A first version has no baseline: absolute limits (failures, updated nodes, soak, self-test) decide. When no node is left
on stable, an earlier wave's comparison (or an operator's promotion) holds; a strategy without one asks an operator,
unless it names the past as its baseline or requires no analysis. Requests that fail on the nodes and did not with the
version before speak against a version in any case.
"""

from typing import Any

from skerry.core.evidence import Evidence, Verdict, objection, verdict
from skerry.core.gates import Outcome
from skerry.core.rollout.case import Question
from skerry.core.rollout.status import Status
from skerry.core.rollout.waves import Scene

COMPARED = frozenset({"NotWorse", "Promoted"})
MAX_BEFORE_NODES = 200  # whose requests are read: each look reads a counter of each


def question(scene: Scene, status: Status) -> Question | None:
    """What to count for the wave that soaks now; None when there is nothing to compare."""
    if scene.stable is None or scene.stable.digest == scene.target.digest or not status.evidence_since_ms:
        return None
    canary = _members(scene, status, upto=True)
    baseline, since_ms = _members(scene, status, upto=False), status.evidence_since_ms
    if not baseline and scene.strategy.analysis.baseline == "Historical":
        baseline = tuple(scene.nodes)
        since_ms = status.started_ms - 1000 * scene.strategy.analysis.history_s
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
    required = scene.strategy.analysis.required
    against = objection(evidence, scene.strategy.analysis, now_ms=scene.now_ms)
    if against is not None:
        return against
    asked = question(scene, status)
    if asked is None or not asked.baseline_nodes:
        if any(wave.verdict.get("code") in COMPARED for wave in status.waves[: status.wave]):
            return Verdict(Outcome.PASS, "NoBaselineLeft", "compared in an earlier wave; no node is left on stable")
        if required:
            text = (
                "no node runs the stable version, so nothing can be compared: promote the wave, or set "
                "analysis.baseline to Historical, or analysis.required to false"
            )
            return Verdict(Outcome.INCONCLUSIVE, "NoBaselineLeft", text)
        return Verdict(Outcome.PASS, "NotRequired", "no analysis is required; absolute limits decided")
    judged = verdict(evidence, scene.strategy.analysis, now_ms=scene.now_ms)
    if not required and judged.outcome is not Outcome.FAIL:
        return Verdict(Outcome.PASS, "NotRequired", f"no analysis is required; {judged.reason}")
    return judged


def verdict_json(judged: Verdict, *, final: bool) -> dict[str, Any]:
    """As a wave keeps it. `final`: the wave has passed on it."""
    return judged.to_json() | {"final": final}


def _members(scene: Scene, status: Status, *, upto: bool) -> tuple[str, ...]:
    """Existing members of the waves up to the current one, or of those after it."""
    waves = status.waves[: status.wave + 1] if upto else status.waves[status.wave + 1 :]
    return tuple(name for wave in waves for name in wave.nodes if name in scene.nodes)
