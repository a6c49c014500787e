"""A training run comes to its end whatever its job does: a table of next steps, and the life of runs."""

from pathlib import Path

import controlling
import pytest

from skerry.adapters import blobs as blob_store
from skerry.controller import steps
from skerry.controller.jobs.memory import MemoryJobs
from skerry.controller.jobs.protocol import Job, Order, State
from skerry.core import digests, errors, snapshots, specs, tickets, writers

World = controlling.World
ABSENT, RUNNING = Job(State.ABSENT), Job(State.RUNNING)
SUSPENDED, HELD = Job(State.SUSPENDED, message="in a queue"), Job(State.SUSPENDED, suspend=True)
PENDING = Job(State.WAITING, reason="Unschedulable", message="0/3 nodes are available")
OOM = Job(State.ENDED, 137, "OOMKilled", "worker 1 needed more memory than its limit")
LATE = Job(State.ENDED, None, "DeadlineExceeded", "active too long")
EVICTED = Job(State.ENDED, None, "Evicted", "the node was low on memory")
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
        pytest.param(SUSPENDED, {"starts": 1}, "Wait/Suspended", id="what a queue holds is waited for"),
        pytest.param(HELD, {"starts": 1, "suspend": True}, "Wait/Suspended", id="what we hold is waited for"),
        pytest.param(HELD, {"starts": 1}, "Adjust/Resumed", id="what we no longer hold goes on"),
        pytest.param(RUNNING, {"starts": 1, "suspend": True}, "Adjust/Suspended", id="a running job is held"),
        pytest.param(ABSENT, {"suspend": True}, "Start/Training", id="a held run gets its job, which is held"),
        pytest.param(SUSPENDED, {"starts": 1, "proposed": True}, "Wait/Suspended", id="a held job may not be done yet"),
        pytest.param(PENDING, {"starts": 1}, "Wait/Unschedulable", id="a job without a node waits and says so"),
        pytest.param(Job(State.WAITING), {"starts": 1}, "Wait/Starting", id="a job without a reason starts"),
        pytest.param(PENDING, {"starts": 1, "age_s": 101.0}, "Stop/Unschedulable", id="but not for ever"),
        pytest.param(ABSENT, {"age_s": 101.0}, "Stop/Timeout", id="a run that nobody can start ends"),
        pytest.param(OOM, {"starts": 1}, "Stop/OOMKilled", id="a job without memory is not tried again"),
        pytest.param(LATE, {"starts": 1}, "Stop/DeadlineExceeded", id="nor one that was too long"),
        pytest.param(EVICTED, {"starts": 1}, "Start/Training", id="an evicted job starts again"),
        pytest.param(EVICTED, {"starts": 3}, "Stop/TrainerKilled", id="but not an evicted one for ever"),
    ],
)
def test_the_next_step(job: Job, facts: dict[str, object], expected: str) -> None:
    base = {"starts": 0, "age_s": 5.0, "timeout_s": 100.0, "proposed": False, "free": True}
    step = steps.decide(job, **(base | facts))  # type: ignore[arg-type]
    assert f"{step.action.value}/{step.reason}" == expected


@pytest.mark.parametrize(
    ("job", "told"),
    [
        pytest.param(OOM, "with code 137", id="the code"),
        pytest.param(OOM, "worker 1 needed more memory", id="what the cluster says"),
        pytest.param(LATE, "active too long", id="the deadline"),
    ],
)
def test_how_a_job_ended_is_in_the_message(job: Job, told: str) -> None:
    assert told in steps.decide(job, starts=1, age_s=1, timeout_s=100, proposed=False, free=True).message


def test_idle_time_does_not_count_and_is_written_down_only_when_it_begins_and_ends() -> None:
    job: dict[str, int] = {"starts": 1}
    assert steps.clocked(job, idle=False, now_ms=5_000) == job
    stopped = steps.clocked(job, idle=True, now_ms=5_000)
    assert steps.clocked(stopped, idle=True, now_ms=9_000) == stopped == {"starts": 1, "idleSinceUnixMs": 5_000}
    assert steps.age_s({"startedUnixMs": 1_000, "job": stopped}, 60_000) == 4.0
    on = steps.clocked(stopped, idle=False, now_ms=65_000)
    assert on == {"starts": 1, "idleMs": 60_000}
    assert steps.age_s({"startedUnixMs": 1_000, "job": on}, 66_000) == 5.0
    assert steps.age_s({}, 66_000) == 0.0


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
    assert world.jobs.started == ["run-1"] * steps.MAX_STARTS


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
    assert world.jobs.orders == {"run-1": Order("run-1", controlling.MODEL, 100, specs.JobTemplate())}


def test_the_job_finds_the_objects_of_its_run_and_nothing_is_left_of_them_when_it_ends(world: World) -> None:
    world.trainer = lambda name: None
    world.ask_run("run-1", overrides={"epochs": 3}, baseVersion="digits-v9")
    world.run(2)
    path = tickets.snapshot_path("run-1")
    found = snapshots.from_json("run-1", world.blobs.read(path, max_bytes=snapshots.MAX_BYTES))
    assert (found.run.dataset_digest, found.retrain.epochs) == (world.dataset, 3)
    assert (found.model.name, found.stable, found.version) == (controlling.MODEL, "digits-v9", None)
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
    for _ in range(steps.MAX_STARTS + 1):
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
    # Only that the new spec was seen is noted; what came of the run stays.
    assert world.get("TrainingRun", "run-1").status == status | {"observedGeneration": 2}
