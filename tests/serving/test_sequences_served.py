"""Hidden state between requests: a streamed sequence equals the whole window, and nobody gets another's state."""

import asyncio
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import tensor
from numpy.typing import NDArray
from plane import FakeCall, Plane, error_of, reply_of

from skerry.core import errors, sequences
from skerry.core.inference import InferRequest
from skerry.core.sequences import Ask
from skerry.serving.batch_rules import BatchPolicy
from skerry.serving.predictor import Context
from skerry.serving.sequence_states import SequenceStates
from skerry.serving.version import Options


def step(x: NDArray[Any], key: int | str, *, start: bool = False, end: bool = False, version: str = "") -> InferRequest:
    parameters = {"sequence_id": key, "sequence_start": start, "sequence_end": end}
    return InferRequest("rnn", (tensor(x[None]),), version, parameters=parameters)


def window(seed: int, length: int = 6) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(length, models.FEATURES)).astype(np.float32)


async def opened(tmp_path: Path, *, threaded: bool = False, **policy: Any) -> Plane:
    models.write_rnn(tmp_path, "rnn", 1)
    batching = BatchPolicy(max_inline_s=0.0 if threaded else 10.0)
    return await Plane(tmp_path, Options(batching=batching, sequences=sequences.SequencePolicy(**policy))).load_all()


async def one(plane: Plane, request: InferRequest) -> Any:
    return (await plane.answers([request]))[0]


async def test_steps_equal_the_whole_window(tmp_path: Path) -> None:
    plane = await opened(tmp_path)
    x = window(1)
    found = [
        reply_of(await one(plane, step(row, 5, start=at == 0, end=at == 5))).outputs[0].data[0]
        for at, row in enumerate(x)
    ]
    np.testing.assert_allclose(np.stack(found), models.rnn_reference(x), rtol=1e-4, atol=1e-5)


async def test_the_state_itself_is_no_output(tmp_path: Path) -> None:
    plane = await opened(tmp_path)
    reply = reply_of(await one(plane, step(window(1)[0], 5, start=True)))
    assert [output.name for output in reply.outputs] == ["logits"]


@pytest.mark.parametrize("threaded", [False, True], ids=["inline", "on a thread"])
async def test_interleaved_sequences_in_one_turn_are_isolated_and_in_order(tmp_path: Path, threaded: bool) -> None:
    plane = await opened(tmp_path, threaded=threaded)
    windows = {key: window(seed) for seed, key in enumerate([1, 2, "a"])}
    requests = [step(windows[key][at], key, start=at == 0) for at in range(6) for key in windows]
    answers = await plane.answers(requests)
    for offset, key in enumerate(windows):
        found = np.stack([reply_of(one).outputs[0].data[0] for one in answers[offset::3]])
        np.testing.assert_allclose(found, models.rnn_reference(windows[key]), rtol=1e-4, atol=1e-5)


async def test_what_is_no_continuation_gets_its_status(tmp_path: Path) -> None:
    plane = await opened(tmp_path)
    x = window(3)[0]
    assert type(error_of(await one(plane, step(x, 9)))) is errors.NotFoundError
    first = reply_of(await one(plane, step(x, 9, start=True)))
    reply_of(await one(plane, step(x, 9)))
    again = reply_of(await one(plane, step(x, 9, start=True)))
    np.testing.assert_array_equal(first.outputs[0].data, again.outputs[0].data)
    reply_of(await one(plane, step(x, 9, end=True)))
    ended = error_of(await one(plane, step(x, 9, end=True)))
    assert type(ended) is errors.NotFoundError
    assert "has ended" in str(ended)
    assert type(error_of(await plane_answer_without_id(plane, x))) is errors.InputError


async def plane_answer_without_id(plane: Plane, x: NDArray[Any]) -> Any:
    return (await plane.answers([InferRequest("rnn", (tensor(x[None]),))]))[0]


async def test_a_step_of_two_rows_is_refused(tmp_path: Path) -> None:
    plane = await opened(tmp_path)
    request = InferRequest("rnn", (tensor(window(1)[:2]),), parameters={"sequence_id": 1, "sequence_start": True})
    assert "one row" in str(error_of(await one(plane, request)))


async def test_a_full_table_refuses_new_sequences_only(tmp_path: Path) -> None:
    plane = await opened(tmp_path, capacity=2)
    x = window(1)[0]
    answers = await plane.answers([step(x, key, start=True) for key in (1, 2, 3)])
    assert [type(answer).__name__ for answer in answers] == ["InferReply", "InferReply", "OverloadedError"]
    reply_of(await one(plane, step(x, 1)))
    reply_of(await one(plane, step(x, 2, end=True)))
    reply_of(await one(plane, step(x, 3, start=True)))


async def test_a_start_that_expires_while_it_waits_takes_no_place(tmp_path: Path) -> None:
    """The second start does not fit the run of the first."""
    models.write_rnn(tmp_path, "rnn", 1)
    batching = BatchPolicy(max_inline_s=0.0, max_run_bytes=4 * models.FEATURES)
    policy = sequences.SequencePolicy(capacity=2)
    plane = await Plane(tmp_path, Options(batching=batching, sequences=policy)).load_all()
    hung_up = FakeCall()
    x = window(4)[0]
    first, second = plane.submit([step(x, key, start=True) for key in (1, 2)], [Context(), Context(call=hung_up)])
    hung_up.is_cancelled = True
    assert isinstance(error_of(await second), errors.DeadlineError)
    reply_of(await first)
    reply_of(await one(plane, step(x, 3, start=True)))


