"""One step of the current wave: count, look for failure, wait for its nodes, soak, judge, pass.

Each wave goes Activate → Soak → Judge; every way to wait has a deadline that ends in a pause with a reason. Whether a
node may swap is decided in `permits`; that a wave may not begin before the one before it has passed follows from
`status.wave`, which only `_pass_wave` raises.
"""

from dataclasses import replace

from skerry.core import specs
from skerry.core.evidence import Evidence, Verdict
from skerry.core.gates import Outcome
from skerry.core.rollout import conditions, judging, outcomes, pauses, rollback, waves
from skerry.core.rollout.status import PROMOTED, SUCCEEDED, Status, Tally, Wave
from skerry.core.rollout.waves import Scene

VERDICT_EVERY_MS = 5_000  # numbers alone are written no more often; a changed outcome at once
_NAMED = 5  # nodes that a message names before it counts the rest
_BY_HAND = Verdict(Outcome.PASS, PROMOTED, "an operator passed this wave without evidence")


def step(scene: Scene, status: Status, evidence: Evidence | None) -> Status:
    """The status after at most one transition; an unchanged one is at rest until something else changes."""
    status = _count_members(scene, status)
    if (cause := _rollback_cause(scene, status)) is not None:
        return rollback.begin(scene, status, *cause)
    if _is_promoted(scene, status):
        return _pass_wave(scene, status, _BY_HAND)
    wave = status.current
    if wave.tally.members == 0:
        return pauses.pause(status, pauses.EMPTY_WAVE, f"wave {wave.name} has no node left: promote it or abort")
    if (obstacle := _why_not_soaking(scene, status)) is not None:
        return _wait_or_pause(scene, status, *obstacle)
    if not wave.soak_started_ms:
        if not status.evidence_since_ms:
            status = replace(status, evidence_since_ms=scene.now_ms, evidence_clock_ms=scene.clock_ms)
        return _with_current_wave(status, replace(wave, soak_started_ms=scene.now_ms, soak_clock_ms=scene.clock_ms))
    return _soak_and_judge(scene, status, evidence)


def _count_members(scene: Scene, status: Status) -> Status:
    """Every wave's tally as of now; a member more that is resolved is progress."""
    status = outcomes.record_outcomes(scene, status)
    counted = []
    for wave, tally in zip(status.waves, outcomes.tallies(scene, status), strict=True):
        peak = max(wave.peak, tally.updated + tally.failed + tally.incompatible)
        counted.append(replace(wave, tally=tally, peak=peak, most_failed=max(wave.most_failed, tally.failed)))
    progressed = counted[status.wave].peak > status.current.peak
    status = replace(status, waves=tuple(counted))
    return _progressed(scene, status) if progressed else status


def _rollback_cause(scene: Scene, status: Status) -> tuple[str, str] | None:
    """Why the rollout must be rolled back without any statistics, or None. Waves that only preload count too: what
    they refuse would be refused later."""
    for index, wave in enumerate(status.waves[: status.wave + 1 + scene.strategy.preload_ahead]):
        limit = waves.wave_spec(scene.strategy, wave).max_failures.floor_of(wave.size)
        if wave.most_failed > limit:
            members = frozenset(scene.members[index])
            failures = "; ".join(f"{one.node}: {one.reason}" for one in status.failed if one.node in members)
            return (
                "TooManyFailures",
                f"{wave.most_failed} nodes of wave {wave.name} failed, {limit} may ({failures[:400]})",
            )
    wave, tally = status.current, status.current.tally
    wanted = waves.wave_spec(scene.strategy, wave)
    settled = tally.reachable > 0 and tally.pending == 0 and _enough_reachable(tally, wanted)
    if settled and not wave.soak_started_ms and tally.updated < (least := _least(tally, wanted)):
        return "TooFewUpdated", f"{tally.updated} nodes of wave {wave.name} run the version, at least {least} must"
    return None


def _why_not_soaking(scene: Scene, status: Status) -> tuple[str, str] | None:
    """Why the wave cannot soak yet, or None."""
    wave, tally = status.current, status.current.tally
    if wave.soak_started_ms and tally.updated:
        return None  # a node that comes back during the soak catches up; the soak does not begin again
    if not tally.reachable and not tally.deferred:
        return pauses.ALL_INCOMPATIBLE, f"no node of wave {wave.name} can run this version"
    if not tally.reachable or not _enough_reachable(tally, waves.wave_spec(scene.strategy, wave)):
        return pauses.TOO_FEW_REACHABLE, f"{tally.deferred} of {tally.members} nodes of wave {wave.name} are offline"
    if tally.pending or not tally.updated:
        count = f"{tally.updated} of {tally.members} nodes of wave {wave.name} run the version"
        return pauses.DEADLINE, f"{count}; waiting for {_pending(scene, status)}"
    return None


def _wait_or_pause(scene: Scene, status: Status, reason: str, message: str) -> Status:
    """Activate, until the deadline. A soak that was on is over: its nodes are gone."""
    wave = status.current
    if wave.soak_started_ms:
        wave = replace(wave, soak_started_ms=0, soak_clock_ms=0, judge_since_ms=0, judge_clock_ms=0)
        status = _progressed(scene, _with_current_wave(status, wave))
    status = conditions.set_progressing(status, "Activating", message, scene.now_ms)
    late = scene.clock_ms - status.progress_clock_ms >= 1000 * scene.strategy.progress_deadline_s
    if (late or reason == pauses.ALL_INCOMPATIBLE) and not pauses.paused(status):
        return pauses.pause(status, reason, message)
    return status


