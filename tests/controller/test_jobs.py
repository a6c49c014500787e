"""The contract of training jobs, asked of local processes and of the memory twin; and what only processes can show."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from skerry.controller.jobs import local, memory
from skerry.controller.jobs.protocol import Job, Jobs, Order, State
from skerry.core import errors, specs

# Ends by itself with the code in the file `end`; says hello and what it was given.
PROGRAM = """
import os, pathlib, sys, time
print("hello", os.environ["SKERRY_RUN"], flush=True)
end = pathlib.Path(os.environ["END"])
while not end.exists():
    time.sleep(0.01)
sys.exit(int(end.read_text()))
"""


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def order(name: str = "run-1", *, suspend: bool = False) -> Order:
    return Order(name, "digits", 900, specs.JobTemplate(), suspend)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@dataclass
class Setup:
    """`again` is the controller after a restart: it sees the same jobs."""

    jobs: Jobs
    again: Callable[[], Jobs]
    end: Callable[[str, int], None]


def local_jobs(tmp: Path, program: str = PROGRAM) -> local.LocalJobs:
    return local.LocalJobs(
        tmp / "jobs", lambda _: [sys.executable, "-c", program], {"PATH": os.environ["PATH"], "END": f"{tmp}/end"}
    )


@pytest.fixture(params=["local", "memory"])
def setup(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Setup]:
    if request.param == "memory":
        twin = memory.MemoryJobs()
        yield Setup(twin, lambda: twin, lambda name, code: twin.end(name, code, f"hello {name}\n".encode()))
        return
    jobs = local_jobs(tmp_path)

    def end(name: str, code: int) -> None:
        until(lambda: jobs.log(name, 100) != b"")
        (tmp_path / "end").write_text(str(code))
        until(lambda: jobs.poll(name).state is State.ENDED)

    yield Setup(jobs, lambda: local_jobs(tmp_path), end)
    for name in jobs.names():
        jobs.stop(name)


def test_an_unknown_job_is_absent_and_stopping_it_harms_nobody(setup: Setup) -> None:
    setup.jobs.stop("run-1")
    assert setup.jobs.poll("run-1") == Job(State.ABSENT)
    assert setup.jobs.log("run-1", 100) == b""


@pytest.mark.parametrize("code", [0, 3])
def test_a_job_runs_ends_with_its_code_and_is_forgotten_when_stopped(setup: Setup, code: int) -> None:
    setup.jobs.start(order())
    assert setup.jobs.poll("run-1") == Job(State.RUNNING)
    setup.end("run-1", code)
    assert setup.jobs.poll("run-1") == Job(State.ENDED, code)
    assert setup.jobs.log("run-1", 100) == b"hello run-1\n"
    assert setup.jobs.log("run-1", 6) == b"run-1\n"
    assert list(setup.jobs.names()) == ["run-1"]
    setup.jobs.stop("run-1")
    assert (setup.jobs.poll("run-1").state, list(setup.jobs.names())) == (State.ABSENT, [])


def test_starting_a_running_job_again_changes_nothing(setup: Setup) -> None:
    for _ in range(3):
        setup.jobs.start(order())
    setup.end("run-1", 0)
    assert setup.jobs.log("run-1", 100) == b"hello run-1\n"


def test_a_job_that_ended_can_be_started_again(setup: Setup) -> None:
    setup.jobs.start(order())
    setup.end("run-1", 1)
    setup.jobs.start(order())
    assert setup.jobs.poll("run-1").state in (State.RUNNING, State.ENDED)


def test_a_held_job_does_not_run_and_goes_on_when_it_may(setup: Setup) -> None:
    setup.jobs.start(order(suspend=True))
    setup.jobs.start(order(suspend=True))
    held = setup.again().poll("run-1")
    assert (held.state, held.suspend) == (State.SUSPENDED, True)
    assert list(setup.jobs.names()) == ["run-1"]
    setup.jobs.start(order())
    assert setup.jobs.poll("run-1") == Job(State.RUNNING)
    setup.end("run-1", 0)
    assert setup.jobs.log("run-1", 100) == b"hello run-1\n"


def test_a_running_job_is_held_and_stopped_as_any(setup: Setup) -> None:
    setup.jobs.start(order())
    setup.jobs.start(order(suspend=True))
    assert setup.jobs.poll("run-1").state is State.SUSPENDED
    setup.jobs.stop("run-1")
    assert (setup.jobs.poll("run-1").state, list(setup.jobs.names())) == (State.ABSENT, [])


def test_a_running_job_is_ended_by_stop(setup: Setup) -> None:
    setup.jobs.start(order())
    setup.jobs.stop("run-1")
    assert setup.jobs.poll("run-1").state is State.ABSENT


def test_a_restarted_controller_finds_the_running_job_and_can_end_it(setup: Setup) -> None:
    setup.jobs.start(order())
    adopted = setup.again()
    assert adopted.poll("run-1") == Job(State.RUNNING)
    adopted.start(order())
    assert list(adopted.names()) == ["run-1"]
    adopted.stop("run-1")
    assert setup.jobs.poll("run-1").state is State.ABSENT


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden"])
def test_a_name_that_is_no_file_name_is_refused(setup: Setup, name: str) -> None:
    with pytest.raises(errors.InputError):
        setup.jobs.start(order(name))


def test_an_adopted_job_ends_with_an_unknown_code(tmp_path: Path) -> None:
    first, adopted = local_jobs(tmp_path), local_jobs(tmp_path)
    first.start(order())
    (tmp_path / "end").write_text("7")
    until(lambda: adopted.poll("run-1").state is State.ENDED)
    assert adopted.poll("run-1").exit_code is None
    first.stop("run-1")


def test_a_killed_job_shows_its_signal(tmp_path: Path) -> None:
    jobs = local_jobs(tmp_path)
    jobs.start(order())
    until(lambda: jobs.log("run-1", 100) != b"")
    os.kill(int((tmp_path / "jobs" / "run-1.pid").read_text()), 9)
    until(lambda: jobs.poll("run-1").state is State.ENDED)
    assert jobs.poll("run-1").exit_code == -9
    jobs.stop("run-1")


def test_what_a_job_started_is_ended_with_it(tmp_path: Path) -> None:
    stubborn = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
print(os.getpid(), flush=True)
time.sleep(600)
"""
    jobs = local_jobs(tmp_path, stubborn)
    local._GRACE_S, kept = 0.3, local._GRACE_S
    try:
        jobs.start(order())
        until(lambda: jobs.log("run-1", 100).count(b"\n") == 2)
        pids = [int(line) for line in jobs.log("run-1", 100).split()]
        assert all(lives(pid) for pid in pids)
        jobs.stop("run-1")
    finally:
        local._GRACE_S = kept
    until(lambda: not any(lives(pid) for pid in pids))


def test_a_job_gets_no_environment_but_the_one_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKERRY_KEYS", "/keys")
    jobs = local_jobs(tmp_path, "import os; print(sorted(k for k in os.environ if k.startswith('SKERRY')))")
    jobs.start(order())
    until(lambda: jobs.poll("run-1").state is State.ENDED)
    assert jobs.log("run-1", 100) == b"['SKERRY_RUN']\n"
    jobs.stop("run-1")
