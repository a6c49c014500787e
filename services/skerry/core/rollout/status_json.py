"""ModelRollout.status as JSON (docs/reference/resources.md), read back as it was written.

`phase` and `summary` are for people only: they are written and never read.
"""

from typing import Any

from skerry.core import conditions
from skerry.core.rollout.permit_json import permits_json, read_permits
from skerry.core.rollout.status import PENDING, PROGRESSING, STATES, Failure, Status, Tally, Wave
from skerry.core.specs import strategy
from skerry.core.specs.reader import Reader, read


def to_json(status: Status) -> dict[str, Any]:
    return {
        "attempt": status.attempt,
        "specHash": status.spec_hash,
        "phase": status.phase,
        "state": status.state,
        "wave": status.wave,
        "waves": [_wave_json(wave) for wave in status.waves],
        "judges": status.judges,
        **_membership_json(status),
        "deferred": list(status.deferred),
        "permits": permits_json(status.permits),
        "permitNumber": status.permit_number,
        "failed": [_failure_json(failure) for failure in status.failed],
        "incompatible": [_failure_json(failure) for failure in status.incompatible],
        "failures": [{"reason": reason, "nodes": count} for reason, count in status.reasons],
        "pauseReasons": list(status.pause_reasons),
        "pauseMessage": status.pause_message,
        "pauseNumber": status.pause_number,
        "stableVersion": status.stable_version,
        "why": status.why,
        "whyMessage": status.why_message,
        "progressUnixMs": status.progress_ms,
        "progressClockMs": status.progress_clock_ms,
        "clockMs": status.clock_ms,
        "evidenceSinceUnixMs": status.evidence_since_ms,
        "evidenceSinceClockMs": status.evidence_clock_ms,
        "startedUnixMs": status.started_ms,
        "finishedUnixMs": status.finished_ms,
        "epoch": status.epoch,
        "summary": _summary(status),
        "conditions": conditions.to_json(status.conditions),
    }


def from_json(name: str, value: Any) -> Status:
    """The status of rollout `name` as `to_json` wrote it; {} is one that was never planned. A newer release may have
    written more, which whoever goes back to this one passes over. Raises InputError."""
    return read("ModelRollout", name, "status", value, _status, is_open=True)


def _summary(status: Status) -> dict[str, Any]:
    """For people: one line of `kubectl get modelrollouts`. Written and never read."""
    failed = max(len(status.failed), sum(wave.tally.failed for wave in status.waves))
    deferred = max(len(status.deferred), sum(wave.tally.deferred for wave in status.waves))
    shown: dict[str, Any] = {"failed": failed, "deferred": deferred}
    if not status.waves:
        return shown
    at = min(status.wave, len(status.waves) - 1)
    current = status.waves[at]
    updated = sum(wave.tally.updated for wave in status.waves)
    verdict = str(current.verdict.get("result", ""))
    return shown | {
        "wave": f"{current.name} ({at + 1}/{len(status.waves)})",
        "updated": f"{updated}/{sum(wave.size for wave in status.waves)}",
        **({"verdict": verdict} if verdict else {}),
    }


def _membership_json(status: Status) -> dict[str, Any]:
    if not status.created_until_ms:
        return {}
    selector = {} if status.selector is None else {"selector": dict(status.selector)}
    return {"membership": {"createdUntilUnixMs": status.created_until_ms, **selector}}


def _membership(reader: Reader) -> tuple[int, dict[str, str] | None]:
    until_ms = reader.integer("createdUntilUnixMs", 0)
    if not reader.has("selector"):
        return until_ms, None
    return until_ms, {key: str(value) for key, value in reader.mapping("selector", {}).items()}


def _reason(reader: Reader) -> tuple[str, int]:
    return reader.text("reason", ""), reader.integer("nodes", 0)


def _failure_json(failure: Failure) -> dict[str, str]:
    return {"node": failure.node, "reason": failure.reason}


