"""A training run comes to its end whatever its job does, and says why."""

from pathlib import Path

import controlling
import pytest

from skerry.adapters import blobs as blob_store
from skerry.controller import run_plan
from skerry.controller.jobs.memory import MemoryJobs
from skerry.controller.jobs.protocol import Order
from skerry.core import errors

World = controlling.World


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
    assert world.jobs.started == ["run-1"] * run_plan.MAX_STARTS


class Refusing(MemoryJobs):
    """Does not start anything while `error` is set."""

    error: errors.SkerryError | None = None

    def start(self, order: Order) -> None:
        if self.error is not None:
            raise self.error
        super().start(order)


def refusing(world: World, error: errors.SkerryError) -> Refusing:
    world.jobs = jobs = Refusing()
    jobs.error = error
    world.trainer = lambda name: None
    world.restart()
    return jobs


def test_a_job_that_cannot_be_started_now_is_tried_again_and_not_counted(world: World) -> None:
    jobs = refusing(world, errors.UnavailableError("the API server does not answer"))
    world.ask_run("run-1")
    world.run(30)
    assert world.condition("TrainingRun", "run-1", "Running") == ("False", "CannotStart")
    jobs.error = None
    world.run(8)
    assert world.condition("TrainingRun", "run-1", "Running") == ("True", "Training")
    assert world.get("TrainingRun", "run-1").status["job"]["starts"] == 1


def test_a_job_that_can_never_be_started_ends_its_run_in_time_and_says_why(world: World) -> None:
    refusing(world, errors.RejectedError("exceeded quota: gpus"))
    world.ask_run("run-1", overrides={"timeoutSeconds": 20})
    world.run(25)
    assert ended(world) == ("False", "Timeout") and "exceeded quota: gpus" in message(world)


def test_a_job_that_the_cluster_calls_invalid_ends_its_run_at_once(world: World) -> None:
    refusing(world, errors.InputError("spec.nodeSelector: Invalid value"))
    world.ask_run("run-1")
    world.run(2)
    assert ended(world) == ("False", "Invalid") and "nodeSelector" in message(world)


@pytest.mark.parametrize(
    ("log", "words"),
    [
        pytest.param(
            b'{"level": "error", "event": "training_failed", "error": "class 3 has no samples"}\n'
            b"E1126 torch.distributed: failed (exitcode: 1)\nRoot Cause:\n=====\n",
            "class 3 has no samples",
            id="its error, whatever a launcher prints after it",
        ),
        pytest.param(
            b'{"level": "warning", "event": "teacher_unused", "error": "no answer"}\nMemoryError\n',
            "MemoryError",
            id="its last line, though a warning came before",
        ),
        pytest.param(b"[[[[1]]]]\n" + b"[" * 5000 + b"\noh\n", "oh", id="a line, when there is no event"),
        pytest.param(b"====\n\xff\n", "", id="nothing, when there are no words"),
    ],
)
def test_the_last_words_are_what_tells_most(world: World, log: bytes, words: str) -> None:
    world.trainer = lambda name: world.jobs.end(name, 1, log)
    world.ask_run("run-1")
    world.run(3)
    said = message(world)
    assert words in said and ("last words" in said) == bool(words) and "no answer" not in said