def _soak_and_judge(scene: Scene, status: Status, evidence: Evidence | None) -> Status:
    """Harm ends the rollout at any time, paused or not; a pass counts after the soak; silence is neither."""
    wave = status.current
    verdict = judging.judge(scene, status, evidence)
    if verdict.outcome is Outcome.FAIL:
        return rollback.begin(scene, _record_verdict(scene, status, verdict), "AnalysisFailed", verdict.reason)
    if scene.clock_ms - wave.soak_clock_ms < 1000 * waves.wave_spec(scene.strategy, wave).soak_s:
        status = _record_verdict(scene, status, verdict) if verdict.outcome is not Outcome.PASS else status
        return conditions.set_progressing(status, "Soaking", f"wave {wave.name} soaks", scene.now_ms)
    if verdict.outcome is Outcome.PASS and not pauses.paused(status):
        return _pass_wave(scene, status, verdict)
    status = conditions.set_progressing(_record_verdict(scene, status, verdict), "Judging", verdict.code, scene.now_ms)
    wave = status.current
    if not wave.judge_since_ms:
        wave = replace(wave, judge_since_ms=scene.now_ms, judge_clock_ms=scene.clock_ms)
        return _with_current_wave(status, wave)
    late = scene.clock_ms - wave.judge_clock_ms >= 1000 * scene.strategy.judge_timeout_s + scene.patience_ms
    if (late or verdict.code == judging.NO_WAVE_JUDGES) and not pauses.paused(status):
        reason = pauses.ANALYSIS_ERROR if verdict.outcome is Outcome.ERROR else pauses.INCONCLUSIVE
        return pauses.pause(status, reason, f"wave {wave.name}: {verdict.reason}")
    return status


def _is_promoted(scene: Scene, status: Status) -> bool:
    rollout = scene.case.rollout
    asked = rollout.promoted_attempt == status.attempt and rollout.promoted_wave >= status.wave
    return asked and not pauses.paused(status)


def _pass_wave(scene: Scene, status: Status, verdict: Verdict) -> Status:
    """The next wave, or the end. The only place where `wave` rises."""
    wave = replace(status.current, verdict=judging.verdict_json(verdict, final=True), verdict_ms=scene.now_ms)
    status = conditions.set_analysis(
        _with_current_wave(status, wave), verdict, scene.now_ms, final=verdict.code != judging.JUDGED_LATER
    )
    if status.wave + 1 == len(status.waves):
        return conditions.end(status, SUCCEEDED, "Succeeded", _success(status), scene.now_ms)
    following = replace(status.waves[status.wave + 1], started_ms=scene.now_ms)
    return _with_current_wave(_progressed(scene, replace(status, wave=status.wave + 1)), following)


def _record_verdict(scene: Scene, status: Status, verdict: Verdict) -> Status:
    """The wave's verdict so far: written when its outcome changes, and its numbers now and then."""
    wave, new = status.current, judging.verdict_json(verdict, final=False)
    same = all(wave.verdict.get(field) == new.get(field) for field in ("result", "code", "setAside"))
    if same and (new == wave.verdict or 0 <= scene.now_ms - wave.verdict_ms < VERDICT_EVERY_MS):
        return status
    if same and _numbers(new) == _numbers(wave.verdict):
        return status  # only the text differs, like the age of something stale
    status = _with_current_wave(status, replace(wave, verdict=new, verdict_ms=scene.now_ms))
    return conditions.set_analysis(status, verdict, scene.now_ms, final=False)


def _numbers(verdict: dict[str, object]) -> tuple[object, object]:
    return verdict.get("canary"), verdict.get("baseline")


def _enough_reachable(tally: Tally, wanted: specs.WaveSpec) -> bool:
    return 100 * (tally.members - tally.deferred) >= wanted.min_reachable_percent * tally.members


def _least(tally: Tally, wanted: specs.WaveSpec) -> int:
    """How many of the reachable members must run the version: never none."""
    return max(1, -(-wanted.min_updated_percent * tally.reachable // 100))


def _pending(scene: Scene, status: Status) -> str:
    failed, incompatible = outcomes.resolved(scene, status)
    names = [
        name
        for name in scene.members[status.wave]
        if name not in failed
        and name not in incompatible
        and scene.reachable(name)
        and scene.report(name).digest != scene.target.digest
    ]
    shown = [f"{name} ({scene.report(name).target_state or 'no report'})" for name in names[:_NAMED]]
    return ", ".join(shown) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _success(status: Status) -> str:
    updated = sum(wave.tally.updated for wave in status.waves)
    away = sum(wave.tally.deferred for wave in status.waves)
    more = f" and {away - _NAMED} more" if away > _NAMED else ""
    later = f"; {', '.join(status.deferred[:_NAMED])}{more} will catch up" if status.deferred else ""
    return f"{updated} of {sum(wave.tally.members for wave in status.waves)} nodes report the version as loaded{later}"


def _progressed(scene: Scene, status: Status) -> Status:
    """The progress deadline begins again."""
    return replace(status, progress_ms=scene.now_ms, progress_clock_ms=scene.clock_ms)


def _with_current_wave(status: Status, wave: Wave) -> Status:
    """`status` with its current wave (after a step of `wave`: the new one) replaced."""
    waves = list(status.waves)
    waves[status.wave] = wave
    return replace(status, waves=tuple(waves))
