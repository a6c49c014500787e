"""The queue of a version: callers take turns, a large request costs others no more than a small one, and who fills the
queue is who is refused."""

from pathlib import Path

import models
import numpy as np
import pytest
from models import tensor
from plane import FakeCall, Plane, error_of, reply_of

from skerry.core import errors
from skerry.core.inference import InferRequest
from skerry.serving.batch_rules import BatchPolicy, QueuedRequest, Room
from skerry.serving.fair_queue import BytePool, FairQueue
from skerry.serving.predictor import Context, Job
from skerry.serving.version import Options

JOB = Job(InferRequest("m", ()), Context(), print)


def work(caller: str, rows: int = 1, size_bytes: int = 16) -> QueuedRequest:
    return QueuedRequest(JOB, [np.arange(rows)], rows, (), size_bytes, 0.0, caller=caller)


def queue(*works: QueuedRequest, pool: int = 1 << 20, **policy: int) -> FairQueue:
    waiting = FairQueue(BatchPolicy(**policy), BytePool(pool))  # type: ignore[arg-type]
    for one in works:
        assert waiting.add(one) is None
    return waiting


def taken(waiting: FairQueue, rows: int = 4, size_bytes: int = 1 << 20) -> list[tuple[str, int]]:
    batch = waiting.take(lambda _: Room(rows, size_bytes), lambda _: True)
    return [(one.caller, one.rows) for one in batch]


def test_a_caller_with_one_request_is_in_the_next_run_however_many_another_has() -> None:
    waiting = queue(*[work("busy") for _ in range(1_000)], work("rare"))
    assert taken(waiting) == [("busy", 1), ("rare", 1), ("busy", 1), ("busy", 1)]


def test_callers_go_on_in_turn_from_run_to_run() -> None:
    waiting = queue(*[work(name) for name in "aaabbbccc"])
    assert [taken(waiting, rows=2) for _ in range(4)] == [
        [("a", 1), ("b", 1)],
        [("c", 1), ("a", 1)],
        [("b", 1), ("c", 1)],
        [("a", 1), ("b", 1)],
    ]


def test_a_large_request_is_taken_in_pieces_with_others_in_between() -> None:
    waiting = queue(work("large", rows=10, size_bytes=160), work("small"), work("small"))
    assert [taken(waiting) for _ in range(5)] == [
        [("large", 4)],
        [("small", 1)],
        [("large", 4)],
        [("small", 1), ("large", 2)],
        [],
    ]
    assert not len(waiting) and not waiting.size_bytes


def test_a_message_counts_whole_until_its_last_piece_has_left() -> None:
    """It is in memory as long, and none of what its pieces had may be given to others."""
    pool = BytePool(1_000)
    waiting = FairQueue(BatchPolicy(), pool)
    waiting.add(work("large", rows=10, size_bytes=600))
    held = []
    for _ in range(3):
        batch = waiting.take(lambda _: Room(4, 1 << 20), lambda _: True)
        held.append((batch[0].rows, waiting.size_bytes, pool.free_bytes))
    assert held == [(4, 600, 400), (4, 600, 400), (2, 0, 1_000)]


def test_pieces_that_are_put_back_count_once_with_what_waits_of_their_message() -> None:
    pool = BytePool(1_000)
    waiting = FairQueue(BatchPolicy(), pool)
    waiting.add(work("large", rows=6, size_bytes=600))
    first = waiting.take(lambda _: Room(4, 1 << 20), lambda _: True)
    waiting.put_back(first)
    assert waiting.size_bytes == 600
    assert taken(waiting) == [("large", 4)]
    last = waiting.take(lambda _: Room(4, 1 << 20), lambda _: True)
    assert (last[0].rows, waiting.size_bytes) == (2, 0)
    waiting.put_back(last)
    assert (waiting.size_bytes, pool.free_bytes) == (600, 400)
    assert list(waiting.drain()) == last
    assert (waiting.size_bytes, pool.free_bytes) == (0, 1_000)


def test_a_run_is_bounded_in_bytes_and_takes_one_row_of_any_size() -> None:
    waiting = queue(work("a", rows=3, size_bytes=3_000), work("b", rows=2, size_bytes=400), work("c", size_bytes=100))
    assert taken(waiting, rows=32, size_bytes=500) == [("a", 1)]
    assert taken(waiting, rows=32, size_bytes=500) == [("b", 2), ("c", 1)]
    assert taken(waiting, rows=32, size_bytes=500) == [("a", 1)]


@pytest.mark.parametrize("alone", [False, True], ids=["too large for the rest", "to run alone"])
def test_what_does_not_fit_the_run_is_not_asked_about_before_its_own(*, alone: bool) -> None:
    """To be asked may give a sequence its place, which what waits on would keep."""
    first, later = work("a", rows=3), work("b", rows=3)
    later.is_alone = alone
    waiting, asked = queue(first, later), list[QueuedRequest]()

    def is_wanted(one: QueuedRequest) -> bool:
        asked.append(one)
        return True

    batch = waiting.take(lambda _: Room(32 if alone else 4, 1 << 20), is_wanted)
    assert (batch, asked) == ([first], [first])
    assert waiting.take(lambda _: Room(4, 1 << 20), is_wanted) == [later]
    assert asked == [first, later]


