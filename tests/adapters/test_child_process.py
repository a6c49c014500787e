"""A child bounds itself, its lines are read, and every way it can die is explained."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop

from skerry.adapters import child_process
from skerry.core import errors

LIMITS = child_process.Limits(timeout_s=30.0)


def child(*lines: str) -> tuple[str, ...]:
    """One that `serve`s: `lines` are the body of its work, with `job` and `say`."""
    head = (
        "import os, resource, signal, sys, time",
        "from skerry.adapters import child_process",
        "def work(job, say):",
    )
    return (sys.executable, "-c", "\n".join((*head, *(f"  {line}" for line in lines), "child_process.serve(work)")))


async def test_a_child_is_given_its_job_and_answers_after_what_it_says() -> None:
    ended = await child_process.run(child("say({'phase': 1})", "return {'got': job['n'] + 1}"), {"n": 41}, LIMITS)
    assert list(ended.lines) == [{"phase": 1}, {"got": 42}]
    assert ended.answer == {"got": 42}


async def test_what_a_library_prints_is_no_answer() -> None:
    ended = await child_process.run(child("print('{}')", "os.write(1, b'{}')", "return {'own': 1}"), {}, LIMITS)
    assert list(ended.lines) == [{"own": 1}]


async def test_nothing_of_our_environment_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKERRY_SECRET", "x")
    monkeypatch.setenv("http_proxy", "http://proxy:1")
    ended = await child_process.run(child("return dict(os.environ)"), {}, LIMITS)
    assert ended.answer is not None
    assert not {"SKERRY_SECRET", "http_proxy"} & ended.answer.keys()


async def test_it_bounds_itself_before_it_works() -> None:
    names = "'CORE', 'CPU', 'FSIZE', 'AS'"
    code = f"return {{name: resource.getrlimit(getattr(resource, 'RLIMIT_' + name))[0] for name in ({names})}}"
    limits = child_process.Limits(timeout_s=30.0, memory_bytes=1 << 30, file_bytes=99 << 20)
    ended = await child_process.run(child(code), {}, limits)
    assert ended.answer == {"CORE": 0, "CPU": 31, "FSIZE": 99 << 20, "AS": 1 << 30}


@pytest.mark.parametrize(
    ("lines", "how"),
    [
        pytest.param(
            ["os.kill(os.getpid(), signal.SIGILL)"], "was killed by SIGILL: this CPU cannot run it", id="SIGILL"
        ),
        pytest.param(["os.kill(os.getpid(), signal.SIGKILL)"], "most likely there is no memory", id="killed"),
        pytest.param(["os.kill(os.getpid(), signal.SIGSEGV)"], "was killed by SIGSEGV", id="a native crash"),
        pytest.param(["sys.exit('boom')"], "ended with code 1. boom", id="its last words"),
        pytest.param(["raise ValueError('bug')"], "ended with code 1. ValueError: bug", id="a bug"),
        pytest.param(["return bytearray(1 << 34)"], "needs more than the 512 MiB of memory", id="its memory limit"),
        pytest.param(["sys.stderr.write('e' * 3000000)", "os._exit(3)"], "ended with code 3. eee", id="loud errors"),
        pytest.param(["os._exit(0)"], "ended with code 0", id="no answer"),
        pytest.param(
            ["open(job['file'], 'wb').write(bytes(2 << 20))"], "larger|too large", id="a larger file than it may write"
        ),
    ],
)
async def test_a_death_is_explained(tmp_path: Path, lines: list[str], how: str) -> None:
    limits = child_process.Limits(30.0, memory_bytes=512 << 20, file_bytes=1 << 20)
    ended = await child_process.run(child(*lines), {"file": str(tmp_path / "file")}, limits)
    assert ended.answer is None
    assert any(text in ended.how for text in how.split("|")), ended.how


async def test_one_that_hangs_is_killed_and_what_it_said_before_counts() -> None:
    ended = await child_process.run(child("say({'phase': 1})", "time.sleep(600)"), {}, child_process.Limits(3.0))
    assert ended.answer is None
    assert ended.how == "did not end in 3 s"
    assert list(ended.lines) == [{"phase": 1}]


async def test_a_child_does_not_outlive_its_task(tmp_path: Path) -> None:
    lines = ("with open(job['file'], 'w') as out: out.write(str(os.getpid()))", "time.sleep(600)")
    task = asyncio.ensure_future(child_process.run(child(*lines), {"file": str(tmp_path / "pid")}, LIMITS))
    async with asyncio.timeout(20):
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_one_that_has_ended_before_it_is_given_its_job_is_explained_on_uvloop_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = asyncio.create_subprocess_exec

    async def start_late(*argv: str, **options: Any) -> asyncio.subprocess.Process:
        process = await start(*argv, **options)
        await process.wait()
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start_late)
    ended = uvloop.run(child_process.run((sys.executable, "-c", "raise SystemExit('gone')"), {"n": 1}, LIMITS))
    assert ended.how == "ended with code 1. gone"


async def test_a_program_that_is_not_there_is_told() -> None:
    with pytest.raises(errors.UnavailableError, match="cannot start a process: No such file"):
        await child_process.run(("/nothing/here",), {}, LIMITS)


async def test_lines_that_are_no_objects_or_endless_are_passed_over() -> None:
    code = "import json; print('x' * 200000); print('[1]'); print('chatter'); print(json.dumps({'last': 1}))"
    ended = await child_process.run((sys.executable, "-c", code), {}, LIMITS)
    assert json.dumps(ended.answer) == '{"last": 1}'
