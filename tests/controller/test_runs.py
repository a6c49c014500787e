"""A training run comes to its end whatever its job does: a table of next steps, and the life of runs."""

from pathlib import Path

import controlling
import pytest

from skerry.adapters import blobs as blob_store
from skerry.controller import runs
from skerry.controller.jobs.protocol import Job, State
from skerry.core import digests, writers

World = controlling.World
ABSENT, RUNNING = Job(State.ABSENT), Job(State.RUNNING)
DONE, FAILED, KILLED, UNKNOWN = Job(State.ENDED, 0), Job(State.ENDED, 1), Job(State.ENDED, -9), Job(State.ENDED)


@pytest.mark.parametrize(
    ("job", "facts", "expected"),
    [
        pytest.param(ABSENT, {}, "Start/Training", id="a new run starts"),
        pytest.param(ABSENT, {"free": False}, "Wait/Queued", id="a new run waits while another trains"),
        pytest.param(RUNNING, {"starts": 1}, "Wait/Training", id="a job that runs is waited for"),
        pytest.param(RUNNING, {"starts": 1, "free": False}, "Wait/Training", id="its own job does not make it wait"),
        pytest.param(RUNNING, {"starts": 1, "age_s": 101.0}, "Stop/Timeout", id="a job that takes too long ends"),
        pytest.param(
            Job(State.ENDED, 0), {"starts": 1, "proposed": True}, "Collect/Proposed", id="a proposal is taken"
        ),
        pytest.param(KILLED, {"starts": 1, "proposed": True}, "Collect/Proposed", id="even from a killed job"),
        pytest.param(
            UNKNOWN,
            {"starts": 1, "proposed": True, "age_s": 999.0},
            "Collect/Proposed",
            id="a proposal is never too late",
        ),
        pytest.param(RUNNING, {"starts": 1, "proposed": True}, "Wait/Training", id="a job may not be done yet"),
        pytest.param(ABSENT, {"proposed": True}, "Start/Training", id="a proposal of somebody else's run is not taken"),
        pytest.param(FAILED, {"starts": 1}, "Stop/TrainerFailed", id="a job that failed is not tried again"),
        pytest.param(DONE, {"starts": 1}, "Stop/TrainerFailed", id="a job that proposed nothing failed"),
        pytest.param(KILLED, {"starts": 1}, "Start/Training", id="a killed job starts again"),
        pytest.param(UNKNOWN, {"starts": 2}, "Start/Training", id="so does one whose end nobody saw"),
        pytest.param(ABSENT, {"starts": 1}, "Start/Training", id="and one that vanished"),
        pytest.param(KILLED, {"starts": 3}, "Stop/TrainerKilled", id="but not for ever"),
        pytest.param(KILLED, {"starts": 1, "free": False}, "Wait/Queued", id="a killed job waits for its turn, too"),
    ],
)
def test_the_next_step(job: Job, facts: dict[str, object], expected: str) -> None:
    base = {"starts": 0, "age_s": 5.0, "timeout_s": 100.0, "proposed": False, "free": True}
    step = runs.decide(job, **(base | facts))  # type: ignore[arg-type]
    assert f"{step.action.value}/{step.reason}" == expected


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def ended(world: World, name: str = "run-1") -> tuple[str, str]:
    return world.condition("TrainingRun", name, "Succeeded")


def message(world: World, name: str = "run-1") -> str:
    return str(world.get("TrainingRun", name).status["conditions"][-1]["message"])


def test_a_failed_job_ends_its_run_with_its_last_words_and_its_log(world: World) -> None:
    log = b'{"event": "start"}\n{"event": "failed", "error": "class 3 has no samples"}\n'
    world.trainer = lambda name: world.jobs.end(name, 1, log)
    world.ask_run("run-1")
    world.run(3)
    assert ended(world) == ("False", "TrainerFailed")
    assert "code 1" in message(world) and "class 3 has no samples" in message(world)
    assert blob_store.fetch(world.blobs, world.get("TrainingRun", "run-1").status["logDigest"], 1000) == log
    assert (world.jobs.names(), world.available()) == ([], [])


def test_after_a_failed_run_the_next_one_works(world: World) -> None:
    world.trainer = lambda name: world.jobs.end(name, 1)
    world.ask_run("run-1")
    world.run(3)
    world.trainer = world.train
    world.ask_run("run-2")
    world.run(4)
    assert (ended(world), ended(world, "run-2")) == (("False", "TrainerFailed"), ("True", "Published"))


def test_a_job_that_never_ends_is_stopped_in_time(world: World) -> None:
    world.trainer = lambda name: None
    world.ask_run("run-1", overrides={"timeoutSeconds": 20})
    world.run(19)
    assert world.condition("TrainingRun", "run-1", "Running") == ("True", "Training")
    world.run(4)
    assert (ended(world), world.jobs.names()) == (("False", "Timeout"), [])


def test_a_job_that_is_killed_again_and_again_ends_its_run(world: World) -> None:
    world.trainer = lambda name: world.jobs.end(name, -9)
    world.ask_run("run-1")
    world.run(6)
    assert ended(world) == ("False", "TrainerKilled")
    assert world.jobs.started == ["run-1"] * runs.MAX_STARTS


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


def test_the_job_is_told_its_run_and_nothing_of_keys(world: World) -> None:
    world.trainer = lambda name: None
    world.ask_run("run-1")
    world.run(2)
    assert world.jobs.environments == {"run-1": {"SKERRY_RUN": "run-1"}}


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
    for _ in range(runs.MAX_STARTS + 1):
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
    world.objects.delete("EdgeModel", controlling.MODEL)
    world.run(1)
    assert (ended(world), world.jobs.names()) == (("False", "Invalid"), [])


def test_an_ended_run_stays_as_it_ended(world: World) -> None:
    world.ask_run("run-1")
    world.run(6)
    status = world.get("TrainingRun", "run-1").status
    world.edit_model(retrain={"timeoutSeconds": 1})
    world.objects.patch("TrainingRun", "run-1", manager=writers.OPERATOR, spec={"datasetDigest": "changed"})
    world.run(5)
    assert world.get("TrainingRun", "run-1").status == status
