"""The retrain policy at work: it fires on readings alone, once per dataset, never on nonsense and never twice."""

import json
from pathlib import Path
from typing import Any

import controlling
import pytest

from skerry.adapters.fleetstate.protocol import FleetState
from skerry.controller import retrain_trigger
from skerry.core import digests, errors, writers

World = controlling.World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A trained first version is stable; its confidence on the holdout is known to the policy."""
    made = World(tmp_path)
    made.ask_run("run-1")
    made.run(25)
    assert made.stable == "digits-v1"
    made.trainer = lambda name: None
    return made


def curator(world: World, captured: Any, dataset: str | None = None) -> str:
    """The curator's reading; returns the dataset that it names."""
    dataset = world.store_dataset(captured) if dataset is None else dataset
    world.fleetstate.put("curator:digits", json.dumps({"datasetDigest": dataset, "captured": captured}), ttl_s=30)
    return dataset


def readings(world: World, counts: list[Any], requests: Any = 1000, **changes: Any) -> None:
    for node in world.nodes:
        body = {
            "node": node,
            "model": "digits",
            "digest": world.get("ModelVersion", world.stable).spec["digest"],
            "atUnixMs": world.now_ms,
            "requests": requests,
            "offloaded": 0,
            "degraded": 0,
            "confidenceCounts": counts,
        }
        world.fleetstate.put(f"node:{node}:digits", json.dumps(body | changes), ttl_s=30)


def fired(world: World) -> list[str]:
    world.now_ms += 20_000
    world.tick()
    return [one.name for one in world.objects.list("TrainingRun") if one.name.startswith("digits-auto-")]


AS_EXPECTED = [50 * k for k in range(20)]
DRIFTED = AS_EXPECTED[::-1]


def test_enough_new_examples_start_a_run_on_the_newest_dataset(world: World) -> None:
    dataset = curator(world, 600)
    name = f"digits-auto-{digests.hex_of(dataset)[:10]}"
    assert fired(world) == [name]
    spec = world.get("TrainingRun", name).spec
    assert (spec["datasetDigest"], spec["baseVersion"]) == (dataset, "digits-v1")
    assert spec["reason"].startswith("EnoughExamples: 600 new labelled examples")


def test_a_dataset_without_what_was_imported_last_starts_no_run(world: World) -> None:
    """A person imports, and the curator has not made a dataset of it yet: a run would not learn what is new."""
    dataset = world.store_dataset(600)
    for base, runs in ((digests.sha256(b"imported before"), 0), (world.dataset, 1)):
        body = {"datasetDigest": dataset, "baseDigest": base, "captured": 600}
        world.fleetstate.put("curator:digits", json.dumps(body), ttl_s=30)
        assert len(fired(world)) == runs


def test_examples_count_though_a_bound_lets_the_dataset_grow_no_more(world: World) -> None:
    """1,000 rows fit: of 1,600 captured ones the oldest 600 made room."""
    full = curator(world, 1000)
    assert len(fired(world)) == 1
    world.trainer = world.train
    world.run(30)
    for over, runs in ((599, 1), (600, 2)):
        later = world.store_dataset(1000, over_budget=over)
        body = {"datasetDigest": later, "captured": 1000, "overBudget": over}
        world.fleetstate.put("curator:digits", json.dumps(body), ttl_s=30)
        assert later != full and len(fired(world)) == runs
    world.run(30)
    assert len(fired(world)) == 2, "what the last run had is not new"


def test_fewer_start_none(world: World) -> None:
    curator(world, 599)
    assert fired(world) == []


def test_fewer_and_drift_start_one(world: World) -> None:
    curator(world, 300)
    readings(world, DRIFTED)
    assert len(fired(world)) == 1
    readings(world, DRIFTED)
    assert len(fired(world)) == 1


@pytest.mark.parametrize(
    ("changes", "runs"),
    [
        pytest.param({"inputRows": 160, "inputSums": [8.0, -120.0]}, 1, id="a feature moved"),
        pytest.param({"inputRows": 160, "inputSums": [8.0, -12.0]}, 0, id="none moved"),
        pytest.param({"inputRows": 20, "inputSums": [8.0, -20.0]}, 0, id="few rows"),
        pytest.param({"inputRows": 10**9, "inputSums": [10.0**9]}, 0, id="more rows than a node looks at"),
        pytest.param({"inputRows": 160, "inputSums": [1e30]}, 0, id="sums that cannot be"),
        pytest.param({"inputRows": 160, "inputSums": ["far"]}, 0, id="no numbers"),
        pytest.param({"inputRows": "many", "inputSums": 7}, 0, id="no list"),
    ],
)
def test_inputs_that_moved_and_fewer_examples_start_one(world: World, changes: dict[str, Any], runs: int) -> None:
    curator(world, 300)
    readings(world, AS_EXPECTED, **changes)
    assert len(fired(world)) == runs


