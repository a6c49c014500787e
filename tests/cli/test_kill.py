"""kill -9 of any process of a running system, the supervisor among them: it comes back, and nothing decided is lost."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from stranger import Stranger

PARTS = ("valkey", "controller", "gateway", "teacher", "curator", "dashboard", "edge-1", "edge-2")


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Stranger]:
    """Two agents that serve an imported network as the settled stable version."""
    made = Stranger(tmp_path)
    made.types("up", "--nodes", "2")
    (tmp_path / "level.onnx").write_bytes(models.linear())
    golden = np.random.default_rng(1).normal(size=(8, models.FEATURES)).astype(np.float32)
    np.savez(tmp_path / "inputs.npz", x=golden)
    np.savez(tmp_path / "one.npz", x=golden[0])
    made.types("models", "import", "level.onnx", "--name", "level", "--labels", "a,b,c", "--golden", "inputs.npz")
    made.waits("its rollout", lambda: bool(made.sees("rollout", "list")))
    made.waits("the end of its rollout", lambda: _promoted(made))
    made.waits("both agents", lambda: _answers(made))
    yield made
    made.types("down")


def _promoted(made: Stranger) -> bool:
    """Has the rollout succeeded? Its waves are passed by hand, for the default soak is long."""
    row = made.sees("rollout", "list")[0]
    if row["phase"] != "Succeeded":
        made.run("rollout", "promote", row["name"], "--wave", row["wave"])
    return bool(row["phase"] == "Succeeded")


def _answers(made: Stranger) -> bool:
    asked = [made.run("infer", "level", "--input", "one.npz", "--node", node) for node in ("edge-1", "edge-2")]
    return all(one.returncode == 0 for one in asked)


def _pids(made: Stranger) -> dict[str, int]:
    pids: dict[str, int] = json.loads((made.state / "system.json").read_text())["pids"]
    return pids


def _told(made: Stranger) -> Any:
    """What nobody may lose: versions with their digests, and how rollouts ended."""
    versions = [(one["version"], one["digest"], one["stable"]) for one in made.sees("models")]
    return versions, [(one["name"], one["phase"]) for one in made.sees("rollout", "list")]


@pytest.mark.long
def test_every_part_and_the_supervisor_come_back_and_nothing_decided_is_lost(serving: Stranger) -> None:
    before = _told(serving)
    for part in PARTS:
        victim = _pids(serving)[part]
        os.kill(victim, signal.SIGKILL)
        serving.waits(f"{part} to come back", lambda part=part, victim=victim: _pids(serving)[part] != victim)
    serving.waits("both agents to answer", lambda: _answers(serving))
    serving.waits(
        "both nodes to be online", lambda: [one["state"] for one in serving.sees("nodes")] == ["Online", "Online"]
    )
    assert _told(serving) == before

    supervisor = json.loads((serving.state / "system.json").read_text())["supervisor"]
    os.kill(supervisor, signal.SIGKILL)
    serving.types("up", "--nodes", "2")
    serving.waits("both agents to answer again", lambda: _answers(serving))
    assert _told(serving) == before