async def test_a_failed_step_leaves_the_state_as_it_was(tmp_path: Path) -> None:
    plane = await opened(tmp_path)
    x = window(4)
    reply_of(await one(plane, step(x[0], 5, start=True)))
    error_of(await one(plane, step(np.full(4, np.nan, dtype=np.float32), 5)))
    (late,) = plane.submit([step(x[1], 5)], [Context(asyncio.get_running_loop().time() - 1)])
    assert isinstance(error_of(await late), errors.DeadlineError)
    found = reply_of(await one(plane, step(x[1], 5))).outputs[0].data[0]
    np.testing.assert_allclose(found, models.rnn_reference(x)[1], rtol=1e-4, atol=1e-5)


async def test_a_sequence_stays_on_the_version_that_began_it(tmp_path: Path) -> None:
    plane = await opened(tmp_path)
    x = window(6)
    reply_of(await one(plane, step(x[0], 5, start=True)))
    await plane.registry.swap("rnn", 2, models.write_rnn(tmp_path, "rnn", 2))
    second = reply_of(await one(plane, step(x[1], 5)))
    fresh = reply_of(await one(plane, step(x[0], 6, start=True)))
    assert (second.version, fresh.version) == ("1", "2")
    np.testing.assert_allclose(second.outputs[0].data[0], models.rnn_reference(x)[1], rtol=1e-4, atol=1e-5)


async def test_a_start_that_waits_during_a_swap_keeps_what_follows(tmp_path: Path) -> None:
    plane = await opened(tmp_path, threaded=True)
    x = window(6)
    begun = plane.submit([step(x[0], 1, start=True), step(x[0], 1, start=True)])
    await plane.registry.swap("rnn", 2, models.write_rnn(tmp_path, "rnn", 2))
    follows = plane.submit([step(x[1], 1)])
    assert [reply_of(await future).version for future in [*begun, *follows]] == ["1", "1", "1"]


async def test_after_two_swaps_a_sequence_is_told_that_its_state_expired(tmp_path: Path) -> None:
    plane = await opened(tmp_path)
    x = window(6)[0]
    reply_of(await one(plane, step(x, 5, start=True)))
    for number in (2, 3):
        await plane.registry.swap("rnn", number, models.write_rnn(tmp_path, "rnn", number))
        reply_of(await one(plane, step(x, 100 + number, start=True)))
    told = error_of(await one(plane, step(x, 5)))
    assert type(told) is errors.RejectedError
    assert "state expired" in str(told)
    assert plane.registry.numbers("rnn") == [3, 2]


async def test_the_version_before_leaves_when_its_sequences_expired(tmp_path: Path) -> None:
    plane = await opened(tmp_path, idle_s=0.05)
    x = window(6)[0]
    reply_of(await one(plane, step(x, 5, start=True)))
    await plane.registry.swap("rnn", 2, models.write_rnn(tmp_path, "rnn", 2))
    async with asyncio.timeout(10):
        while plane.registry.numbers("rnn") != [2]:
            await plane.registry.changed.wait()
    assert "state expired" in str(error_of(await one(plane, step(x, 5))))


def test_10000_abandoned_sequences_stay_within_bounds() -> None:
    states = SequenceStates(sequences.SequencePolicy(capacity=100, idle_s=10.0))
    for key in range(1, 10_001):
        ask = Ask(key, start=True, end=False)
        now_s = float(key)
        states.before(ask, "rnn", now_s=now_s)
        states.after(ask, (np.zeros(4),), now_s=now_s)
    assert len(states) <= 100
    assert len(states._gone) <= 100
    assert not states.is_needed(20_000.0)


@given(st.lists(st.tuples(st.integers(1, 3), st.booleans(), st.booleans(), st.floats(0, 4)), max_size=40))
@settings(max_examples=200)
def test_a_continuation_gets_exactly_the_last_state_of_its_sequence(
    steps: list[tuple[int, bool, bool, float]],
) -> None:
    """Against a model: a dictionary of what each sequence must hold, and when it was used."""
    policy = sequences.SequencePolicy(capacity=10, idle_s=5.0)
    states, model, now_s = SequenceStates(policy), dict[int, tuple[int, float]](), 0.0
    for number, (key, start, end, pause_s) in enumerate(steps):
        now_s += pause_s
        ask = Ask(key, start, end)
        is_held = key in model and now_s - model[key][1] < policy.idle_s
        try:
            before = states.before(ask, "rnn", now_s=now_s)
        except errors.SkerryError:
            assert not start
            assert not is_held
            continue
        assert [int(one[0]) for one in before] == ([] if start else [model[key][0]])
        states.after(ask, (np.array([number]),), now_s=now_s)
        model.pop(key, None)
        if not end:
            model[key] = (number, now_s)
