"""A running system is saved, everything of it but the nodes is destroyed, and it goes on where it was."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from stranger import Stranger

from skerry.adapters import blobs

FEATURES = np.random.default_rng(1).normal(size=(8, models.FEATURES)).astype(np.float32)


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Stranger]:
    made = Stranger(tmp_path)
    made.types("up", "--nodes", "2")
    yield made
    made.types("down")


def imports(made: Stranger, scale: float) -> None:
    """Another version of the model, rolled out to its end."""
    (made.folder / "level.onnx").write_bytes(models.linear(scale))
    np.savez(made.folder / "inputs.npz", x=FEATURES)
    np.savez(made.folder / "one.npz", x=FEATURES[0])
    told = json.loads(
        made.types(
            *("models", "import", "level.onnx", "--name", "level", "--labels", "a,b,c"),
            *("--golden", "inputs.npz", "--json"),
        )
    )
    made.waits(f"{told['version']} on both nodes", lambda: _settled(made, told["version"], told["digest"]))


def _settled(made: Stranger, version: str, digest: str) -> bool:
    rows = [one for one in made.sees("rollout", "list") if one["version"] == version]
    for row in rows:
        if row["phase"] != "Succeeded":  # the default soak is long: waves are passed by hand
            made.run("rollout", "promote", row["name"], "--wave", row["wave"])
    return bool(rows) and all(row["phase"] == "Succeeded" for row in rows) and len(_serving(made, digest)) == 2


def _serving(made: Stranger, digest: str) -> list[str]:
    return [node["node"] for node in made.sees("nodes") if any(one.get("digest") == digest for one in node["models"])]


def captured(made: Stranger, node: str) -> bool:
    asked = made.run("infer", "level", "--input", "one.npz", "--id", "asked", "--node", node, "--print-token")
    told = ("feedback", "level", "asked", "b", "--node", node, "--token", asked.stdout.strip())
    return asked.returncode == 0 and made.run(*told).returncode == 0


def told(made: Stranger) -> Any:
    """What nobody may lose."""
    versions = [(one["version"], one["digest"], one["stable"], one["available"]) for one in made.sees("models")]
    return versions, [(one["name"], one["phase"]) for one in made.sees("rollout", "list")]


def labels(made: Stranger) -> dict[str, bytes]:
    storage = blobs.open_shared(f"file://{made.state / 'blobs'}")
    return {path: storage.read(path, max_bytes=10_000) for path in storage.list("labels/level")}


@pytest.mark.long
def test_a_system_goes_on_from_its_backup(stranger: Stranger) -> None:
    imports(stranger, 1.0)
    node = stranger.sees("nodes")[0]["node"]
    (stranger.folder / "level.yaml").write_text("name: level\nspec: {offload: {explorationPermille: 1000}}\n")
    stranger.types("models", "apply", "level.yaml")
    stranger.waits("a captured request", lambda: captured(stranger, node))
    stranger.waits("the label", lambda: bool(labels(stranger)))
    before, known = told(stranger), labels(stranger)

    stranger.types("backup", "b.tar.gz", "--keys")  # while everything runs
    imports(stranger, 2.0)  # and this the backup does not know, but the nodes do
    stranger.types("down")
    for lost in ("objects.db", "objects.db-wal", "objects.db-shm", "controller.epoch"):
        (stranger.state / lost).unlink(missing_ok=True)
    for lost in ("blobs", "repository", "keys", "teacher", "valkey", "jobs"):
        shutil.rmtree(stranger.state / lost, ignore_errors=True)

    assert "restored" in stranger.types("restore", "b.tar.gz")
    stranger.types("up", "--nodes", "2")
    assert told(stranger) == before
    assert labels(stranger) == known
    digest = before[0][0][1]
    # Nodes have seen newer metadata than the backup's: they believe it again once the online keys are new.
    stranger.types("keys", "rotate", "online")
    stranger.waits("the restored version on both nodes", lambda: len(_serving(stranger, digest)) == 2)
    imports(stranger, 3.0)
    answer = stranger.sees("infer", "level", "--input", "one.npz", "--node", node)
    assert answer["rows"][0]["logits"] == pytest.approx((FEATURES[0] @ models.weights(3.0)).tolist(), abs=1e-4)
