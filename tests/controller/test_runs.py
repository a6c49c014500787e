"""The life of training runs: their turn, what they are told, what they leave, and a controller that comes and goes."""

from pathlib import Path

import controlled_model
import controlling
import pytest

from skerry.controller import run_plan
from skerry.controller.jobs.protocol import Order
from skerry.core import contract, digests, snapshots, specs, writers

World = controlling.World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def ended(world: World, name: str = "run-1") -> tuple[str, str]:
    return world.condition("TrainingRun", name, "Succeeded")


def message(world: World, name: str = "run-1") -> str:
    return str(world.get("TrainingRun", name).status["conditions"][-1]["message"])


def test_one_job_at_a_time_in_the_order_they_were_asked(world: World) -> None:
    world.trainer = lambda name: None
    world.ask_run("run-2")
    world.ask_run("run-1")
    world.run(2)
    started = world.jobs.started[0]
    other = {"run-1": "run-2", "run-2": "run-1"}[started]
    assert world.condition("TrainingRun", other, "Running") == ("False", "Queued")
    world.propose(started)
    world.jobs.end(started, 0)
    world.run(3)
    assert world.jobs.started == [started, other]


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        pytest.param({"model": "nobody"}, "there is no EdgeModel nobody", id="a model that is not there"),
        pytest.param({"datasetDigest": digests.sha256(b"?")}, "which nobody stored", id="a dataset that is not there"),
        pytest.param({"datasetDigest": "latest"}, "datasetDigest", id="a dataset that is no digest"),
        pytest.param({"overrides": {"epoch": 3}}, "did you mean epochs", id="a typo in the overrides"),
        pytest.param({"mode": "Magic"}, "spec.mode", id="a mode that is not there"),
    ],
)
def test_a_run_that_cannot_be_is_refused_with_the_reason(world: World, spec: dict[str, object], told: str) -> None:
    world.ask_run("run-1", **spec)
    world.run(2)
    assert ended(world) == ("False", "Invalid")
    assert world.condition("TrainingRun", "run-1", "Accepted") == ("False", "Invalid")
    assert told in message(world)
    assert world.jobs.started == []


def test_a_model_without_a_network_is_not_trained(world: World) -> None:
    world.edit_model(network=None)
    world.ask_run("run-1")
    world.run(2)
    assert ended(world) == ("False", "Invalid") and "names no network" in message(world)


def test_the_job_is_told_its_run_and_what_the_model_says_of_jobs(world: World) -> None:
    world.trainer = lambda name: None
    world.ask_run("run-1")
    world.run(2)
    assert world.jobs.orders == {"run-1": Order("run-1", controlled_model.MODEL, 100, specs.JobTemplate())}


def test_the_job_finds_the_objects_of_its_run_and_nothing_is_left_of_them_when_it_ends(world: World) -> None:
    world.trainer = lambda name: None
    world.ask_run("run-1", overrides={"epochs": 3}, baseVersion="digits-v9")
    world.run(2)
    path = contract.snapshot_path("run-1")
    found = snapshots.from_json("run-1", world.blobs.read(path, max_bytes=snapshots.MAX_BYTES))
    assert (found.run.dataset_digest, found.retrain.epochs) == (world.dataset, 3)
    assert (found.model.name, found.stable, found.version) == (controlled_model.MODEL, "digits-v9", None)
    world.jobs.end("run-1", 1)
    world.run(2)
    assert not world.blobs.exists(path)


def test_what_an_earlier_run_of_that_name_proposed_is_not_taken(world: World) -> None:
    world.ask_run("run-1")
    world.propose("run-1")
    world.trainer = lambda name: world.jobs.end(name, 1)
    world.run(4)
    assert ended(world) == ("False", "TrainerFailed")


def test_a_held_run_waits_without_growing_older_and_then_runs(world: World) -> None:
    world.trainer = lambda name: None
    world.ask_run("run-1", suspend=True, overrides={"timeoutSeconds": 20})
    world.run(3)
    assert world.condition("TrainingRun", "run-1", "Running") == ("False", "Suspended")
    status = world.get("TrainingRun", "run-1").status
    world.run(60)
    assert world.get("TrainingRun", "run-1").status == status, "waiting writes nothing"
    world.objects.patch("TrainingRun", "run-1", manager=writers.OPERATOR, spec={"suspend": False})
    world.run(15)
    assert world.condition("TrainingRun", "run-1", "Running") == ("True", "Training")
    assert world.get("TrainingRun", "run-1").status["job"]["starts"] == 1
    world.run(8)
    assert ended(world) == ("False", "Timeout")


def test_a_held_run_takes_no_turn_from_another(world: World) -> None:
    world.trainer = lambda name: None
    world.ask_run("run-1", suspend=True)
    world.ask_run("run-2")
    world.run(2)
    assert world.condition("TrainingRun", "run-2", "Running") == ("True", "Training")


def test_a_run_with_a_queue_leaves_its_turn_to_the_queue(world: World) -> None:
    world.trainer = lambda name: None
    world.ask_run("run-1")
    world.ask_run("run-2", template={"queue": "nightly"})
    world.run(2)
    assert {name: world.jobs.orders[name].template.queue for name in world.jobs.orders} == {
        "run-1": "",
        "run-2": "nightly",
    }


def test_a_restarted_controller_finds_its_running_job(world: World) -> None:
    world.trainer = lambda name: None
    world.ask_run("run-1")
    world.run(2)
    world.restart()
    world.run(2)
    assert world.jobs.started == ["run-1"]
    world.train("run-1")
    world.run(2)
    assert ended(world) == ("True", "Published")


def test_a_controller_told_to_stop_ends_the_job_and_the_next_one_starts_it_again(world: World) -> None:
    world.trainer = lambda name: None
    world.ask_run("run-1")
    world.run(2)
    for _ in range(run_plan.MAX_STARTS + 1):
        world.reconciler.drain(world.now_ms)
        assert world.jobs.names() == []
        assert world.condition("TrainingRun", "run-1", "Running") == ("False", "Interrupted")
        world.restart()
        world.run(2)
        assert world.condition("TrainingRun", "run-1", "Running") == ("True", "Training")
    world.train("run-1")
    world.run(2)
    assert ended(world) == ("True", "Published")


def test_the_job_of_a_deleted_run_is_ended(world: World) -> None:
    world.trainer = lambda name: None
    world.ask_run("run-1")
    world.run(2)
    world.objects.delete("TrainingRun", "run-1")
    world.run(1)
    assert world.jobs.names() == []


def test_a_run_whose_model_is_deleted_ends(world: World) -> None:
    world.trainer = lambda name: None
    world.ask_run("run-1")
    world.run(2)
    world.objects.delete("EdgeModel", controlled_model.MODEL)
    world.run(1)
    assert (ended(world), world.jobs.names()) == (("False", "Invalid"), [])


def test_an_ended_run_stays_as_it_ended(world: World) -> None:
    world.ask_run("run-1")
    world.run(6)
    status = world.get("TrainingRun", "run-1").status
    world.edit_model(retrain={"timeoutSeconds": 1})
    world.objects.patch("TrainingRun", "run-1", manager=writers.OPERATOR, spec={"datasetDigest": "changed"})
    world.run(5)
    # Only that the new spec was seen is noted; what came of the run stays.
    assert world.get("TrainingRun", "run-1").status == status | {"observedGeneration": 2}
