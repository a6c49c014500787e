"""Finished rollouts and runs beyond what is kept go, and nothing that a decision needs; nobody else deletes."""

from typing import Any

import pytest

from skerry.adapters.lease.memory import Board, MemoryLease
from skerry.adapters.objects.memory import MemoryObjects
from skerry.controller import history
from skerry.controller.store import LeadershipLostError, Store
from skerry.core import errors
from skerry.core.history import MIN_KEPT

DIGEST = "sha256:" + "a" * 64
NOW = 1_000_000
ROLLOUT = {"model": "m", "version": "m-v1", "fleet": "all"}
RUN = {"model": "m", "datasetDigest": DIGEST}


@pytest.fixture
def objects() -> MemoryObjects:
    return MemoryObjects()


@pytest.fixture
def lease() -> MemoryLease:
    held = MemoryLease(Board())
    held.acquire("test")
    return held


def past(objects: MemoryObjects, kind: str, count: int, spec: dict[str, Any], succeeded: str = "False") -> None:
    """`count` that ended one after the other."""
    for number in range(count):
        name = f"{kind.lower()}-{number:03}"
        objects.create(kind, name, spec, manager="operator")
        end(objects, kind, name, succeeded, NOW + number)


def end(objects: MemoryObjects, kind: str, name: str, succeeded: str, ended_ms: int) -> None:
    from skerry.core import specs

    condition = {"type": "Succeeded", "status": succeeded, "reason": "X", "message": "", "lastTransitionTime": ""}
    status: dict[str, Any] = {"finishedUnixMs": ended_ms, "conditions": [condition]}
    if kind == "ModelRollout":
        found = objects.get(kind, name)
        state = "Succeeded" if succeeded == "True" else "RolledBack"
        status |= {"state": state, "attempt": 1, "specHash": specs.parse_rollout(name, found.spec).fingerprint}
    objects.patch(kind, name, manager="controller", status=status)


def names(objects: MemoryObjects, kind: str) -> list[int]:
    return sorted(int(one.name[-3:]) for one in objects.list(kind))


def look(objects: MemoryObjects, lease: MemoryLease) -> None:
    history.History(Store(objects, lease), keep_rollouts=MIN_KEPT, keep_runs=MIN_KEPT).delete_surplus()


def test_the_oldest_of_both_kinds_go(objects: MemoryObjects, lease: MemoryLease) -> None:
    past(objects, "ModelRollout", MIN_KEPT + 3, ROLLOUT)
    past(objects, "TrainingRun", MIN_KEPT + 4, RUN)
    look(objects, lease)
    assert names(objects, "ModelRollout") == list(range(3, MIN_KEPT + 3))
    assert names(objects, "TrainingRun") == list(range(4, MIN_KEPT + 4))
    before = objects.list("ModelRollout")
    look(objects, lease)
    assert objects.list("ModelRollout") == before


def test_what_a_node_names_stays_and_the_last_good_one_of_a_fleet(objects: MemoryObjects, lease: MemoryLease) -> None:
    past(objects, "ModelRollout", MIN_KEPT + 4, ROLLOUT)
    end(objects, "ModelRollout", "modelrollout-001", "True", NOW + 1)
    objects.create("EdgeNode", "a", {}, manager="gateway")
    given = {"model": "m", "digest": DIGEST, "version": 1, "targetPath": "x", "rollout": "modelrollout-002"}
    objects.patch("EdgeNode", "a", manager="controller", spec={"assignments": [given]})
    look(objects, lease)
    assert names(objects, "ModelRollout")[:3] == [1, 2, 4]


def test_while_a_rollout_of_the_model_goes_on_or_was_asked_for_again_none_of_it_goes(
    objects: MemoryObjects, lease: MemoryLease
) -> None:
    past(objects, "ModelRollout", MIN_KEPT + 4, ROLLOUT)
    objects.patch("ModelRollout", "modelrollout-000", manager="operator", spec={"retryToken": "again"})
    look(objects, lease)
    assert len(names(objects, "ModelRollout")) == MIN_KEPT + 4


def test_a_run_whose_version_is_published_stays(objects: MemoryObjects, lease: MemoryLease) -> None:
    past(objects, "TrainingRun", MIN_KEPT + 2, RUN, "True")
    version = {"model": "m", "version": 1, "digest": DIGEST, "run": "trainingrun-000"}
    objects.create("ModelVersion", "m-v1", version, manager="controller")
    available = {"type": "Available", "status": "True", "reason": "X", "message": "", "lastTransitionTime": ""}
    objects.patch("ModelVersion", "m-v1", manager="controller", status={"conditions": [available]})
    look(objects, lease)
    assert names(objects, "TrainingRun")[:2] == [0, 2]


def test_while_a_node_cannot_be_read_no_rollout_goes(objects: MemoryObjects, lease: MemoryLease) -> None:
    past(objects, "ModelRollout", MIN_KEPT + 4, ROLLOUT)
    objects.create("EdgeNode", "a", {"assignments": [{"model": 7}]}, manager="gateway")
    look(objects, lease)
    assert len(names(objects, "ModelRollout")) == MIN_KEPT + 4


def test_whoever_lost_the_lease_deletes_nothing(objects: MemoryObjects, lease: MemoryLease) -> None:
    past(objects, "TrainingRun", MIN_KEPT + 4, RUN)
    lease.release()
    with pytest.raises(LeadershipLostError):
        look(objects, lease)
    assert len(names(objects, "TrainingRun")) == MIN_KEPT + 4


def test_what_was_written_since_it_was_read_is_not_deleted(objects: MemoryObjects) -> None:
    past(objects, "TrainingRun", 1, RUN)
    read = objects.get("TrainingRun", "trainingrun-000")
    objects.patch("TrainingRun", read.name, manager="operator", spec={"suspend": True})
    with pytest.raises(errors.ConflictError):
        objects.delete("TrainingRun", read.name, manager="controller", resource_version=read.resource_version)


def test_the_controller_deletes_nothing_else(objects: MemoryObjects) -> None:
    objects.create("EdgeModel", "m", {"classNames": ["a", "b"]}, manager="operator")
    with pytest.raises(errors.RejectedError, match="controller may not delete a EdgeModel"):
        objects.delete("EdgeModel", "m", manager="controller")
