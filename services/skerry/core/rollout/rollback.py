"""Rolling back: every node gets the stable version again, under the same permits, until no reachable one runs the bad.

There is no second code path on the node: rolling back is assigning the stable version. A first version has none to go
back to: its assignments are withdrawn, and a node that already serves it keeps serving it.
"""

from dataclasses import replace

from skerry.core import specs
from skerry.core.rollout import conditions, outcomes, permits
from skerry.core.rollout.status import MESSAGE_CHARS, ROLLBACK_INCOMPLETE, ROLLED_BACK, ROLLING_BACK, Status
from skerry.core.rollout.waves import Scene

STUCK = frozenset({specs.TargetState.REFUSED, specs.TargetState.SWAP_FAILED, specs.TargetState.INCOMPATIBLE})


def begin(scene: Scene, status: Status, why: str, message: str) -> Status:
    """Pauses end here: they hold back promotion, not safety."""
    return replace(
        status,
        state=ROLLING_BACK,
        why=why,
        why_message=message[:MESSAGE_CHARS],
        progress_ms=scene.now_ms,
        progress_clock_ms=scene.clock_ms,
        pause_reasons=(),
        pause_message="",
    )


def step(scene: Scene, status: Status) -> Status:
    """The status after at most one transition."""
    status = outcomes.record_outcomes(scene, status)
    if scene.stable is not None and scene.stable.digest == scene.target.digest:
        text = f"{status.why_message}; it is the stable version itself"
        return conditions.end(status, ROLLED_BACK, status.why, text, scene.now_ms)
    waiting = _swapping(scene, status)
    bad = [name for name in scene.nodes if scene.report(name).digest == scene.target.digest]
    if scene.stable is None:
        if waiting:
            text = f"withdrawn because {status.why_message}; waiting for {_named(waiting)}"
            return conditions.set_progressing(status, "RollingBack", text, scene.now_ms)
        return _withdrawn(scene, status, bad)
    reachable = [name for name in bad if scene.moment.online(scene.nodes[name])]
    stuck = [name for name in reachable if _refuses(scene, name)]
    waiting += [name for name in reachable if name not in stuck]
    late = scene.clock_ms - status.progress_clock_ms >= 1000 * scene.strategy.progress_deadline_s
    if waiting and not late:
        text = f"back to {scene.stable.name} because {status.why_message}; waiting for {_named(waiting)}"
        return conditions.set_progressing(status, "RollingBack", text, scene.now_ms)
    left = sorted({*stuck, *(name for name in waiting if name in reachable)})
    if left or waiting:
        text = f"{status.why_message}; still on {scene.target.name}: {_named(left or waiting)}"
        return conditions.end(status, ROLLBACK_INCOMPLETE, status.why, text, scene.now_ms)
    return conditions.end(status, ROLLED_BACK, status.why, status.why_message, scene.now_ms)


def _withdrawn(scene: Scene, status: Status, bad: list[str]) -> Status:
    if bad:
        text = f"{status.why_message}; there is no stable version to go back to: {_named(sorted(bad))} keep serving it"
        return conditions.end(status, ROLLBACK_INCOMPLETE, status.why, text, scene.now_ms)
    return conditions.end(status, ROLLED_BACK, status.why, status.why_message, scene.now_ms)


def _swapping(scene: Scene, status: Status) -> list[str]:
    """Nodes that may still be swapping to the bad version on a permit of before."""
    leases = permits.outstanding(scene.model, tuple(scene.nodes.values()), status.permits, scene.moment)
    return sorted(name for name, lease in leases.items() if lease.digest == scene.target.digest)


def _refuses(scene: Scene, name: str) -> bool:
    assert scene.stable is not None
    report = scene.report(name)
    return report.target_digest == scene.stable.digest and report.target_state in STUCK


def _named(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
