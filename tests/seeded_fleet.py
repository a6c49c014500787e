"""A fleet in the middle of its day, written into any object store by the managers that would write it: five nodes of
which one is offline and one was never heard of, a rollout at its canary, an older one that was rolled back, runs and
versions with gates."""

import json
from dataclasses import replace
from typing import Any

from skerry.adapters.fleetstate.protocol import FleetState
from skerry.adapters.objects.protocol import Objects
from skerry.core import conditions, rollout, specs, writers
from skerry.core.rollout.status import Failure, Status, Tally, Wave

V1, V2, V3 = ("sha256:" + pair * 32 for pair in ("1c", "7f", "b3"))
CLASSES = [str(digit) for digit in range(10)]
GATES = {
    "outcome": "Pass",
    "reason": "all 2 gates passed",
    "gates": [
        {
            "name": "imported-not-worse",
            "outcome": "Pass",
            "reason": "0.9640 before, 0.9655 now on 2000 rows",
            "numbers": {},
        },
        {"name": "imported-int8", "outcome": "Pass", "reason": "float 0.9660, int8 0.9655", "numbers": {}},
    ],
}
VERDICT = {
    "result": "Inconclusive",
    "code": "TooFewSamples",
    "reason": "the canary has 84 answers of the 200 that are asked for",
    "canary": {"n": 84, "bad": 9},
    "baseline": {"n": 312, "bad": 61},
    "bounds": {"canary": [38_000, 233_000], "baseline": [143_000, 257_000]},
}


def seed(store: Objects, now_ms: int, *, model: str = "digits") -> None:
    """Write everything; `now_ms` is what the story calls now."""
    _model(store, now_ms, model)
    nodes = {
        "edge-1": (2_000, True, V3, 3, ""),
        "edge-2": (3_000, True, V2, 2, "Staged"),
        "edge-3": (12_000, True, V2, 2, ""),
        "edge-4": (7_300_000, False, V2, 2, ""),
        "edge-5": (0, False, "", 0, ""),
    }
    for name, (age_ms, connected, digest, version, target) in nodes.items():
        store.create("EdgeNode", name, {"approvedKey": f"sha256:{name[-1] * 64}"}, manager=writers.GATEWAY)
        if age_ms:
            status = _node(model, now_ms - age_ms, connected, digest, version, target)
            store.patch("EdgeNode", name, manager=writers.GATEWAY, status=status)
    _rollouts(store, now_ms, model)
    _runs(store, now_ms, model)


def seed_readings(state: FleetState, now_ms: int, *, model: str = "digits") -> None:
    """What three of the nodes measured lately."""
    for number, offloaded in (("1", 21), ("2", 44), ("3", 39)):
        counts = [0] * 20
        for index, share in enumerate((1, 2, 3, 5, 9, 14, 30, 61, 140)):
            counts[11 + index] = share * (1 if number == "1" else 2 if index < 4 else 1)
        body = {
            "model": model,
            "requests": 200,
            "offloaded": offloaded,
            "degraded": 3 if number == "2" else 0,
            "failed": 0,
            "confidenceCounts": counts,
            "p50Ms": 2.4,
            "p99Ms": 31.25,
            "atUnixMs": now_ms,
        }
        state.put(f"node:edge-{number}:{model}", json.dumps(body), ttl_s=3600)
        spool = {"pending": 4, "pendingBytes": 3136, "captured": 900, "dropped": 0, "uploaded": 896}
        spool |= {"dropped": 7} if number == "3" else {}
        state.put(f"spool:edge-{number}", json.dumps(spool), ttl_s=3600)
    state.put(f"curator:{model}", json.dumps({"labeled": 2660, "truths": 214}), ttl_s=3600)


def mark(kind: str, status: str, reason: str, message: str, at_ms: int) -> dict[str, str]:
    """One condition as JSON."""
    return conditions.to_json(conditions.put((), kind, status, reason, message, now_ms=at_ms))[0]


