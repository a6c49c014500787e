"""`skerry` against a cluster, by environment variables alone: the same intents, refusals in the same words."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import custom_resources
import pytest
from apiserver_process import ApiServer, requires_apiserver
from controlled_model import MODEL
from controlling import World

from skerry.adapters import objects
from skerry.adapters.objects.kubernetes import KubernetesObjects

pytestmark = requires_apiserver


@pytest.fixture
def world(server: ApiServer, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig))
    store = objects.open_objects(f"kubernetes://{namespace}")
    assert isinstance(store, KubernetesObjects)
    yield World(tmp_path, 2, store, time.time_ns() // 1_000_000)
    store.close()


@pytest.fixture
def skerry(server: ApiServer, namespace: str, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Runs the command as a pod would have it; returns its exit code and what it said."""

    def run(*arguments: str) -> tuple[int, str]:
        given = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": str(custom_resources.ROOT / "services"),
            "KUBECONFIG": str(server.kubeconfig),
            "SKERRY_OBJECTS": f"kubernetes://{namespace}",
            "SKERRY_REDIS_URL": f"unix://{tmp_path}/nobody.sock",
            "SKERRY_BLOBS": f"file://{tmp_path}/blobs",
            "SKERRY_REPOSITORY": f"file://{tmp_path}/repository",
            "SKERRY_KEYS": f"{tmp_path}/keys",
        }
        command = [sys.executable, "-m", "skerry.cli.main", *arguments]
        done = subprocess.run(command, env=given, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


def test_a_rollout_is_seen_and_steered(world: World, skerry: Callable[..., tuple[int, str]]) -> None:
    world.import_version(1)
    world.run(2)
    rollout = f"{MODEL}-v1-auto"
    code, said = skerry("rollout", "list", "--json")
    assert (code, [one["name"] for one in json.loads(said)]) == (0, [rollout])
    assert skerry("rollout", "pause", rollout)[0] == 0
    world.run(2)
    assert world.phase(rollout) == "Paused"
    assert skerry("rollout", "resume", rollout)[0] == 0
    world.run(20)
    assert world.phase(rollout) == "Succeeded"
    code, said = skerry("rollout", "abort", rollout)
    assert code == 3, said
    code, said = skerry("nodes", "--json")
    assert [one["node"] for one in json.loads(said)] == ["edge-1", "edge-2"], said
    code, said = skerry("models", "--json")
    assert [(one["version"], one["stable"]) for one in json.loads(said)] == [(f"{MODEL}-v1", True)], said


def test_a_run_is_asked_for(world: World, skerry: Callable[..., tuple[int, str]]) -> None:
    code, said = skerry("retrain", MODEL, "--reason", "new light")
    assert code == 0, said
    (run,) = world.objects.list("TrainingRun")
    assert (run.spec["reason"], run.spec["datasetDigest"]) == ("new light", world.dataset)
    assert run.name in skerry("runs", "--json")[1]


def test_what_is_not_there_is_said_in_one_line(world: World, skerry: Callable[..., tuple[int, str]]) -> None:
    code, said = skerry("rollout", "pause", "nothing")
    assert code != 0
    assert "there is no ModelRollout nothing" in said
    assert "Traceback" not in said


def test_a_write_past_skerry_is_told_with_its_program(
    world: World, skerry: Callable[..., tuple[int, str]], server: ApiServer, namespace: str
) -> None:
    assert skerry("nodes", "cordon", "edge-1")[0] == 0
    patch = '{"spec": {"cordoned": false}}'
    server.kubectl("patch", "-n", namespace, "en", "edge-1", "--type=merge", "-p", patch)
    code, said = skerry("audit", "EdgeNode/edge-1", "--json")
    told = {(one["outcome"], one["action"], one["via"]) for one in json.loads(said)}
    assert code == 0 and told == {
        ("Applied", "cordon", "skerry nodes cordon"),
        ("PastSkerry", "write spec", "kubectl-patch"),
    }
