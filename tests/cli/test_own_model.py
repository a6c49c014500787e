"""A stranger's own models, through the commands of the README and nothing else: a finished network that only serves,
and one of his own that learns from his data. Neither the networks nor the data are known to the product or its demo."""

from collections.abc import Iterator
from pathlib import Path

import models
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from stranger import Stranger

CLASSES = ["ok", "worn", "broken"]
PRESS = """
name: press
spec:
  classNames: [ok, worn, broken]
  network: {factory: "own_networks:press", options: {width: 16}}
  input: {name: window, datatype: FP32, shape: [32, 4]}
  retrain: {epochs: 6}
  gates: {minHoldout: 300, minAccuracyPermille: 900}
  rollout: {fleet: all, waves: [{name: all, size: "100%", soakSeconds: 0}]}
"""


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Stranger]:
    made = Stranger(tmp_path)
    made.types("up", "--nodes", "2")
    yield made
    assert "skerry is down" in made.types("down")
    assert "nothing of skerry runs" in made.types("down")


def vibrations(path: Path, rows: int = 24_000) -> None:
    """Four sensors on a press; the state of the tool sets the pitch and the height of what they see."""
    rng = np.random.default_rng(5)
    state = np.repeat(rng.integers(0, 3, rows // 240), 240)
    wave = np.sin(np.arange(rows) * (0.1 + 0.15 * state)) * (1 + state)
    sensors = {f"s{index}": wave + rng.normal(0, 0.3, rows) for index in range(4)}
    parquet.write_table(pa.table({**sensors, "state": np.array(CLASSES)[state]}), path)


def test_a_finished_network_and_one_that_learns(stranger: Stranger) -> None:
    (stranger.folder / "level.onnx").write_bytes(models.linear())
    golden = np.random.default_rng(1).normal(size=(8, models.FEATURES)).astype(np.float32)
    np.savez(stranger.folder / "inputs.npz", x=golden)
    np.savez(stranger.folder / "one.npz", x=golden[0])
    stranger.types("models", "import", "level.onnx", "--name", "level", "--labels", "a,b,c", "--golden", "inputs.npz")
    stranger.waits(
        "an agent that serves level", lambda: stranger.run("infer", "level", "--input", "one.npz").returncode == 0
    )
    told = stranger.sees("infer", "level", "--input", "one.npz")
    expected = golden[0] @ models.weights(1.0)
    assert told["rows"][0]["logits"] == pytest.approx(expected.tolist(), abs=1e-4)
    assert told["rows"][0]["class"] == "abc"[int(expected.argmax())]

    (stranger.folder / "press.yaml").write_text(PRESS)
    vibrations(stranger.folder / "windows.parquet")
    stranger.types("models", "apply", "press.yaml")
    stranger.types(
        *("datasets", "import", "windows.parquet", "--model", "press", "--label-column", "state"),
        *("--window", "32", "--stride", "8"),
    )
    stranger.types("retrain", "press", "--wait")
    stranger.waits(
        "press on both nodes",
        lambda: all(
            any(one["model"] == "press" and one["digest"] for one in node["models"]) for node in stranger.sees("nodes")
        ),
    )
    stranger.waits(
        "the end of its rollout",
        lambda: [one["phase"] for one in stranger.sees("rollout", "list") if one["model"] == "press"] == ["Succeeded"],
    )
    press = next(one for one in stranger.sees("models") if one["model"] == "press")
    assert press["stable"]
    assert press["nodes"] == ["edge-1", "edge-2"]
    window = np.stack([np.sin(np.arange(32) * 0.4) * 3] * 4, axis=1).astype(np.float32)
    np.savez(stranger.folder / "window.npz", window=window)
    answer = stranger.sees("infer", "press", "--input", "window.npz", "--node", "edge-2")
    assert answer["rows"][0]["class"] == "broken"
    assert answer["digest"] == press["digest"]
