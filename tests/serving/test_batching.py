"""Batching: each caller gets its own rows, a bad request fails alone, expired work is not run, queues are bounded."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from models import tensor
from plane import FakeCall, Plane, error_of, reply_of

from skerry.core import errors
from skerry.core.inference import InferRequest
from skerry.core.sequences import Ask
from skerry.serving import batch_rules
from skerry.serving.batch_rules import BatchPolicy, QueuedRequest
from skerry.serving.predictor import Context, Job
from skerry.serving.runtime import RunStoppedError
from skerry.serving.version import Options, Version

EXPIRED = Job(InferRequest("m", ()), Context(deadline=4.0), print)
INLINE = Options(batching=BatchPolicy(max_inline_s=10, max_turn_s=10))
THREADED = Options(batching=BatchPolicy(max_inline_s=0.0))


def _watched(plane: Plane, model: str, release: "asyncio.Event | None" = None) -> list[int]:
    """Rows of each run, filled as runs happen; with `release` each waits for it."""
    version = plane.registry.lookup(model)
    runs: list[int] = []
    run = version.network.run

    def counted(inputs, state=()):  # type: ignore[no-untyped-def]
        runs.append(len(inputs[0]))
        if release is not None:
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result(10)
        return run(inputs, state)

    loop = asyncio.get_running_loop()
    version.network.run = counted  # type: ignore[method-assign]
    return runs


@pytest.mark.parametrize("mode", ["inline", "on a thread"])
async def test_concurrent_callers_get_what_they_would_get_alone(tmp_path: Path, mode: str) -> None:
    models.write_linear(tmp_path, "digits", 1)
    plane = await Plane(
        tmp_path, Options(batching=BatchPolicy(max_inline_s=0.0 if mode == "on a thread" else 10))
    ).load_all()
    draw = np.random.default_rng(5)
    inputs = [draw.normal(size=(1 + at % 3, 4)).astype(np.float32) for at in range(8)]
    alone = [(await plane.ask("digits", tensor(x))).outputs[0].data for x in inputs]
    requests = [InferRequest("digits", (tensor(x),)) for x in inputs]
    requests[4] = InferRequest("digits", (tensor([[1, np.nan, 1, 1]]),))
    answers = await plane.answers(requests)
    assert isinstance(error_of(answers[4]), errors.InputError)
    for at, answer in enumerate(answers):
        if at != 4:
            found = reply_of(answer).outputs[0].data
            assert found.shape == alone[at].shape
            np.testing.assert_allclose(found, alone[at], rtol=1e-5, atol=1e-6)


async def test_what_arrives_together_is_one_run(tmp_path: Path) -> None:
    models.write_linear(tmp_path, "digits", 1)
    plane = await Plane(tmp_path).load_all()
    await plane.answers([InferRequest("digits", (tensor([[1, 2, 3, 4]]),))] * 8)
    assert plane.instruments.batch_rows.count(("digits", "1")) == 1


async def test_a_run_has_at_most_32_rows_and_a_larger_request_runs_in_pieces(tmp_path: Path) -> None:
    models.write_linear(tmp_path, "digits", 1)
    plane = await Plane(tmp_path, THREADED).load_all()
    runs = _watched(plane, "digits")
    rows = [20, 20, 100, 1, 1]
    answers = await plane.answers([InferRequest("digits", (tensor(np.ones((n, 4))),)) for n in rows])
    assert [reply_of(one).outputs[0].shape[0] for one in answers] == rows
    assert runs == [20, 20, 32, 32, 32, 6]


@pytest.mark.parametrize(
    ("row_us", "rows"),
    [
        pytest.param(0, 16, id="a time too short to be seen is a quick one"),
        pytest.param(40, 16, id="what runs quickly runs 16 rows at once: more cost more each"),
        pytest.param(160, 12, id="a run stays within the time that it may take on the loop"),
        pytest.param(250, 8, id="eight rows are enough to save what batching saves"),
        pytest.param(260, 32, id="a network too slow for eight rows gets a thread, and whole batches"),
        pytest.param(5_000, 32, id="so does one whose single row takes too long"),
    ],
)
def test_a_run_is_as_large_as_its_time_allows(row_us: int, rows: int) -> None:
    assert batch_rules.most_rows(row_us / 1e6, BatchPolicy()) == rows


@pytest.mark.parametrize(
    ("rows", "change", "count"),
    [
        pytest.param([1, 1, 1], {}, 3, id="all together"),
        pytest.param([8, 8, 1], {}, 2, id="up to as many rows as a run has"),
        pytest.param([40, 1], {}, 0, id="a larger request is to be cut"),
        pytest.param([1, 1, 1], {"shape": (7,)}, 1, id="not another shape"),
        pytest.param([1, 1, 1], {"ask": Ask("s", True, False)}, 1, id="no step of a sequence"),
        pytest.param(
            [1, 1, 1], {"job": Job(InferRequest("m", ()), Context(deadline=4.0), print)}, 1, id="nobody waits"
        ),
    ],
)
def test_the_first_works_share_a_run(rows: list[int], change: dict[str, Any], count: int) -> None:
    """`change` is of the second one."""
    job = Job(InferRequest("m", ()), Context(), print)
    works = [QueuedRequest(job, [], one, (), 0, 0.0) for one in rows]
    works[1] = replace(works[1], **change)
    assert batch_rules.leading(works, 16, 5.0) == count


async def test_a_quick_network_answers_many_callers_on_the_loop(tmp_path: Path) -> None:
    models.write_linear(tmp_path, "digits", 1)
    plane = await Plane(tmp_path, Options(batching=BatchPolicy(max_turn_s=10))).load_all()
    version = plane.registry.lookup("digits")
    for _ in range(8):
        version.batcher._pace.ran((), 16, 200e-6)
    runs = _watched(plane, "digits")
    futures = plane.submit([InferRequest("digits", (tensor([[1, 2, 3, 4]]),))] * 64)
    assert all(future.done() for future in futures)
    assert runs[0] == 10 and sum(runs) == 64  # then it turns out to be quicker


async def test_expired_work_is_dropped_before_it_runs(tmp_path: Path) -> None:
    models.write_linear(tmp_path, "digits", 1)
    plane = await Plane(tmp_path, THREADED).load_all()
    release = asyncio.Event()
    runs = _watched(plane, "digits", release)
    now = asyncio.get_running_loop().time()
    request = InferRequest("digits", (tensor([[1, 2, 3, 4]]),))
    (running,) = plane.submit([request])
    hung_up = FakeCall()
    contexts = [Context(now - 1), Context(now + 60), Context(call=hung_up)]
    waiting = plane.submit([request] * 3, contexts)
    hung_up.is_cancelled = True
    release.set()
    assert isinstance(error_of(await waiting[0]), errors.DeadlineError)
    assert isinstance(error_of(await waiting[2]), errors.DeadlineError)
    reply_of(await running)
    reply_of(await waiting[1])
    assert runs == [1, 1]


async def test_a_full_queue_refuses_at_once_and_recovers(tmp_path: Path) -> None:
    models.write_linear(tmp_path, "digits", 1)
    plane = await Plane(tmp_path, Options(batching=BatchPolicy(max_queue=10, max_inline_s=0.0))).load_all()
    release = asyncio.Event()
    runs = _watched(plane, "digits", release)
    request = InferRequest("digits", (tensor([[1, 2, 3, 4]]),))
    (running,) = plane.submit([request])
    futures = plane.submit([request] * 200)
    refused = [future for future in futures if future.done()]
    assert len(refused) == 190
    for future in refused:
        assert isinstance(error_of(future.result()), errors.OverloadedError)
        assert "at most 10" in str(future.result())
    assert plane.registry.lookup("digits").batcher.depth == 10
    release.set()
    for future in (running, *(one for one in futures if one not in refused)):
        reply_of(await future)
    assert sum(runs) == 11
    reply_of((await plane.answers([request]))[0])


async def test_a_queue_is_bounded_in_bytes_too(tmp_path: Path) -> None:
    models.write_linear(tmp_path, "digits", 1)
    plane = await Plane(tmp_path, Options(batching=BatchPolicy(max_queue_bytes=100, max_inline_s=0.0))).load_all()
    release = asyncio.Event()
    _watched(plane, "digits", release)
    request = InferRequest("digits", (tensor(np.ones((4, 4))),))
    (running,) = plane.submit([request])
    first, second = plane.submit([request] * 2)
    assert not first.done()
    assert isinstance(error_of(second.result()), errors.OverloadedError)
    release.set()
    reply_of(await running)
    reply_of(await first)


async def test_200_calls_with_a_deadline_run_only_what_fits(tmp_path: Path) -> None:
    """A run of 20 ms and deadlines of 30 ms: the queue stays bounded, most fail fast, and the next call is answered."""
    models.write_linear(tmp_path, "digits", 1)
    plane = await Plane(tmp_path, Options(batching=BatchPolicy(max_rows=1, max_queue=50, max_inline_s=0.0))).load_all()
    version: Version = plane.registry.lookup("digits")
    executed = 0
    run = version.network.run

    def slow(inputs, state=()):  # type: ignore[no-untyped-def]
        nonlocal executed
        executed += 1
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0.02), loop).result(10)
        return run(inputs, state)

    version.network.run = slow  # type: ignore[method-assign]
    loop = asyncio.get_running_loop()
    request = InferRequest("digits", (tensor([[1, 2, 3, 4]]),))
    futures = plane.submit([request] * 200, [Context(loop.time() + 0.03) for _ in range(200)])
    answers = [await future for future in futures]
    kinds = {type(answer).__name__ for answer in answers}
    assert kinds <= {"InferReply", "OverloadedError", "DeadlineError"}
    assert executed <= 3
    assert sum(isinstance(answer, errors.OverloadedError) for answer in answers) >= 149
    reply_of((await plane.answers([request]))[0])


async def test_the_loop_goes_on_while_a_run_is_stuck(tmp_path: Path) -> None:
    models.write_linear(tmp_path, "slow", 1)
    models.write_linear(tmp_path, "quick", 1)
    plane = await Plane(tmp_path, THREADED).load_all()
    release = asyncio.Event()
    _watched(plane, "slow", release)
    (stuck,) = plane.submit([InferRequest("slow", (tensor([[1, 2, 3, 4]]),))])
    reply_of((await plane.answers([InferRequest("quick", (tensor([[1, 2, 3, 4]]),))]))[0])
    assert not stuck.done()
    release.set()
    reply_of(await stuck)


@pytest.mark.parametrize(
    "options", [Options(batching=BatchPolicy(max_inline_s=10)), THREADED], ids=["inline", "thread"]
)
async def test_a_bug_in_a_run_is_answered_too(tmp_path: Path, options: Options) -> None:
    models.write_linear(tmp_path, "digits", 1)
    plane = await Plane(tmp_path, options).load_all()
    version = plane.registry.lookup("digits")
    run = version.network.run

    def buggy(inputs, state=()):  # type: ignore[no-untyped-def]
        raise ZeroDivisionError("a secret")

    version.network.run = buggy  # type: ignore[method-assign]
    request = InferRequest("digits", (tensor([[1, 2, 3, 4]]),))
    (answer,) = await plane.answers([request])
    assert isinstance(error_of(answer), errors.IntegrityError)
    assert "secret" not in str(answer)
    version.network.run = run  # type: ignore[method-assign]
    reply_of((await plane.answers([request]))[0])


@pytest.mark.parametrize(
    "options", [Options(batching=BatchPolicy(max_inline_s=10)), THREADED], ids=["inline", "thread"]
)
async def test_without_a_thread_to_run_on_or_to_watch_from_callers_are_told_and_the_version_goes_on(
    tmp_path: Path, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.write_linear(tmp_path, "digits", 1)
    plane = await Plane(tmp_path, options).load_all()
    runs = _watched(plane, "digits")
    request = InferRequest("digits", (tensor([[1, 2, 3, 4]]),))

    def exhausted(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", exhausted)
        refused = [future.result() for future in plane.submit([request] * 3)]
    assert [type(error_of(answer)) for answer in refused] == [errors.UnavailableError] * 3
    reply_of((await plane.answers([request]))[0])
    assert sum(runs) == 1, "what was refused is not run after all"


async def test_what_was_stopped_on_the_loop_waits_under_the_name_of_its_caller(tmp_path: Path) -> None:
    """The queue then holds two of one caller, whose second one leaves for that of another."""
    models.write_linear(tmp_path, "digits", 1)
    batching = BatchPolicy(max_inline_s=10, inline_rows=1, max_queue=2)
    plane = await Plane(tmp_path, Options(batching=batching)).load_all()
    network = plane.registry.lookup("digits").network
    run = network.run

    def stopped(inputs, state=()):  # type: ignore[no-untyped-def]
        network.run = run  # type: ignore[method-assign]
        raise RunStoppedError("it held the loop")

    network.run = stopped  # type: ignore[method-assign]
    calls = [FakeCall() for _ in range(3)]
    for call, address in zip(calls, ("10.0.0.1:1", "10.0.0.1:2", "10.0.0.2:1"), strict=True):
        call.peer_address = address
    request = InferRequest("digits", (tensor([[1, 2, 3, 4]]),))
    futures = plane.submit([request] * 3, [Context(call=call) for call in calls])  # type: ignore[arg-type]
    answers = [await future for future in futures]
    assert [isinstance(answer, errors.OverloadedError) for answer in answers] == [False, True, False]
