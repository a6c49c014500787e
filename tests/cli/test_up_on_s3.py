"""The whole loop with its data in S3: dataset, training, signing, fetching, serving, capturing, labelling."""

import json
from collections.abc import Iterator
from pathlib import Path

import models
import numpy as np
import object_storage
import pytest
from stranger import Stranger

from skerry.adapters import blobs

URL = f"s3://{object_storage.BUCKET}/site"
PRESS = """
name: press
spec:
  classNames: [ok, worn, broken]
  network: {factory: "own_networks:press", options: {width: 16}}
  input: {name: window, datatype: FP32, shape: [32, 4]}
  retrain: {epochs: 12, learningRatePpm: 10000}
  gates: {minHoldout: 100, minAccuracyPermille: 500}
  offload: {explorationPermille: 1000}
  rollout: {fleet: all, waves: [{name: all, size: "100%", soakSeconds: 0}]}
"""


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stranger]:
    with object_storage.running() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        made = Stranger(tmp_path)
        made.types("up", "--nodes", "1", "--storage", URL)
        yield made
        made.types("down")


def windows(path: Path, rows: int = 1500) -> None:
    rng = np.random.default_rng(5)
    label = rng.integers(0, 3, rows)
    waves = np.sin(np.arange(32)[None, :, None] * (0.1 + 0.15 * label[:, None, None])) * (1 + label[:, None, None])
    np.savez(path, x=(waves + rng.normal(0, 0.3, (rows, 32, 4))).astype(np.float32), y=label)


@pytest.mark.long
@object_storage.requires_s3
def test_the_loop_runs_on_object_storage_and_leaves_nothing_of_it_on_the_disk(stranger: Stranger) -> None:
    (stranger.folder / "press.yaml").write_text(PRESS)
    windows(stranger.folder / "windows.npz")
    stranger.types("models", "apply", "press.yaml")
    stranger.types("datasets", "import", "windows.npz", "--model", "press")
    stranger.types("retrain", "press", "--wait")
    np.savez(stranger.folder / "one.npz", window=np.ones((32, 4), np.float32))
    ask = ("infer", "press", "--input", "one.npz", "--id", "first", "--print-token")
    token = ""

    def is_answered() -> bool:
        nonlocal token
        token = stranger.run(*ask).stdout.strip()
        return bool(token)

    stranger.waits("an agent that serves press", is_answered)
    stranger.types("feedback", "press", "first", "worn", "--token", token)

    storage = blobs.open_shared(f"{URL}/blobs")
    stranger.waits("the label of what was asked", lambda: bool(list(storage.list("labels/press"))))
    label = json.loads(storage.read(next(storage.list("labels/press")), max_bytes=10_000))
    assert (label["label"], label["source"]) == (1, "GroundTruth")
    assert len(list(storage.list("examples/press"))) == len(list(storage.list("truths/press"))) == 1

    (stranger.folder / "level.onnx").write_bytes(models.linear())
    np.savez(stranger.folder / "inputs.npz", x=np.ones((4, models.FEATURES), np.float32))
    stranger.types("models", "import", "level.onnx", "--name", "level", "--labels", "a,b,c", "--golden", "inputs.npz")
    stranger.waits(
        "an agent that serves an import",
        lambda: stranger.run("infer", "level", "--input", "inputs.npz").returncode == 0,
    )
    assert not list((stranger.state / "blobs").rglob("*.*")) and not (stranger.state / "repository").exists()
    other = stranger.run("up", "--storage", "s3://elsewhere")
    assert other.returncode == 3 and "keeps its data in s3://skerry/site" in other.stderr
