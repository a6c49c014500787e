"""The outer loop: one leader at a time, woken by changes, gone when the lease is, undisturbed by a tick that fails."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from skerry.adapters.lease import memory as lease_memory
from skerry.adapters.objects import memory as objects_memory
from skerry.controller import leader, store, view
from skerry.core import errors, writers


@dataclass
class Running:
    """A leader in a thread; `ticks` are the epochs of its rounds."""

    objects: objects_memory.MemoryObjects
    lease: lease_memory.MemoryLease
    tick: Callable[[int], None] = lambda epoch: None
    tick_s: float = 0.02
    ticks: list[int] = field(default_factory=list)
    drained: int = 0
    code: int | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    ticked: threading.Condition = field(default_factory=threading.Condition)

    def start(self) -> "Running":
        self.watched = view.View(self.objects)

        def tick(epoch: int, now_ms: int, mono_ms: int) -> None:
            with self.ticked:
                self.ticks.append(epoch)
                self.ticked.notify_all()
            self.watched.refresh(mono_ms)
            self.watched.news()
            self.tick(epoch)

        def drain(now_ms: int) -> None:
            self.drained += 1

        def run() -> None:
            self.code = leader.Leader(self.watched.wait, self.lease, "test", tick, drain, self.tick_s).run(self.stop)

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        return self

    def wait_ticks(self, count: int) -> None:
        with self.ticked:
            assert self.ticked.wait_for(lambda: len(self.ticks) >= count, 10), f"{len(self.ticks)} ticks"

    def end(self) -> int | None:
        self.stop.set()
        self.thread.join(10)
        return self.code


@pytest.fixture
def board() -> lease_memory.Board:
    return lease_memory.Board()


def make(board: lease_memory.Board, **options: object) -> Running:
    objects = objects_memory.MemoryObjects()
    return Running(objects, lease_memory.MemoryLease(board), **options).start()  # type: ignore[arg-type]


def test_a_leader_ticks_until_it_is_told_to_stop_and_frees_the_lease(board: lease_memory.Board) -> None:
    running = make(board)
    running.wait_ticks(3)
    assert running.end() == 0
    assert (set(running.ticks), board.holder, running.drained) == ({1}, None, 1)


def test_of_two_controllers_one_acts_and_the_other_follows_with_a_higher_epoch(board: lease_memory.Board) -> None:
    first = make(board)
    first.wait_ticks(1)
    second = make(board)
    first.wait_ticks(len(first.ticks) + 3)
    assert second.ticks == []
    first.end()
    second.wait_ticks(1)
    second.end()
    assert set(second.ticks) == {2}


def test_one_that_never_led_drains_nothing(board: lease_memory.Board) -> None:
    board.holder = object()
    waiting = make(board)
    assert waiting.end() == 0
    assert (waiting.ticks, waiting.drained) == ([], 0)


def test_a_change_wakes_it_before_its_time(board: lease_memory.Board) -> None:
    running = make(board, tick_s=60.0)
    running.wait_ticks(1)
    for number in range(3):
        before = len(running.ticks)
        running.objects.create("EdgeFleet", f"fleet-{number}", {}, manager=writers.OPERATOR)
        running.wait_ticks(before + 1)
    running.stop.set()
    running.objects.create("EdgeFleet", "last", {}, manager=writers.OPERATOR)
    assert running.end() == 0


def test_a_lost_lease_ends_it_with_an_exit_code_and_no_drain(board: lease_memory.Board) -> None:
    running = make(board)
    running.wait_ticks(1)
    board.holder = object()
    running.thread.join(10)
    assert (running.code, running.drained) == (1, 0)


@pytest.mark.parametrize("error", [errors.UnavailableError("redis is away"), ValueError("a defect")], ids=repr)
def test_a_failing_tick_is_tried_again(
    board: lease_memory.Board, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leader, "_RETRY_S", 0.01)

    def fail(epoch: int) -> None:
        raise error

    running = make(board, tick=fail)
    running.wait_ticks(3)
    assert running.end() == 0


def test_a_write_refused_for_want_of_the_lease_ends_it(board: lease_memory.Board) -> None:
    def fenced(epoch: int) -> None:
        raise store.LeadershipLostError("not leading")

    running = make(board, tick=fenced)
    running.thread.join(10)
    assert running.code == 1
