"""What a rollout shows: its conditions, each with reason and message, and one event per transition."""

from collections.abc import Iterator
from dataclasses import replace

from skerry.core import conditions
from skerry.core.conditions import FALSE, TRUE, UNKNOWN
from skerry.core.evidence import Verdict
from skerry.core.gates import Outcome
from skerry.core.rollout.case import Event
from skerry.core.rollout.status import (
    MAX_NAMED,
    MESSAGE_CHARS,
    OPERATOR,
    PROMOTED,
    ROLLING_BACK,
    SUCCEEDED,
    Status,
)

ACCEPTED, PROGRESSING, PAUSED, ANALYSIS, SUCCESS = "Accepted", "Progressing", "Paused", "AnalysisPassed", "Succeeded"


def put(status: Status, kind: str, value: str, reason: str, message: str, now_ms: int) -> Status:
    message = message[:MESSAGE_CHARS]
    return replace(status, conditions=conditions.put(status.conditions, kind, value, reason, message, now_ms=now_ms))


def set_accepted(status: Status, reason: str, message: str, now_ms: int) -> Status:
    """`reason` empty: everything it refers to is there."""
    if reason:
        return put(status, ACCEPTED, FALSE, reason, message, now_ms)
    return put(status, ACCEPTED, TRUE, "Valid", "", now_ms)


def set_progressing(status: Status, reason: str, message: str, now_ms: int) -> Status:
    """What it does now. While it is paused, `set_paused` says so."""
    if status.phase == "Paused":
        return status
    return put(status, PROGRESSING, TRUE, reason, message, now_ms)


def set_analysis(status: Status, verdict: Verdict, now_ms: int, *, final: bool) -> Status:
    passed = final and verdict.code != PROMOTED  # an override is no analysis that passed
    value = TRUE if passed else FALSE if verdict.outcome is Outcome.FAIL else UNKNOWN
    return put(status, ANALYSIS, value, verdict.code, verdict.reason, now_ms)


def set_paused(status: Status, now_ms: int) -> Status:
    """The Paused condition as the pauses are, and Unknown for what is not known yet."""
    if status.pause_reasons:
        message = status.pause_message or "an operator paused it"
        status = put(status, PAUSED, TRUE, status.pause_reasons[0], message, now_ms)
        status = put(status, PROGRESSING, FALSE, "Paused", message, now_ms)
    elif not status.terminal:
        reason = "RollingBack" if status.state == ROLLING_BACK else "NotPaused"
        status = put(status, PAUSED, FALSE, reason, "", now_ms)
    for kind in (ANALYSIS, SUCCESS):
        if conditions.find(status.conditions, kind) is None:
            status = put(status, kind, UNKNOWN, "NotYet", "", now_ms)
    return status


def end(status: Status, state: str, reason: str, message: str, now_ms: int) -> Status:
    """A terminal state: immutable within its attempt."""
    status = replace(
        status,
        state=state,
        finished_ms=now_ms,
        permits=(),
        pause_reasons=(),
        pause_message="",
        why=reason,
        why_message=message[:MESSAGE_CHARS],
    )
    status = put(status, SUCCESS, TRUE if state == SUCCEEDED else FALSE, reason, message, now_ms)
    status = put(status, PAUSED, FALSE, "Ended", "", now_ms)
    return put(status, PROGRESSING, FALSE, state, message, now_ms)


def transitions(before: Status, after: Status) -> Iterator[Event]:
    """What a person cares about between two statuses of one rollout."""
    if after.attempt != before.attempt:
        yield Event("AttemptStarted", f"attempt {after.attempt} begins")
        before = replace(before, waves=(), deferred=(), failed=(), pause_reasons=(), state="")
    old_waves = dict(enumerate(before.waves))
    for index, wave in enumerate(after.waves):
        old = old_waves.get(index)
        if wave.started_ms and not (old and old.started_ms):
            named = f"{', '.join(wave.nodes[:5])} ({wave.size} nodes)" if wave.nodes else f"{wave.size} nodes"
            yield Event("WaveStarted", f"wave {wave.name}: {named}")
        for node in wave.verdict.get("setAside", ()):
            if not old or node not in old.verdict.get("setAside", ()):
                text = f"wave {wave.name}: the answers of {node} lie apart from all others and are set aside"
                yield Event("NodeSetAside", text, node)
        if wave.passed and not (old and old.passed):
            yield Event("WavePassed", f"wave {wave.name}: {wave.verdict['reason']}")
    for failure in after.failed[:MAX_NAMED]:
        if failure not in before.failed:
            yield Event("NodeFailed", f"{failure.node}: {failure.reason}", failure.node)
    for node in after.deferred[:MAX_NAMED]:
        if node not in before.deferred:
            yield Event("NodeDeferred", f"{node} is offline: it neither blocks nor counts, and catches up later", node)
    for reason in after.pause_reasons:
        if reason not in before.pause_reasons:
            message = "an operator paused it" if reason == OPERATOR else after.pause_message
            yield Event("Paused", f"{reason}: {message}")
    if before.pause_reasons and not after.pause_reasons and not after.terminal and after.state != ROLLING_BACK:
        yield Event("Resumed", "an operator resumed it")
    if after.state != before.state and (after.terminal or after.state == ROLLING_BACK):
        yield Event(after.state, f"{after.why}: {after.why_message}")
