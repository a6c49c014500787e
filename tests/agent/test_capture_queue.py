"""Capture and late truths: off the caller's path, grouped, and safe against a full queue or disk."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import agent_fakes
import pytest

from skerry.agent.capture import capture_queue, spool, spool_damage, spool_recovery
from skerry.agent.capture.spool_thread import SpoolThread
from skerry.core import errors
from skerry.proto import fleet_pb2


@pytest.fixture
async def spool_thread(tmp_path: Path) -> AsyncIterator[SpoolThread]:
    opened = agent_fakes.make_spool_thread(tmp_path)
    yield opened
    await opened.close()


def make_queue(spool_thread: SpoolThread, **options: object) -> capture_queue.CaptureQueue:
    return capture_queue.CaptureQueue(
        spool_thread, agent_fakes.SOURCE, **({"flush_s": 0.01, "reopen_s": 0.01} | options)
    )  # type: ignore[arg-type]


async def bodies(spool_thread: SpoolThread) -> list[fleet_pb2.Example]:
    rows = await spool_thread.call(lambda s: s.next_batch(1000, 1 << 30))
    return [fleet_pb2.Example.FromString(row.body) for row in rows]


async def test_an_answer_is_kept_as_it_was_given(spool_thread: SpoolThread) -> None:
    queue = make_queue(spool_thread)
    assert queue.offer(agent_fakes.captured_row(7))
    await queue.flush()
    (example,) = await bodies(spool_thread)
    assert (example.node, example.boot_id, example.boot_sequence) == ("edge-1", "boot-a", 1)
    assert (example.request_id, example.kind, example.confidence) == ("r7", fleet_pb2.HARD, 0.4)
    assert (example.inputs[0].raw, list(example.inputs[0].shape)) == (bytes([7]) * 64, [64])


async def test_a_thousand_answers_are_a_few_commits(spool_thread: SpoolThread, monkeypatch: pytest.MonkeyPatch) -> None:
    commits: list[int] = []
    original = spool.Spool.append
    monkeypatch.setattr(spool.Spool, "append", lambda *given: commits.append(1) or original(*given))
    queue = make_queue(spool_thread, flush_s=0.1)
    async with agent_fakes.running(queue.run()):
        for number in range(1000):
            queue.offer(agent_fakes.captured_row(number))
            if number % 100 == 0:
                await asyncio.sleep(0.01)
        await agent_fakes.until(lambda: spool_thread.counts.captured == 1000)
    assert len(commits) < 10


async def test_an_idle_queue_asks_nothing_of_the_disk(spool_thread: SpoolThread) -> None:
    queue = make_queue(spool_thread)
    async with agent_fakes.running(queue.run()):
        await spool_thread.call(lambda s: None)
        calls: list[object] = []
        spool_thread._run = lambda use: calls.append(use)  # type: ignore[assignment, method-assign, func-returns-value, return-value]
        await asyncio.sleep(0.2)
    assert calls == []
    del spool_thread._run  # type: ignore[misc]


async def test_a_full_queue_refuses_and_counts_without_waiting(spool_thread: SpoolThread) -> None:
    queue = make_queue(spool_thread, max_queued=3)
    assert [queue.offer(agent_fakes.captured_row(n)) for n in range(5)] == [True, True, True, False, False]
    assert queue.refused == 2
    await queue.flush()
    assert queue.offer(agent_fakes.captured_row(6))


async def test_a_queue_full_of_bytes_refuses_too(spool_thread: SpoolThread) -> None:
    queue = make_queue(spool_thread, max_queued_bytes=3_000)
    assert [queue.offer(agent_fakes.captured_row(n, size=1_000)) for n in range(3)] == [True, False, False]


async def test_feedback_finds_an_example_that_is_still_in_the_queue(spool_thread: SpoolThread) -> None:
    queue = make_queue(spool_thread)
    async with agent_fakes.running(queue.run()):
        queue.offer(agent_fakes.captured_row(1))
        assert await queue.feedback("digits", "r1", 5, agent_fakes.LABEL_MAP)
    rows = await spool_thread.call(lambda s: s.next_batch(10, 1 << 20))
    truth = fleet_pb2.Truth.FromString(rows[1].body)
    assert (truth.example_id, truth.label, truth.request_id, truth.node) == (rows[0].id, 5, "r1", "edge-1")


async def test_feedback_finds_an_example_that_was_uploaded_long_ago(spool_thread: SpoolThread) -> None:
    queue = make_queue(spool_thread)
    queue.offer(agent_fakes.captured_row(1))
    await queue.flush()
    (row,) = await spool_thread.call(lambda s: s.next_batch(10, 1 << 20))
    await spool_thread.call(lambda s: s.settle([row.id], []))
    async with agent_fakes.running(queue.run()):
        assert await queue.feedback("digits", "r1", 5, agent_fakes.LABEL_MAP)
    assert spool_thread.counts.pending == 1


@pytest.mark.parametrize(("model", "request_id"), [("digits", "never-seen"), ("other", "r1"), ("digits", "")])
async def test_feedback_on_what_was_not_captured_says_so(
    spool_thread: SpoolThread, model: str, request_id: str
) -> None:
    queue = make_queue(spool_thread)
    async with agent_fakes.running(queue.run()):
        queue.offer(agent_fakes.captured_row(1))
        queue.offer(agent_fakes.captured_row(2, request_id=""))
        assert not await queue.feedback(model, request_id, 5, agent_fakes.LABEL_MAP)


async def test_the_same_feedback_twice_is_one_truth(spool_thread: SpoolThread) -> None:
    queue = make_queue(spool_thread)
    async with agent_fakes.running(queue.run()):
        queue.offer(agent_fakes.captured_row(1))
        assert (
            await asyncio.gather(*(queue.feedback("digits", "r1", 5, agent_fakes.LABEL_MAP) for _ in range(4)))
            == [True] * 4
        )
    assert spool_thread.counts.pending == 2


async def test_a_full_disk_refuses_capture_and_feedback_and_both_resume_by_themselves(
    spool_thread: SpoolThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_queue(spool_thread)
    async with agent_fakes.running(queue.run()):
        with monkeypatch.context() as patched:

            def full(*_: object) -> None:
                raise errors.UnavailableError("database or disk is full")

            patched.setattr(spool.Spool, "append", full)
            patched.setattr(spool.Spool, "add_truths", full)
            queue.offer(agent_fakes.captured_row(1))
            await agent_fakes.until(lambda: queue.refused == 1)
            with pytest.raises(errors.UnavailableError):
                await queue.feedback("digits", "r1", 1, agent_fakes.LABEL_MAP)
        queue.offer(agent_fakes.captured_row(2))
        await agent_fakes.until(lambda: spool_thread.counts.captured == 1)
        assert await queue.feedback("digits", "r2", 1, agent_fakes.LABEL_MAP)


async def test_a_spool_that_cannot_be_opened_is_opened_once_it_can(
    spool_thread: SpoolThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_queue(spool_thread)
    tries: list[int] = []
    original = spool_recovery.open_spool

    def broken(*args: object, **options: object) -> spool.Spool:
        tries.append(1)
        if len(tries) < 4:
            raise errors.UnavailableError("read-only file system")
        return original(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(spool_recovery, "open_spool", broken)
    async with agent_fakes.running(queue.run()):
        queue.offer(agent_fakes.captured_row(1))
        await agent_fakes.until(lambda: spool_thread.counts.captured == 1)


async def test_damage_found_while_running_is_moved_aside_and_capture_goes_on(tmp_path: Path) -> None:
    spool_thread = agent_fakes.make_spool_thread(tmp_path)
    queue = make_queue(spool_thread)
    queue.offer(agent_fakes.captured_row(1))
    await queue.flush()
    calls: list[int] = []

    def damaged_once(opened: spool.Spool) -> int:
        calls.append(1)
        if len(calls) == 1:
            opened.close()
            (tmp_path / "spool.db").write_bytes(b"rubbish" * 1000)
            raise spool_damage.DamagedSpoolError("found by SQLite")
        return opened.counts().pending

    assert await spool_thread.call(damaged_once) == 0
    assert (tmp_path / "spool.db.damaged-x").exists()
    queue.offer(agent_fakes.captured_row(2))
    await queue.flush()
    assert spool_thread.counts.pending == 1
    await spool_thread.close()


async def test_a_group_that_is_on_its_way_to_a_busy_disk_is_not_lost_at_the_end(tmp_path: Path) -> None:
    spool_thread, busy = agent_fakes.make_spool_thread(tmp_path), threading.Event()
    queue = make_queue(spool_thread)
    async with agent_fakes.running(queue.run()):
        await spool_thread.call(lambda s: None)
        holding = asyncio.ensure_future(spool_thread.call(lambda s: busy.wait(10)))
        queue.offer(agent_fakes.captured_row(1))
        await agent_fakes.until(lambda: not queue.is_queueing)
    busy.set()
    await holding
    await spool_thread.close()
    again = agent_fakes.make_spool_thread(tmp_path)
    assert [example.request_id for example in await bodies(again)] == ["r1"]
    await again.close()


async def test_standing_by_answers_wait_labels_are_refused_and_what_is_given_up_is_counted(
    spool_thread: SpoolThread,
) -> None:
    queue = make_queue(spool_thread)
    queue.stand_by()
    assert queue.offer(agent_fakes.captured_row(1))
    with pytest.raises(errors.UnavailableError, match="stands by"):
        await queue.feedback("digits", "r1", 2, agent_fakes.LABEL_MAP)
    async with agent_fakes.running(queue.run()):
        await agent_fakes.until(lambda: not queue.is_standing_by)
        assert await queue.feedback("digits", "r1", 2, agent_fakes.LABEL_MAP)
    queue.stand_by()
    queue.offer(agent_fakes.captured_row(2))
    queue.give_up()
    assert (queue.refused, queue.is_queueing, spool_thread.counts.captured) == (1, False, 1)
