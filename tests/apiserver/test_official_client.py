"""What users script with: the official Python client lists, watches and patches our resources on a real API server."""

import time
from pathlib import Path

import official_client
import pytest
from apiserver_process import ApiServer, requires_apiserver
from controlled_model import MODEL
from controlling import World

from skerry.adapters import objects
from skerry.adapters.objects.kubernetes import KubernetesObjects

pytestmark = [requires_apiserver, official_client.requires_client]


def test_a_script_of_the_docs_follows_a_rollout_to_its_end(
    server: ApiServer, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig))
    store = objects.open_objects(f"kubernetes://{namespace}")
    assert isinstance(store, KubernetesObjects)
    world = World(tmp_path, 2, store, time.time_ns() // 1_000_000)
    world.import_version(1)
    world.run(1)
    with official_client.begin(tmp_path, server.kubeconfig, namespace, MODEL, f"{MODEL}-v1-auto") as script:
        assert script.stdout is not None
        seen = [script.stdout.readline().strip() for _ in range(3)]
        assert seen[:2] == ["edge-1 connected", "edge-2 connected"], seen + script.stdout.readlines()
        assert seen[2] in ("Pending", "Progressing")
        world.run(25)
        seen += script.stdout.read().split()
        assert script.wait(30) == 0, seen
    assert seen[-1] == "Succeeded"
    assert world.get("EdgeModel", MODEL).spec["retrain"]["enabled"] is False
    store.close()