def _model(store: Objects, now_ms: int, model: str) -> None:
    spec: dict[str, Any] = {
        "classNames": CLASSES,
        "network": {"factory": "skerry.nets.cnn:reference"},
        "input": {"name": "image", "datatype": "UINT8", "shape": [28, 28]},
        "datasetDigest": "sha256:" + "da" * 32,
    }
    store.create("EdgeModel", model, spec, manager=writers.OPERATOR)
    store.patch(
        "EdgeModel", model, manager=writers.CONTROLLER, status={"stableVersion": f"{model}-v2", "releaseCounter": 3}
    )
    store.create("EdgeFleet", "all", {"selector": {}, "offlineAfterSeconds": 15}, manager=writers.OPERATOR)
    for number, digest in ((1, V1), (2, V2), (3, V3)):
        version = {
            "model": model,
            "version": number,
            "digest": digest,
            "targetPath": f"retrained/{model}/{number}",
            "source": "Trained",
            "run": f"{model}-run-{number}",
            "sizeBytes": 62_000 + number,
            "verdict": GATES,
        }
        name = f"{model}-v{number}"
        store.create("ModelVersion", name, version, manager=writers.CONTROLLER)
        at_ms = now_ms - (4 - number) * 4_000_000
        status = {
            "conditions": [mark("Available", "True", "Published", "signed by role retrained and published", at_ms)]
        }
        store.patch("ModelVersion", name, manager=writers.CONTROLLER, status=status)


def _node(model: str, seen_ms: int, connected: bool, digest: str, version: int, target: str) -> dict[str, Any]:
    report = {"model": model, "digest": digest, "version": version, "targetState": target, "reason": ""}
    if target:
        report |= {"targetDigest": V3, "reason": "verified and self-tested; waits for its wave"}
    return {
        "connected": connected,
        "lastSeenUnixMs": seen_ms,
        "agentVersion": "0.1.0",
        "servingAddress": "127.0.0.1:9000",
        "models": [report],
    }


def _rollouts(store: Objects, now_ms: int, model: str) -> None:
    waves = [{"name": "canary", "size": "1", "soakSeconds": 5}, {"name": "half", "size": "50%"}, {"name": "rest"}]
    running = Status(
        attempt=1,
        state="Progressing",
        waves=(
            Wave(
                "canary",
                ("edge-1",),
                Tally(updated=1),
                peak=1,
                started_ms=now_ms - 60_000,
                soak_started_ms=now_ms - 50_000,
                judge_since_ms=now_ms - 45_000,
                verdict=VERDICT,
                size=1,
            ),
            Wave("half", ("edge-2", "edge-3"), Tally(pending=2), size=2),
            Wave("rest", ("edge-4", "edge-5"), Tally(pending=1, deferred=1), size=2),
        ),
        deferred=("edge-4",),
        stable_version=f"{model}-v2",
        conditions=_told(
            "Progressing", "True", "Judging", "wave canary is judged: waiting for evidence", now_ms - 45_000
        ),
    )
    _rollout(store, f"{model}-v3-auto", {"model": model, "version": f"{model}-v3", "waves": waves}, running)
    failed = Status(
        attempt=1,
        state="RolledBack",
        waves=(Wave("canary", ("edge-2",), Tally(failed=1), peak=1, started_ms=now_ms - 9_000_000, size=1),),
        failed=(Failure("edge-2", "self-test: golden row 3 differs by 1.2, 0.02 is allowed"),),
        conditions=_told("Succeeded", "False", "CanaryFailed", "1 node failed, 0 are allowed", now_ms - 8_900_000),
    )
    _rollout(store, f"{model}-v1-auto", {"model": model, "version": f"{model}-v1"}, failed)


def _told(kind: str, status: str, reason: str, message: str, at_ms: int) -> conditions.Conditions:
    return conditions.put((), kind, status, reason, message, now_ms=at_ms)


def _rollout(store: Objects, name: str, spec: dict[str, Any], status: Status) -> None:
    store.create("ModelRollout", name, spec, manager=writers.CONTROLLER)
    status = replace(status, spec_hash=specs.parse_rollout(name, spec).fingerprint)
    store.patch("ModelRollout", name, manager=writers.CONTROLLER, status=rollout.to_json(status))


def _runs(store: Objects, now_ms: int, model: str) -> None:
    dataset = "sha256:" + "da" * 32
    for number, reason in ((3, "1,004 new examples"), (4, "confidence drifted")):
        spec = {"model": model, "datasetDigest": dataset, "reason": reason}
        store.create("TrainingRun", f"{model}-run-{number}", spec, manager=writers.CONTROLLER)
    done = {
        "startedUnixMs": now_ms - 200_000,
        "finishedUnixMs": now_ms - 152_000,
        "result": {"digest": V3, "verdict": GATES},
        "version": f"{model}-v3",
        "conditions": [mark("Succeeded", "True", "Published", f"{model}-v3 passed its gates", now_ms - 152_000)],
    }
    running = {
        "startedUnixMs": now_ms - 8_000,
        "conditions": [mark("Running", "True", "Training", "start 1 of at most 3", now_ms - 8_000)],
    }
    store.patch("TrainingRun", f"{model}-run-3", manager=writers.CONTROLLER, status=done)
    store.patch("TrainingRun", f"{model}-run-4", manager=writers.CONTROLLER, status=running)
