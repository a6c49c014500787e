"""A slow or looping network costs its own callers their answers, and nobody else anything: the order of events says so,
not their times."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
import slow_networks
from models import tensor
from plane import FakeCall, Plane, error_of, reply_of

from skerry.core import errors
from skerry.core.inference import InferRequest
from skerry.serving import run_limit, selftest, version
from skerry.serving.batch_rules import BatchPolicy, QueuedRequest
from skerry.serving.network import Network
from skerry.serving.predictor import Context
from skerry.serving.runtime import RunStoppedError
from skerry.serving.version import Options

ENDLESS = 1e15  # turns of the network's loop: years


def turns(count: float) -> InferRequest:
    return InferRequest("looping", (tensor([[count, 1, 1, 1]]),))


QUICK = InferRequest("quick", (tensor([[1, 2, 3, 4]]),))


async def opened(tmp_path: Path, **policy: Any) -> Plane:
    models.write_looping(tmp_path, "looping", 1)
    models.write_linear(tmp_path, "quick", 1)
    return await Plane(tmp_path, Options(batching=BatchPolicy(**policy))).load_all()


def long_turns(plane: Plane, seconds: float = 1.2) -> float:
    """So many turns of the loop take at least a second of the processor, at the pace of a small run here and now."""
    network, sample = plane.registry.lookup("looping").network, 20_000.0
    start = time.thread_time()
    network.run([np.full((1, models.FEATURES), sample, np.float32)])
    return sample * seconds / (time.thread_time() - start)


def limit_endless_runs(plane: Plane, limit_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run with an endless request in it has so much time, and any other as much as a busy machine makes it take."""
    limit = plane.registry.lookup("looping").batcher._limit
    began = limit.began

    def of_these(batch: Sequence[QueuedRequest], lost: Callable[[float], None]) -> None:
        limit._max_run_s = limit_s if any(work.inputs[0].max() >= ENDLESS / 2 for work in batch) else 600.0
        began(batch, lost)

    monkeypatch.setattr(limit, "began", of_these)


def stopped_runs(plane: Plane) -> float:
    return plane.instruments.stopped.value(("looping", "1"))


async def test_a_run_that_holds_the_loop_goes_on_on_a_thread_and_its_answer_is_not_lost(tmp_path: Path) -> None:
    plane = await opened(tmp_path)
    reply_of((await plane.answers([turns(1)]))[0])  # known to be quick: it runs on the loop
    (held,) = plane.submit([turns(long_turns(plane))])
    assert not held.done()  # it was taken off the loop
    reply_of((await plane.answers([QUICK]))[0])
    assert not held.done()
    assert reply_of(await held).outputs[0].shape == (1, 3)
    assert not stopped_runs(plane)  # nobody's answer was given up


async def test_an_endless_run_is_stopped_and_said_to_be_the_versions_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = await opened(tmp_path)
    limit_endless_runs(plane, 0.3, monkeypatch)
    (endless,) = plane.submit([turns(ENDLESS)])
    reply_of((await plane.answers([QUICK]))[0])
    error = error_of(await endless)
    assert isinstance(error, RunStoppedError) and isinstance(error, errors.IntegrityError)
    assert "did not answer this request in 0.3 s" in str(error)
    assert stopped_runs(plane) == 1
    reply_of((await plane.answers([turns(1)]))[0])


async def test_those_who_shared_a_run_with_an_endless_one_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = await opened(tmp_path, max_inline_s=0.0)
    limit_endless_runs(plane, 0.3, monkeypatch)
    answers = await plane.answers([turns(1), turns(2), turns(ENDLESS), turns(3)])
    assert isinstance(error_of(answers[2]), RunStoppedError)
    for at in (0, 1, 3):
        assert reply_of(answers[at]).outputs[0].shape == (1, 3)


async def test_a_run_that_nobody_waits_for_is_stopped(tmp_path: Path) -> None:
    plane = await opened(tmp_path, max_inline_s=0.0)
    hung_up = FakeCall()
    loop = asyncio.get_running_loop()
    futures = plane.submit([turns(ENDLESS)] * 2, [Context(call=hung_up), Context(loop.time() + 0.05)])  # type: ignore[arg-type]
    hung_up.is_cancelled = True
    for future in futures:
        assert isinstance(error_of(await future), errors.DeadlineError)
    assert stopped_runs(plane) == 1
    reply_of((await plane.answers([turns(1)]))[0])