def _wave_json(wave: Wave) -> dict[str, Any]:
    tally = wave.tally
    return {
        "name": wave.name,
        "nodes": list(wave.nodes),
        "size": wave.size,
        **({"upTo": wave.upto} if wave.upto else {}),
        **({"asks": strategy.wave_json(wave.asks)} if wave.asks else {}),
        "counts": {
            "updated": tally.updated,
            "failed": tally.failed,
            "incompatible": tally.incompatible,
            "deferred": tally.deferred,
            "pending": tally.pending,
        },
        "peak": wave.peak,
        "mostFailed": wave.most_failed,
        "startedUnixMs": wave.started_ms,
        "soakStartedUnixMs": wave.soak_started_ms,
        "soakStartedClockMs": wave.soak_clock_ms,
        "judgeSinceUnixMs": wave.judge_since_ms,
        "judgeSinceClockMs": wave.judge_clock_ms,
        "verdict": wave.verdict,
        "verdictUnixMs": wave.verdict_ms,
    }


def _status(reader: Reader) -> Status:
    reader.text("phase", "")
    reader.mapping("summary", {})
    reader.integer("observedGeneration", 0)
    state, wave = reader.text("state", PENDING, among=STATES), reader.integer("wave", 0)
    waves = reader.each("waves", _wave)
    if state == PROGRESSING and wave >= len(waves):
        raise reader.fault("wave", f"is {wave}, but there are {len(waves)} waves")
    created_until_ms, selector = reader.inner("membership", _membership) if reader.has("membership") else (0, None)
    return Status(
        attempt=reader.integer("attempt", 0),
        spec_hash=reader.text("specHash", ""),
        state=state,
        wave=wave,
        waves=waves,
        judges=reader.integer("judges", 0),
        created_until_ms=created_until_ms,
        selector=selector,
        reasons=reader.each("failures", _reason),
        deferred=reader.texts("deferred", ()),
        permits=read_permits(reader, "permits"),
        permit_number=reader.integer("permitNumber", 0),
        failed=reader.each("failed", _failure),
        incompatible=reader.each("incompatible", _failure),
        pause_reasons=reader.texts("pauseReasons", ()),
        pause_message=reader.text("pauseMessage", ""),
        pause_number=reader.integer("pauseNumber", 0),
        stable_version=reader.text("stableVersion", ""),
        why=reader.text("why", ""),
        why_message=reader.text("whyMessage", ""),
        progress_ms=reader.integer("progressUnixMs", 0),
        progress_clock_ms=reader.integer("progressClockMs", 0),
        clock_ms=reader.integer("clockMs", 0),
        evidence_since_ms=reader.integer("evidenceSinceUnixMs", 0),
        evidence_clock_ms=reader.integer("evidenceSinceClockMs", 0),
        started_ms=reader.integer("startedUnixMs", 0),
        finished_ms=reader.integer("finishedUnixMs", 0),
        epoch=reader.integer("epoch", 0),
        conditions=conditions.from_json(list(reader.items("conditions", ()))),
    )


def _wave(reader: Reader) -> Wave:
    nodes = reader.texts("nodes", None)
    tally = reader.inner("counts", _tally)
    return Wave(
        name=reader.text("name", None),
        nodes=nodes,
        size=reader.integer("size", len(nodes)),
        upto=reader.integer("upTo", 0),
        asks=reader.inner("asks", strategy.read_wave) if reader.has("asks") else None,
        tally=tally,
        peak=reader.integer("peak", 0),
        most_failed=reader.integer("mostFailed", tally.failed),
        started_ms=reader.integer("startedUnixMs", 0),
        soak_started_ms=reader.integer("soakStartedUnixMs", 0),
        soak_clock_ms=reader.integer("soakStartedClockMs", 0),
        judge_since_ms=reader.integer("judgeSinceUnixMs", 0),
        judge_clock_ms=reader.integer("judgeSinceClockMs", 0),
        verdict=dict(reader.mapping("verdict", {})),
        verdict_ms=reader.integer("verdictUnixMs", 0),
    )


def _tally(reader: Reader) -> Tally:
    fields = ("updated", "failed", "incompatible", "deferred", "pending")
    return Tally(*(reader.integer(field, 0) for field in fields))


def _failure(reader: Reader) -> Failure:
    return Failure(reader.text("node", None), reader.text("reason", ""))
