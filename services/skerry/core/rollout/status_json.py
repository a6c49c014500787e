"""ModelRollout.status as JSON (docs/reference/resources.md), read back as it was written.

`phase` and `summary` are for people only: they are written and never read.
"""

from typing import Any

from skerry.core import conditions
from skerry.core.rollout.status import MAX_NAMED, PENDING, PROGRESSING, STATES, Failure, Permit, Status, Tally, Wave
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
        "deferred": list(status.deferred[:MAX_NAMED]),
        "permits": [permit_json(permit) for permit in status.permits],
        "permitNumber": status.permit_number,
        "failed": [_failure_json(failure) for failure in status.failed[:MAX_NAMED]],
        "incompatible": [_failure_json(failure) for failure in status.incompatible[:MAX_NAMED]],
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
    shown: dict[str, Any] = {"failed": failed, "deferred": len(status.deferred)}
    if not status.waves:
        return shown
    at = min(status.wave, len(status.waves) - 1)
    current = status.waves[at]
    members = {node for wave in status.waves for node in wave.nodes}
    updated = sum(wave.tally.updated for wave in status.waves)
    verdict = str(current.verdict.get("result", ""))
    return shown | {
        "wave": f"{current.name} ({at + 1}/{len(status.waves)})",
        "updated": f"{updated}/{len(members)}",
        **({"verdict": verdict} if verdict else {}),
    }


def permit_json(permit: Permit) -> dict[str, Any]:
    return {
        "node": permit.node,
        "number": permit.number,
        "request": permit.request,
        "grantedUnixMs": permit.granted_ms,
        "ttlMs": permit.ttl_ms,
        "epoch": permit.epoch,
        "digest": permit.digest,
        "rollout": permit.rollout,
        "attempt": permit.attempt,
    }


def read_permit(reader: Reader) -> Permit:
    return Permit(
        node=reader.text("node", None),
        number=reader.integer("number", None),
        request=reader.integer("request", None),
        granted_ms=reader.integer("grantedUnixMs", None),
        ttl_ms=reader.integer("ttlMs", None),
        epoch=reader.integer("epoch", 0),
        digest=reader.digest("digest"),
        rollout=reader.text("rollout", ""),
        attempt=reader.integer("attempt", 0),
    )


def _failure_json(failure: Failure) -> dict[str, str]:
    return {"node": failure.node, "reason": failure.reason}


def _wave_json(wave: Wave) -> dict[str, Any]:
    tally = wave.tally
    return {
        "name": wave.name,
        "nodes": list(wave.nodes),
        **({"asks": strategy.wave_json(wave.asks)} if wave.asks else {}),
        "counts": {
            "updated": tally.updated,
            "failed": tally.failed,
            "incompatible": tally.incompatible,
            "deferred": tally.deferred,
            "pending": tally.pending,
        },
        "peak": wave.peak,
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
    return Status(
        attempt=reader.integer("attempt", 0),
        spec_hash=reader.text("specHash", ""),
        state=state,
        wave=wave,
        waves=waves,
        judges=reader.integer("judges", 0),
        deferred=reader.texts("deferred", ()),
        permits=reader.each("permits", read_permit),
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
    return Wave(
        name=reader.text("name", None),
        nodes=reader.texts("nodes", None),
        asks=reader.inner("asks", strategy.read_wave) if reader.has("asks") else None,
        tally=reader.inner("counts", _tally),
        peak=reader.integer("peak", 0),
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