async def test_a_version_that_is_stopped_again_and_again_refuses_and_says_why(tmp_path: Path) -> None:
    plane = await opened(tmp_path, max_run_s=0.05, max_inline_s=0.0, max_rows=1)
    answers = await plane.answers([turns(ENDLESS)] * 6)
    kinds = [type(error_of(answer)) for answer in answers]
    assert kinds == [RunStoppedError] * 3 + [errors.UnavailableError] * 3
    assert "is stuck: its last 3 runs took more than 0.05 s" in str(answers[5])
    assert isinstance(error_of((await plane.answers([turns(1)]))[0]), errors.UnavailableError)
    reply_of((await plane.answers([QUICK]))[0])


async def test_a_run_that_cannot_even_be_stopped_costs_its_version_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_limit, "_PATIENCE_S", 0.05)
    plane = await opened(tmp_path, max_run_s=0.05, max_inline_s=0.0, max_rows=1)
    network = plane.registry.lookup("looping").network
    run, release = network.run, threading.Event()

    def deaf(inputs, state=()):  # type: ignore[no-untyped-def]
        release.wait()
        return run(inputs, state)

    network.run = deaf  # type: ignore[method-assign]
    first, second = plane.submit([turns(1)] * 2)
    assert isinstance(error_of(await first), RunStoppedError)
    assert "does not end" in str(error_of(await second))
    assert isinstance(error_of((await plane.answers([turns(1)]))[0]), errors.UnavailableError)
    reply_of((await plane.answers([QUICK]))[0])
    network.run = run  # type: ignore[method-assign]
    release.set()
    plane.registry.lookup("looping").batcher._limit._max_run_s = 600.0
    thread = plane.registry.lookup("looping").batcher._thread
    await asyncio.get_running_loop().run_in_executor(thread, lambda: None)  # behind the run on the same thread
    reply_of((await plane.answers([turns(1)]))[0])


async def test_rows_larger_than_any_that_ran_leave_the_loop_until_they_are_known(tmp_path: Path) -> None:
    models.write_identity(tmp_path, "free", 1, "FP32", (-1,))
    plane = await Plane(tmp_path, Options(batching=BatchPolicy(max_inline_s=10))).load_all()
    network = plane.registry.lookup("free").network
    run, threads = network.run, list[bool]()

    def watched(inputs, state=()):  # type: ignore[no-untyped-def]
        threads.append(threading.current_thread() is threading.main_thread())
        return run(inputs, state)

    network.run = watched  # type: ignore[method-assign]
    for size in (1, 5_000, 5_000, 4_000, 6_000):
        reply_of((await plane.answers([InferRequest("free", (tensor(np.ones((1, size))),))]))[0])
    assert threads == [True, False, True, True, False]


async def test_many_requests_of_one_turn_let_the_loop_look_at_its_sockets(tmp_path: Path) -> None:
    plane = await opened(tmp_path, max_turn_s=0.0, max_inline_s=10)
    futures = plane.submit([QUICK] * 100)
    turn = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(turn.set_result, None)
    await turn
    assert not futures[-1].done()
    for future in futures:
        reply_of(await future)


async def test_a_network_that_loops_on_its_golden_set_is_not_loaded_and_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = slow_networks.looping(models.weights(1.0))
    x = np.full((1, models.FEATURES), ENDLESS, np.float32)
    golden = selftest.pack({"x": x}, {"logits": x @ models.weights(1.0)})
    made = models.manifest_for("looping", data, [models.X], [models.LOGITS], golden=golden)
    folder = models.write(tmp_path, "looping", 1, data, made, golden)
    tried, limits_s = version._tried, {"looping": 0.2, "quick": 600.0}

    def of_this(network: Network, golden: bytes | None, limit_s: float) -> selftest.Result:
        return tried(network, golden, limits_s[network.manifest.model])

    monkeypatch.setattr(version, "_tried", of_this)
    plane = Plane(tmp_path)
    loading = asyncio.ensure_future(plane.registry.swap("looping", 1, folder))
    await plane.registry.swap("quick", 1, models.write_linear(tmp_path, "quick", 1))
    with pytest.raises(errors.IntegrityError, match="the run was stopped"):
        await loading
    reply_of((await plane.answers([QUICK]))[0])
