"""A version of a forecaster at its canary, from captured answers to the verdict: the truth of an answer an hour comes
a day later, the curator counts it, the controller reads it and takes a bad version back.

Curator and controller are the real ones, on storage that they share, in simulated time. Agents and trainer are those of
`controlling`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import controlling
import curating
import numpy as np
import pytest
from controlled_model import MODEL, WAVES, candidate
from curating import Clock

from skerry.adapters import blobs as blob_store
from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.core import digests, tensors
from skerry.core.confidence import Calibration
from skerry.core.tasks import Forecast
from skerry.proto import fleet_pb2

pytestmark = pytest.mark.long

HORIZON_H, NODES, CANARIES, MIN_SAMPLES = 24, 4, 2, 12
ENOUGH_H = HORIZON_H + MIN_SAMPLES // CANARIES
LOAD = Forecast("load", "kWh", (100, 500, 900), 3600, horizon=HORIZON_H)
HOUR_MS = LOAD.step_ms
BOUND, TRUTH = 5.0, 100.0
DESCRIBED: Mapping[str, Any] = {
    "task": LOAD,
    "confidence": Calibration(threshold=0.1, widths=tuple(float(width) for width in range(21)), bound=BOUND),
    "outputs": (tensors.Spec("quantiles", "FP32", (LOAD.width,)),),
}
ROLLOUT = {
    "waves": [{**WAVES[0], "size": str(CANARIES)}, WAVES[1]],
    "analysis": {"minSamples": MIN_SAMPLES, "marginPermille": 300},
}


class SharedCurator(curating.World):
    """On storage in which the EdgeModel is already."""

    def __post_init__(self) -> None:
        self.restart()


class World(controlling.World):
    """Every node forecasts once an hour. `off_by`: how far the answers of a version are from the truth, by its
    digest."""

    task = LOAD

    def __init__(self, tmp: Path) -> None:
        super().__init__(tmp, NODES)
        self.described, self.off_by = DESCRIBED, dict[str, float]()
        self.fleetstate = MemoryFleetState(lambda: self.now_ms / 1000)
        self.replace_model(task="Forecast", classNames=None, **LOAD.to_json(), rollout=ROLLOUT)
        self.restart()
        self.clock = Clock()
        self.clock.now_s = self.now_ms / 1000
        self.curator = SharedCurator(
            blobs=self.blobs, fleetstate=self.fleetstate, objects=self.objects, clock=self.clock
        )
        self.untold: list[tuple[int, bytes]] = []  # when its truth is due, and the example
        self.answered = 0

    def answer(self, node: str, digest: str, n: int) -> None:
        """Not with every tick, see `hour`."""

    def hour(self) -> None:
        """An hour passes, every node answers once, truths come that are due, curator and controller do their work."""
        self.now_ms += HOUR_MS
        for node in self.nodes:
            (report,) = self.get("EdgeNode", node).status["models"]
            example = self._example(node, report["digest"])
            self.curator.upload(example, model=MODEL)
            self.untold.append((self.now_ms + LOAD.horizon_ms, example))
        while self.untold and self.untold[0][0] <= self.now_ms:
            example = self.untold.pop(0)[1]
            self.curator.upload(_truth(example), kind="truth", about=example, model=MODEL)
        self.others()
        self.clock.now_s = self.now_ms / 1000
        self.curator.work(rounds=2)
        self.run(4)

    def _example(self, node: str, digest: str) -> bytes:
        self.answered += 1
        window = np.random.default_rng(self.answered).integers(0, 256, (1, 28, 28), dtype=np.uint8)
        value = TRUTH + self.off_by.get(digest, 0.0)
        made = fleet_pb2.Example(
            model=MODEL,
            node=node,
            digest=digest,
            kind=fleet_pb2.EXPLORATION,
            inputs=[fleet_pb2.CapturedTensor(name="image", datatype="UINT8", shape=window.shape, raw=window.tobytes())],
            local_logits=[value - 1, value, value + 1],
            answered_unix_ms=self.now_ms,
            label_map=LOAD.digest,
            series=node,
            series_unix_ms=self.now_ms,
        )
        return bytes(made.SerializeToString(deterministic=True))


def _truth(example: bytes) -> bytes:
    about = fleet_pb2.Example.FromString(example)
    made = fleet_pb2.Truth(
        model=MODEL, node=about.node, example_id=digests.sha256(example), values=[TRUTH], label_map=LOAD.digest
    )
    return bytes(made.SerializeToString(deterministic=True))


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Version 1 serves everywhere."""
    made = World(tmp_path)
    for data in candidate("import-1", "", **DESCRIBED)[0].values():
        blob_store.put(made.blobs, data)  # as an import does
    made.import_version(1, described=DESCRIBED)
    made.run(25)
    assert made.stable == f"{MODEL}-v1"
    return made


def new_version(world: World, off_by: float) -> str:
    """A run makes version 2, which is rolled out and has reached its canaries; returns its rollout."""
    world.ask_run("run-1")
    world.off_by[candidate("run-1", world.dataset, **DESCRIBED)[1].digest] = off_by
    world.run(15)
    assert sorted(world.serving().values()) == [1, 1, 2, 2]
    return f"{MODEL}-v2-auto"


def verdict(world: World, rollout: str) -> Any:
    return world.get("ModelRollout", rollout).status["waves"][0]["verdict"]


def test_a_forecaster_that_is_far_off_is_taken_back_at_its_canary_when_the_truth_has_come(world: World) -> None:
    rollout = new_version(world, off_by=BOUND + 1)
    for _ in range(HORIZON_H):
        world.hour()
        assert (world.phase(rollout), verdict(world, rollout)["code"]) == ("Progressing", "Missing")
    for _ in range(ENOUGH_H - HORIZON_H - 1):
        world.hour()
        assert (world.phase(rollout), verdict(world, rollout)["code"]) == ("Progressing", "TooFewSamples")
    world.hour()
    world.run(10)
    assert world.phase(rollout) == "RolledBack"
    assert world.condition("ModelRollout", rollout, "Succeeded") == ("False", "AnalysisFailed")
    assert set(world.serving().values()) == {1} and world.stable == f"{MODEL}-v1"
    counted = verdict(world, rollout)
    assert counted["canary"]["n"] == counted["canary"]["bad"] == MIN_SAMPLES and counted["baseline"]["bad"] == 0


def test_one_that_is_off_within_the_bound_goes_on_to_the_fleet(world: World) -> None:
    rollout = new_version(world, off_by=BOUND - 1)
    for _ in range(ENOUGH_H + MIN_SAMPLES):
        world.hour()
    world.run(15)
    assert world.phase(rollout) == "Succeeded" and set(world.serving().values()) == {2}