def test_no_drift_starts_none(world: World) -> None:
    curator(world, 300)
    readings(world, AS_EXPECTED)
    assert fired(world) == []


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"atUnixMs": 5}, id="old readings"),
        pytest.param({"digest": "sha256:" + "0" * 64}, id="readings of another version"),
        pytest.param({"model": "letters"}, id="readings of another model"),
        pytest.param({"confidenceCounts": ["many"] * 20}, id="counts that are no numbers"),
        pytest.param({"confidenceCounts": [-5] * 20}, id="negative counts"),
        pytest.param({"confidenceCounts": 7}, id="no list"),
        pytest.param({"requests": "all"}, id="requests that are no number"),
    ],
)
def test_drift_is_not_seen_in(world: World, changes: dict[str, Any]) -> None:
    curator(world, 300)
    world.now_ms += 20_000
    readings(world, DRIFTED, **changes)
    world.now_ms -= 20_000
    if "requests" in changes:
        readings(world, AS_EXPECTED, **changes)
    assert fired(world) == []


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '{"captured": "600", "datasetDigest": 4}', "[" * 50_000])
def test_a_reading_that_is_nonsense_starts_none(world: World, text: str) -> None:
    world.fleetstate.put("curator:digits", text, ttl_s=30)
    world.fleetstate.put("node:edge-1:digits", text, ttl_s=30)
    assert fired(world) == []


def test_the_same_dataset_is_not_trained_on_twice(world: World) -> None:
    curator(world, 600)
    name = fired(world)[0]
    world.jobs.end(name, 1)
    world.tick()
    assert world.condition("TrainingRun", name, "Succeeded") == ("False", "TrainerFailed")
    for _ in range(5):
        assert fired(world) == [name]


def test_new_examples_are_counted_from_the_run_that_knew_most(world: World) -> None:
    curator(world, 600)
    first = fired(world)[0]
    world.jobs.end(first, 1)
    world.tick()
    world.ask_run("on-the-old-dataset")
    world.tick()
    world.jobs.end("on-the-old-dataset", 1)
    world.tick()
    curator(world, 1100)
    assert fired(world) == [first], "500 are new, whatever somebody trained on in between"
    curator(world, 1200)
    assert len(fired(world)) == 2


def test_nothing_starts_beside_a_run_or_a_rollout(world: World) -> None:
    world.ask_run("by-hand")
    world.tick()
    curator(world, 5000)
    assert fired(world) == []
    world.objects.delete("TrainingRun", "by-hand")
    spec = {"model": "digits", "version": "digits-v1", "fleet": "nowhere"}
    world.objects.create("ModelRollout", "waiting", spec, manager=writers.OPERATOR)
    assert fired(world) == []
    world.objects.delete("ModelRollout", "waiting")
    assert len(fired(world)) == 1


@pytest.mark.parametrize("switch", [{"retrain": {"enabled": False}}, {"network": None}])
def test_a_model_that_is_not_to_be_retrained_is_not(world: World, switch: dict[str, Any]) -> None:
    world.edit_model(**switch)
    curator(world, 5000)
    assert fired(world) == []


def test_without_redis_nothing_starts_and_nothing_stops(world: World) -> None:
    class Away(FleetState):
        def get(self, *groups: str) -> dict[str, str]:
            raise errors.UnavailableError("no answer")

        def count(self, counters: Any) -> Any:
            raise errors.UnavailableError("no answer")

    world.fleetstate = Away()  # type: ignore[assignment, abstract]
    world.restart()
    assert fired(world) == []


def test_a_run_on_a_dataset_nobody_stored_does_not_stop_the_policy(world: World) -> None:
    world.ask_run("typo", datasetDigest=digests.sha256(b"never stored"))
    world.tick()
    assert world.condition("TrainingRun", "typo", "Succeeded") == ("False", "Invalid")
    curator(world, 600)
    assert len(fired(world)) == 1


def test_a_step_of_the_wall_clock_ends_no_cooldown_and_prolongs_none(world: World) -> None:
    world.edit_model(retrain={"minNewExamples": 600, "cooldownSeconds": 100})
    curator(world, 600)
    world.wall_step_ms = 3_600_000
    assert fired(world) == [], "an hour on: the last run ended seconds ago"
    world.wall_step_ms = -3_600_000
    assert fired(world) == []
    world.now_ms += 40_000
    assert len(fired(world)) == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"truths": 200, "coverage": 0.5}, (400, 200.0)),
        ({"truths": 200, "coverage": 1}, (400, 400.0)),
        ({"truths": 501, "coverage": 0.5}, (0, 0.0)),
        ({"truths": -1, "coverage": 0.5}, (0, 0.0)),
        ({"truths": "many", "coverage": 0.5}, (0, 0.0)),
        ({"truths": 200, "coverage": 1.5}, (0, 0.0)),
        ({"truths": 200, "coverage": "all"}, (0, 0.0)),
        ({"truths": 200, "coverage": float("nan")}, (0, 0.0)),
        ({"truths": 200}, (0, 0.0)),
        ({}, (0, 0.0)),
    ],
)
def test_truths_of_readings_are_added_up_where_they_can_be(changes: dict[str, Any], told: tuple[int, float]) -> None:
    added = retrain_trigger._truths([changes, changes])
    assert (added.told, added.covered) == told
