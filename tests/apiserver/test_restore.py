"""A backup put into a cluster whose schemas, rules and fences are the real ones; also over what has gone on since."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from apiserver_process import ApiServer, requires_apiserver
from cli_system import StillSystem

from skerry.adapters import blobs, lease, objects
from skerry.adapters.trust import ceremony
from skerry.cli.backup import restoring, saving

pytestmark = requires_apiserver
DIGEST = "sha256:" + "ab" * 32
PERMIT = {"number": 3, "ttlMs": 1000, "request": 2, "epoch": 42}
ROLLOUT = {"rollout": "digits-v1-auto", "attempt": 1}
LEASE = {"number": 3, "request": 2, "untilUnixMs": 9, "digest": DIGEST, "epoch": 42, **ROLLOUT}
ASSIGNMENT = {
    "model": "digits",
    "digest": DIGEST,
    "version": 1,
    "targetPath": "retrained/digits/1",
    **ROLLOUT,
    "rollback": False,
    "permit": PERMIT,
    "lease": LEASE,
}


@pytest.fixture
def still(tmp_path: Path) -> StillSystem:
    (tmp_path / "state").mkdir()
    made = StillSystem(tmp_path / "state")
    made.edge_model("digits")
    store = made.objects
    store.patch(
        "EdgeModel",
        "digits",
        manager="controller",
        status={"stableVersion": "digits-v1", "releaseCounter": 1, "catchUp": {"epoch": 40, "permitNumber": 3}},
    )
    store.create("EdgeFleet", "all", {"selector": {}}, manager="operator")
    spec = {"model": "digits", "version": 1, "digest": DIGEST, "targetPath": "retrained/digits/1", "source": "Trained"}
    runtime = {"irVersion": 10, "opsets": {"ai.onnx": 21}, "minOnnxruntime": "1.20"}
    store.create("ModelVersion", "digits-v1", {**spec, "sizeBytes": 5, "runtime": runtime}, manager="controller")
    store.create("ModelRollout", "digits-v1-auto", {"model": "digits", "version": "digits-v1"}, manager="controller")
    store.patch("ModelRollout", "digits-v1-auto", manager="controller", status={"epoch": 41, "state": "Succeeded"})
    store.create("EdgeNode", "edge-1", {"labels": {"line": "3"}}, manager="gateway")
    store.patch("EdgeNode", "edge-1", manager="controller", spec={"assignments": [ASSIGNMENT]})
    store.patch("EdgeNode", "edge-1", manager="gateway", status={"connected": True, "lastSeenUnixMs": 5})
    storage = blobs.open_shared(made.description.repository)
    ceremony.ensure(storage, Path(made.description.keys), now=datetime.now(UTC))
    return made


def test_a_real_cluster_takes_a_backup_and_takes_it_again(
    still: StillSystem, server: ApiServer, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig))
    url = f"kubernetes://{namespace}"
    where = ("--objects", url, "--blobs", f"file://{tmp_path}/b", "--repository", f"file://{tmp_path}/r")
    still.good("backup", tmp_path / "b.tar")
    still.good("restore", tmp_path / "b.tar", *where)
    store = objects.open_objects(url)
    first = 42 + restoring.EPOCH_STEP
    assert store.get("ModelRollout", "digits-v1-auto").status["epoch"] == first
    node = store.get("EdgeNode", "edge-1")
    assert node.spec["assignments"] == [ASSIGNMENT] and node.status["connected"] is False
    held = lease.open_lease(url, "controller")
    epoch = held.acquire("controller")
    assert epoch is not None and epoch > first
    store.patch("ModelRollout", "digits-v1-auto", manager="controller", status={"epoch": epoch})
    store.patch("EdgeModel", "digits", manager="controller", status={"catchUp": {"epoch": epoch}})
    held.release()

    still.good("restore", tmp_path / "b.tar", *where, "--merge")
    assert store.get("ModelRollout", "digits-v1-auto").status["epoch"] == epoch + restoring.EPOCH_STEP
    assert store.get("EdgeModel", "digits").status["releaseCounter"] == 1 + restoring.RELEASE_STEP
    before = {(kind, one.name): one.created_unix_ms for kind in saving.KINDS for one in still.objects.list(kind)}
    after = {(kind, one.name): one.created_unix_ms for kind in saving.KINDS for one in store.list(kind)}
    assert before == after
