"""The next step of a training run, as a table: what its job does, how it ended, and the time that does not count."""

import pytest

from skerry.controller import run_plan
from skerry.controller.jobs.protocol import Job, State

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
    step = run_plan.decide(job, **(base | facts))  # type: ignore[arg-type]
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
    assert told in run_plan.decide(job, starts=1, age_s=1, timeout_s=100, proposed=False, free=True).message


def test_how_long_a_run_took_is_written_with_what_else_changed_or_seldom() -> None:
    before = {"startedUnixMs": 1, "job": {"starts": 1, "ranMs": 4_000}}
    assert run_plan.with_ran_ms(before, before, 33_999) == before
    assert run_plan.with_ran_ms(before, before, 34_000)["job"] == {"starts": 1, "ranMs": 34_000}
    assert run_plan.with_ran_ms(before, {**before, "x": 1}, 5_000)["job"]["ranMs"] == 5_000
    assert run_plan.with_ran_ms({}, {"x": 1}, 0) == {"x": 1}, "one that never started takes no time"
