"""The story is told from what the objects say: every change worth telling once, and nothing twice."""

from typing import Any

import pytest

from skerry.adapters.objects.protocol import Object
from skerry.cli.demo import event_log


def thing(kind: str, name: str, spec: dict[str, Any] | None = None, **status: Any) -> Object:
    return Object(kind, name, "uid", spec or {}, status, {}, 1, 1, 0)


def take_snapshot(*things: Object) -> event_log.Snapshot:
    objects: dict[str, dict[str, Object]] = {kind: {} for kind in event_log.KINDS}
    for one in things:
        objects[one.kind][one.name] = one
    return event_log.Snapshot(objects)


def is_true(kind: str, **more: str) -> dict[str, str]:
    return {"type": kind, "status": "True", "reason": "R", "message": "", **more}


def node(**report: Any) -> Object:
    return thing("EdgeNode", "edge-1", connected=True, models=[{"model": "digits", **report}])


ROLLOUT = {"version": "digits-v2"}
NEW, OLD = "sha256:" + "a" * 64, "sha256:" + "b" * 64


@pytest.mark.parametrize(
    ("before", "after", "kind", "words"),
    [
        pytest.param(
            None, thing("TrainingRun", "r1", {"reason": "Drift"}), "training", "Drift", id="a run is asked for"
        ),
        pytest.param(
            thing("TrainingRun", "r1"),
            thing("TrainingRun", "r1", {"datasetDigest": NEW}, conditions=[is_true("Running")]),
            "training",
            "aaaaaaaa",
            id="a run trains on a pinned dataset",
        ),
        pytest.param(
            thing("TrainingRun", "r1"),
            thing("TrainingRun", "r1", conditions=[is_true("Succeeded", status="False", reason="GatesFailed")]),
            "training",
            "GatesFailed",
            id="a run fails with its reason",
        ),
        pytest.param(
            thing("ModelVersion", "digits-v2", {"digest": NEW, "sizeBytes": 2048}),
            thing("ModelVersion", "digits-v2", {"digest": NEW, "sizeBytes": 2048}, conditions=[is_true("Available")]),
            "version",
            "2 KiB",
            id="a version is published",
        ),
        pytest.param(
            thing("ModelRollout", "r", ROLLOUT),
            thing("ModelRollout", "r", ROLLOUT, waves=[{"name": "canary", "nodes": ["edge-2"], "startedUnixMs": 5}]),
            "rollout",
            "edge-2",
            id="a wave starts with its nodes",
        ),
        pytest.param(
            thing("ModelRollout", "r", ROLLOUT, waves=[{"name": "canary"}]),
            thing(
                "ModelRollout",
                "r",
                ROLLOUT,
                waves=[{"name": "canary", "verdict": {"result": "Fail", "reason": "worse"}}],
            ),
            "verdict",
            "Fail — worse",
            id="a verdict is given",
        ),
        pytest.param(
            thing("ModelRollout", "r", ROLLOUT, pauseReasons=[]),
            thing("ModelRollout", "r", ROLLOUT, pauseReasons=["Inconclusive"]),
            "rollout",
            "Inconclusive",
            id="a pause tells why",
        ),
        pytest.param(
            thing("ModelRollout", "r", ROLLOUT, deferred=[]),
            thing("ModelRollout", "r", ROLLOUT, deferred=["edge-3"]),
            "rollout",
            "edge-3",
            id="an offline node is deferred",
        ),
        pytest.param(node(digest=OLD), node(digest=NEW, version=2), "node", "v2", id="a node serves another version"),
        pytest.param(
            node(digest=OLD),
            node(digest=OLD, targetState="Refused", targetDigest=NEW, reason="hash"),
            "refused",
            "hash",
            id="a node refuses a version",
        ),
        pytest.param(node(), thing("EdgeNode", "edge-1", connected=False), "node", "gone", id="a node is gone"),
    ],
)
def test_each_change_is_told_once(before: Object | None, after: Object, kind: str, words: str) -> None:
    seen = take_snapshot(*([before] if before else []))
    told = list(event_log.changes(seen, take_snapshot(after)))
    assert [one for one, _ in told] == [kind]
    assert words in told[0][1]
    assert list(event_log.changes(take_snapshot(after), take_snapshot(after))) == []


def test_a_refusal_that_is_reported_again_is_not_told_again() -> None:
    refused = node(targetState="Refused", targetDigest=NEW, reason="hash")
    later = node(targetState="Refused", targetDigest=NEW, reason="hash, as before")
    assert list(event_log.changes(take_snapshot(refused), take_snapshot(later))) == []


def test_a_node_that_reports_nothing_is_on_no_version() -> None:
    assert event_log.nodes_on(take_snapshot(thing("EdgeNode", "edge-1")), "digits") == {"edge-1": ("", 0)}