def test_what_is_not_wanted_leaves_and_its_caller_keeps_its_turn() -> None:
    gone = [work("a"), work("a"), work("c")]
    waiting = queue(gone[0], gone[1], wanted := work("a"), other := work("b"), gone[2])
    batch = waiting.take(lambda _: Room(4, 1 << 20), lambda one: one not in gone)
    assert batch == [wanted, other]
    assert not len(waiting) and not waiting.size_bytes


def test_who_fills_the_queue_is_who_is_refused() -> None:
    first = [work("busy") for _ in range(10)]
    waiting = queue(*first, max_queue=10)
    again, rare = work("busy"), work("rare")
    assert waiting.add(again) is again
    assert waiting.add(rare) is first[-1]  # the latest of who has most
    assert len(waiting) == 10


def test_a_full_queue_is_shared_evenly_in_bytes_too() -> None:
    large, small = work("busy", size_bytes=90), work("rare", size_bytes=60)
    waiting = queue(large, max_queue_bytes=100)
    assert waiting.add(small) is large
    assert waiting.add(work("late", size_bytes=10)) is None


def test_no_version_takes_more_than_it_leaves_for_others() -> None:
    pool = BytePool(100)
    policy = BatchPolicy()
    hungry, other = FairQueue(policy, pool), FairQueue(policy, pool)
    sizes = [hungry.add(work("a", size_bytes=30)) is None for _ in range(4)]
    assert sizes == [True, True, True, False]
    assert other.add(work("b", size_bytes=10)) is None
    list(hungry.drain())
    assert pool.free_bytes == 90


def test_a_version_without_a_queue_is_served_while_another_holds_the_pool() -> None:
    pool = BytePool(10)
    assert FairQueue(BatchPolicy(), pool).add(work("a", size_bytes=60)) is None
    assert FairQueue(BatchPolicy(), pool).add(work("b", size_bytes=10)) is None


@pytest.mark.parametrize("threaded", [False, True], ids=["inline", "on a thread"])
async def test_a_request_of_many_rows_is_answered_as_one(tmp_path: Path, *, threaded: bool) -> None:
    models.write_linear(tmp_path, "digits", 1)
    batching = BatchPolicy(max_inline_s=0.0 if threaded else 10)
    plane = await Plane(tmp_path, Options(batching=batching)).load_all()
    x = np.random.default_rng(3).normal(size=(1_001, models.FEATURES)).astype(np.float32)
    many, one = await plane.answers([InferRequest("digits", (tensor(x),)), InferRequest("digits", (tensor(x[:1]),))])
    np.testing.assert_allclose(reply_of(many).outputs[0].data, x @ models.weights(1.0), rtol=1e-5, atol=1e-5)
    assert reply_of(one).outputs[0].shape == (1, models.CLASSES)
    assert plane.instruments.requests.value(("digits", "1", "ok")) == 2
    assert max_rows(plane) <= 32


async def test_a_bad_row_of_many_fails_its_request_alone_and_the_rest_is_not_run(tmp_path: Path) -> None:
    models.write_linear(tmp_path, "digits", 1)
    plane = await Plane(tmp_path, Options(batching=BatchPolicy(max_inline_s=0.0))).load_all()
    x = np.ones((1_000, models.FEATURES), np.float32)
    x[40, 0] = np.nan
    bad, good = await plane.answers([InferRequest("digits", (tensor(x),)), InferRequest("digits", (tensor(x[:3]),))])
    assert isinstance(error_of(bad), errors.InputError)
    assert reply_of(good).outputs[0].shape == (3, models.CLASSES)
    assert plane.instruments.batch_rows.count(("digits", "1")) <= 4
    assert plane.registry.lookup("digits").batcher.depth == 0


async def test_callers_are_told_apart_by_their_address(tmp_path: Path) -> None:
    models.write_linear(tmp_path, "digits", 1)
    plane = await Plane(tmp_path, Options(batching=BatchPolicy(max_inline_s=0.0, max_queue=4))).load_all()
    calls = [FakeCall() for _ in range(7)]
    for at, call in enumerate(calls):
        call.peer_address = "10.0.0.2:1000" if at == 6 else f"10.0.0.1:{2000 + at}"
    request = InferRequest("digits", (tensor([[1, 2, 3, 4]]),))
    plane.submit([request])  # the thread is busy
    futures = plane.submit([request] * 7, [Context(call=call) for call in calls])  # type: ignore[arg-type]
    answers = [await future for future in futures]
    assert [isinstance(answer, errors.OverloadedError) for answer in answers] == [False] * 3 + [True] * 3 + [False]


def max_rows(plane: Plane) -> float:
    series = plane.instruments.batch_rows.series(("digits", "1"))
    return max(bound for bound, count in zip(series.bounds, series.counts, strict=False) if count)
