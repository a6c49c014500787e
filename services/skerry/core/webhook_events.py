"""Which events a webhook is told of: pure, derived from what objects say now and not from how they came there.

An event has an id that is the same whoever derives it and whenever, so that a receiver tells a repetition by it, and a
controller that was killed derives again what it had not told. What happened and was undone between two looks (a pause
of a moment) may be passed over.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from skerry.core import conditions, errors, rollout
from skerry.core.rollout import status as rollout_status

STARTED, PROMOTED, PAUSED = "rollout.started", "rollout.promoted", "rollout.paused"
SUCCEEDED, ROLLED_BACK, ENDED = "rollout.succeeded", "rollout.rolled_back", "rollout.ended"
RUN_SUCCEEDED, RUN_FAILED = "run.succeeded", "run.failed"
NODES_OFFLINE, NODES_ONLINE = "nodes.offline", "nodes.online"

_MAX_TEXT = 1000
_END = {
    rollout_status.SUCCEEDED: SUCCEEDED,
    rollout_status.ROLLED_BACK: ROLLED_BACK,
    rollout_status.ROLLBACK_INCOMPLETE: ROLLED_BACK,
}


@dataclass(frozen=True, slots=True)
class Event:
    """`at_ms`: Unix time at which it happened, or was seen; `data` is JSON."""

    id: str
    type: str
    at_ms: int
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NodeAlarm:
    """`number` of alarms that there were; `is_on`: the last one stands."""

    number: int = 0
    is_on: bool = False


def of_rollout(uid: str, name: str, spec: Mapping[str, Any], status: Mapping[str, Any]) -> Iterator[Event]:
    """All that has happened in the present attempt, in its order. Of a status that cannot be read nothing is told: the
    controller says what is wrong with it."""
    try:
        said = rollout.from_json(name, dict(status))
    except errors.InputError:
        return
    about = {"rollout": name, "model": str(spec.get("model", "")), "attempt": said.attempt}
    prefix = f"{uid}.{said.attempt}"
    if said.started_ms:
        yield Event(f"{prefix}.started", STARTED, said.started_ms, about)
    for number, wave in enumerate(said.waves):
        if wave.passed:
            told = about | {"wave": wave.name, "message": str(wave.verdict.get("reason", ""))[:_MAX_TEXT]}
            yield Event(f"{prefix}.wave-{number}", PROMOTED, wave.verdict_ms, told)
    if said.phase == "Paused":
        condition = conditions.find(said.conditions, "Paused")
        mark = condition.since if condition is not None else ""
        told = about | {"reasons": list(said.pause_reasons), "message": said.pause_message[:_MAX_TEXT]}
        yield Event(f"{prefix}.paused-{said.pause_number}-{mark}", PAUSED, _unix_ms(mark), told)
    if said.terminal:
        told = about | {"outcome": said.state, "reason": said.why, "message": said.why_message[:_MAX_TEXT]}
        yield Event(f"{prefix}.ended", _END.get(said.state, ENDED), said.finished_ms, told)


def _unix_ms(stamp: str) -> int:
    """Of RFC 3339; 0 for what is none."""
    try:
        return int(datetime.fromisoformat(stamp).timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0


def of_run(uid: str, name: str, spec: Mapping[str, Any], status: Mapping[str, Any]) -> Iterator[Event]:
    try:
        said = conditions.find(conditions.from_json(status.get("conditions")), "Succeeded")
    except errors.InputError:
        return
    finished = status.get("finishedUnixMs")
    if said is None or said.status not in (conditions.TRUE, conditions.FALSE) or type(finished) is not int:
        return
    told = {
        "run": name,
        "model": str(spec.get("model", "")),
        "version": str(status.get("version", "")),
        "reason": said.reason,
        "message": said.message[:_MAX_TEXT],
    }
    yield Event(f"{uid}.ended", RUN_SUCCEEDED if said.true else RUN_FAILED, finished, told)


def of_nodes(
    alarm: NodeAlarm, states: Mapping[str, int], share: float, installation: str, now_ms: int
) -> tuple[NodeAlarm, Event | None]:
    """All nodes together: when more than `share` of them are offline, and when less than half of it are again.
    `installation` tells this fleet's ids from another's."""
    nodes, offline = sum(states.values()), states.get("Offline", 0)
    if not nodes or alarm.is_on == (offline > share * nodes) or (alarm.is_on and offline > share * nodes / 2):
        return alarm, None
    after = replace(alarm, is_on=not alarm.is_on, number=alarm.number + (not alarm.is_on))
    kind = NODES_OFFLINE if after.is_on else NODES_ONLINE
    told = {"nodes": nodes, "offline": offline, "states": dict(states)}
    return after, Event(
        f"{installation}.nodes-{after.number}-{'offline' if after.is_on else 'online'}", kind, now_ms, told
    )
