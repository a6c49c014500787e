"""Capture and late truths: off the caller's path, grouped, and safe against a full queue or disk."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import agent_fakes
import pytest

from skerry.agent.capture import capture_queue, spool, spool_recovery, spool_thread
from skerry.core import errors
from skerry.proto import fleet_pb2


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[spool_thread.Keeper]:
    made = agent_fakes.make_keeper(tmp_path)
    yield made
    await made.close()


def make(store: spool_thread.Keeper, **options: object) -> capture_queue.Collector:
    return capture_queue.Collector(store, agent_fakes.IDENTITY, **({"flush_s": 0.01, "reopen_s": 0.01} | options))  # type: ignore[arg-type]


async def bodies(store: spool_thread.Keeper) -> list[fleet_pb2.Example]:
    rows = await store.call(lambda s: s.next_batch(1000, 1 << 30))
    return [fleet_pb2.Example.FromString(row.body) for row in rows]


async def test_an_answer_is_kept_as_it_was_given(store: spool_thread.Keeper) -> None:
    made = make(store)
    assert made.offer(agent_fakes.answered(7))
    await made.flush()
    (example,) = await bodies(store)
    assert (example.node, example.boot_id, example.boot_sequence) == ("edge-1", "boot-a", 1)
    assert (example.request_id, example.kind, example.confidence) == ("r7", fleet_pb2.HARD, 0.4)
    assert (example.inputs[0].raw, list(example.inputs[0].shape)) == (bytes([7]) * 64, [64])


async def test_a_thousand_answers_are_a_few_commits(
    store: spool_thread.Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[int] = []
    original = spool.Spool.append
    monkeypatch.setattr(spool.Spool, "append", lambda s, batch: commits.append(1) or original(s, batch))
    made = make(store, flush_s=0.1)
    async with agent_fakes.running(made.run()):
        for number in range(1000):
            made.offer(agent_fakes.answered(number))
            if number % 100 == 0:
                await asyncio.sleep(0.01)
        await agent_fakes.until(lambda: store.counts.captured == 1000)
    assert len(commits) < 10


async def test_an_idle_collector_asks_nothing_of_the_disk(store: spool_thread.Keeper) -> None:
    made = make(store)
    async with agent_fakes.running(made.run()):
        await store.call(lambda s: None)
        calls: list[object] = []
        store._run = lambda use: calls.append(use)  # type: ignore[assignment, method-assign, func-returns-value, return-value]
        await asyncio.sleep(0.2)
    assert calls == []
    del store._run  # type: ignore[misc]


async def test_a_full_queue_refuses_and_counts_without_waiting(store: spool_thread.Keeper) -> None:
    made = make(store, max_queued=3)
    assert [made.offer(agent_fakes.answered(n)) for n in range(5)] == [True, True, True, False, False]
    assert made.refused == 2
    await made.flush()
    assert made.offer(agent_fakes.answered(6))


async def test_a_queue_full_of_bytes_refuses_too(store: spool_thread.Keeper) -> None:
    made = make(store, max_queued_bytes=3_000)
    assert [made.offer(agent_fakes.answered(n, size=1_000)) for n in range(3)] == [True, False, False]


async def test_feedback_finds_an_example_that_is_still_in_the_queue(store: spool_thread.Keeper) -> None:
    made = make(store)
    async with agent_fakes.running(made.run()):
        made.offer(agent_fakes.answered(1))
        assert await made.feedback("digits", "r1", 5)
    rows = await store.call(lambda s: s.next_batch(10, 1 << 20))
    truth = fleet_pb2.Truth.FromString(rows[1].body)
    assert (truth.example_id, truth.label, truth.request_id, truth.node) == (rows[0].id, 5, "r1", "edge-1")


async def test_feedback_finds_an_example_that_was_uploaded_long_ago(store: spool_thread.Keeper) -> None:
    made = make(store)
    made.offer(agent_fakes.answered(1))
    await made.flush()
    (row,) = await store.call(lambda s: s.next_batch(10, 1 << 20))
    await store.call(lambda s: s.settle([row.id], []))
    async with agent_fakes.running(made.run()):
        assert await made.feedback("digits", "r1", 5)
    assert store.counts.pending == 1


@pytest.mark.parametrize(("model", "request_id"), [("digits", "never-seen"), ("other", "r1"), ("digits", "")])
async def test_feedback_on_what_was_not_captured_says_so(
    store: spool_thread.Keeper, model: str, request_id: str
) -> None:
    made = make(store)
    async with agent_fakes.running(made.run()):
        made.offer(agent_fakes.answered(1))
        made.offer(agent_fakes.answered(2, request_id=""))
        assert not await made.feedback(model, request_id, 5)


async def test_the_same_feedback_twice_is_one_truth(store: spool_thread.Keeper) -> None:
    made = make(store)
    async with agent_fakes.running(made.run()):
        made.offer(agent_fakes.answered(1))
        assert await asyncio.gather(*(made.feedback("digits", "r1", 5) for _ in range(4))) == [True] * 4
    assert store.counts.pending == 2


async def test_a_full_disk_refuses_capture_and_feedback_and_both_resume_by_themselves(
    store: spool_thread.Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(store)
    async with agent_fakes.running(made.run()):
        with monkeypatch.context() as patched:

            def full(*_: object) -> None:
                raise errors.UnavailableError("database or disk is full")

            patched.setattr(spool.Spool, "append", full)
            patched.setattr(spool.Spool, "add_truths", full)
            made.offer(agent_fakes.answered(1))
            await agent_fakes.until(lambda: made.refused == 1)
            with pytest.raises(errors.UnavailableError):
                await made.feedback("digits", "r1", 1)
        made.offer(agent_fakes.answered(2))
        await agent_fakes.until(lambda: store.counts.captured == 1)
        assert await made.feedback("digits", "r2", 1)


async def test_a_spool_that_cannot_be_opened_is_opened_once_it_can(
    store: spool_thread.Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(store)
    tries: list[int] = []
    original = spool_recovery.open_spool

    def broken(*args: object, **options: object) -> spool.Spool:
        tries.append(1)
        if len(tries) < 4:
            raise errors.UnavailableError("read-only file system")
        return original(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(spool_recovery, "open_spool", broken)
    async with agent_fakes.running(made.run()):
        made.offer(agent_fakes.answered(1))
        await agent_fakes.until(lambda: store.counts.captured == 1)


async def test_damage_found_while_running_is_moved_aside_and_capture_goes_on(tmp_path: Path) -> None:
    store = agent_fakes.make_keeper(tmp_path)
    made = make(store)
    made.offer(agent_fakes.answered(1))
    await made.flush()
    calls: list[int] = []

    def damaged_once(opened: spool.Spool) -> int:
        calls.append(1)
        if len(calls) == 1:
            opened.close()
            (tmp_path / "spool.db").write_bytes(b"rubbish" * 1000)
            raise spool.DamagedSpoolError("found by SQLite")
        return opened.counts().pending

    assert await store.call(damaged_once) == 0
    assert (tmp_path / "spool.db.damaged-x").exists()
    made.offer(agent_fakes.answered(2))
    await made.flush()
    assert store.counts.pending == 1
    await store.close()


async def test_a_group_that_is_on_its_way_to_a_busy_disk_is_not_lost_at_the_end(tmp_path: Path) -> None:
    store, busy = agent_fakes.make_keeper(tmp_path), threading.Event()
    made = make(store)
    async with agent_fakes.running(made.run()):
        await store.call(lambda s: None)
        holding = asyncio.ensure_future(store.call(lambda s: busy.wait(10)))
        made.offer(agent_fakes.answered(1))
        await agent_fakes.until(lambda: not made.is_queueing)
    busy.set()
    await holding
    await store.close()
    again = agent_fakes.make_keeper(tmp_path)
    assert [example.request_id for example in await bodies(again)] == ["r1"]
    await again.close()


async def test_standing_by_answers_wait_labels_are_refused_and_what_is_given_up_is_counted(
    store: spool_thread.Keeper,
) -> None:
    made = make(store)
    made.stand_by()
    assert made.offer(agent_fakes.answered(1))
    with pytest.raises(errors.UnavailableError, match="stands by"):
        await made.feedback("digits", "r1", 2)
    async with agent_fakes.running(made.run()):
        await agent_fakes.until(lambda: not made.is_standing_by)
        assert await made.feedback("digits", "r1", 2)
    made.stand_by()
    made.offer(agent_fakes.answered(2))
    made.give_up()
    assert (made.refused, made.is_queueing, store.counts.captured) == (1, False, 1)
