"""What has become of the members of a rollout: who failed or cannot run the version, who is away, and how many of each.

Whoever failed is remembered by the node's own ledger, which makes it refuse the same attempt again, and in its report.
The status names a few and counts all.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from skerry.core import specs
from skerry.core.rollout.status import MAX_NAMED, MAX_REASONS, Failure, Status, Tally
from skerry.core.rollout.waves import Scene

REASON_CHARS = 120
_NAMED_BYTES = 1_500  # of each list of names
_FAILED = (specs.TargetState.REFUSED, specs.TargetState.SWAP_FAILED)


def record_outcomes(scene: Scene, status: Status) -> Status:
    """`status` with every refusal of this attempt, and the nodes that are deferred now: as many names as have room."""
    failed, incompatible = resolved(scene, status)
    away = sorted(name for wave in scene.members for name in wave if name not in failed and not scene.reachable(name))
    counts = Counter(failure.reason for failure in (*failed.values(), *incompatible.values()))
    reasons = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_REASONS]
    return replace(
        status,
        failed=_named(failed.values()),
        incompatible=_named(incompatible.values()),
        deferred=tuple(failure.node for failure in _named(Failure(name, "") for name in away)),
        reasons=tuple(reasons),
    )


def resolved(scene: Scene, status: Status) -> tuple[Mapping[str, Failure], Mapping[str, Failure]]:
    """Those that failed and those that cannot run the version, by name: first who is recorded, then who says so now."""
    failed = {failure.node: failure for failure in status.failed}
    incompatible = {failure.node: failure for failure in status.incompatible}
    wanted = (scene.target.digest, scene.name, status.attempt)
    for wave in scene.members:
        for name in wave:
            report = scene.report(name)
            if (report.target_digest, report.target_rollout, report.target_attempt) != wanted:
                continue
            if report.target_state in _FAILED:
                failed.setdefault(name, _failure(name, report))
            elif report.target_state == specs.TargetState.INCOMPATIBLE:
                incompatible.setdefault(name, _failure(name, report))
    return failed, incompatible


def tallies(scene: Scene, status: Status) -> Sequence[Tally]:
    """Where the members of each wave stand. Updated: reachable, and itself reports the version as loaded."""
    failed, incompatible = resolved(scene, status)
    found = []
    for members in scene.members:
        counts = {"updated": 0, "failed": 0, "incompatible": 0, "deferred": 0, "pending": 0}
        for name in members:
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
        found.append(Tally(**counts))
    return found


def _failure(name: str, report: specs.ModelReport) -> Failure:
    return Failure(name, f"{report.target_state}: {report.reason}"[:REASON_CHARS])


def _named(failures: Iterable[Failure]) -> tuple[Failure, ...]:
    """The first of them, as many as have room."""
    kept, size = list[Failure](), 0
    for failure in failures:
        size += len(failure.node) + len(failure.reason) + 30
        if len(kept) == MAX_NAMED or (kept and size > _NAMED_BYTES):
            break
        kept.append(failure)
    return tuple(kept)
