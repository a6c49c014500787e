"""The watchdog alone: the looks of its thread are played by the test, and the CPU clock that it reads is the test's."""

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from skerry.core import errors
from skerry.serving import watchdog
from skerry.serving.watchdog import Watchdog


class OverError(Exception):
    """The test has looked often enough."""


class Switch:
    """`when_stopped` is called before it is said to be stopped."""

    def __init__(self, when_stopped: Callable[[], None] = lambda: None) -> None:
        self.is_stopped, self._when_stopped = False, when_stopped

    def stop(self) -> None:
        self._when_stopped()
        self.is_stopped = True


class Wake:
    """An event whose `wait` plays `during` instead of waiting, and then has run out of time."""

    def __init__(self, during: Callable[[], None] = lambda: None) -> None:
        self._during = during

    def set(self) -> None: ...

    def clear(self) -> None: ...

    def wait(self, timeout_s: float) -> bool:
        self._during()
        return False


class World:
    """A watchdog whose threads are counted and not run. `look` runs its loop, a step before each look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dog: Any = Watchdog()
        self.cpu_s, self.started = 0.0, 0
        self._steps: Iterator[Callable[[], object]] = iter(())
        clock = SimpleNamespace(
            sleep=self._sleep, clock_gettime=lambda _: self.cpu_s, pthread_getcpuclockid=lambda _: 1
        )
        monkeypatch.setattr(watchdog, "time", clock)
        monkeypatch.setattr(
            watchdog,
            "threading",
            SimpleNamespace(
                Thread=lambda **_: SimpleNamespace(start=self._start),
                Event=threading.Event,
                Lock=threading.Lock,
                get_ident=threading.get_ident,
            ),
        )

    def look(self, *steps: Callable[[], object]) -> None:
        """Until the thread ends, or the steps do."""
        self._steps = iter(steps)
        try:
            self.dog._watch()
        except OverError:
            return

    def spend(self, seconds: float) -> Callable[[], None]:
        def step() -> None:
            self.cpu_s += seconds

        return step

    def _sleep(self, _: float) -> None:
        step = next(self._steps, None)
        if step is None:
            raise OverError
        step()

    def _start(self) -> None:
        self.started += 1


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def nothing() -> None: ...


@pytest.mark.parametrize(
    ("spent_s", "slow", "stopped"),
    [
        pytest.param(0.0, False, False, id="a run that waits for the processor is left alone"),
        pytest.param(0.03, True, False, id="one that takes longer than any should is slow"),
        pytest.param(0.11, True, True, id="one that holds the loop is stopped"),
    ],
)
def test_a_run_is_judged_by_the_time_of_the_processor(
    world: World, spent_s: float, *, slow: bool, stopped: bool
) -> None:
    switch = Switch()
    world.dog.began(switch)
    world.look(nothing, world.spend(spent_s))
    assert (world.dog.ended(), switch.is_stopped) == (slow, stopped)


def test_a_run_is_not_judged_by_the_time_of_the_one_before(world: World) -> None:
    first, second = Switch(), Switch()
    world.dog.began(first)

    def next_one() -> None:
        world.cpu_s += 10.0
        world.dog.ended()
        world.dog.began(second)

    world.look(nothing, next_one, nothing)
    assert not (first.is_stopped or second.is_stopped or world.dog.ended())


def test_a_run_does_not_end_while_it_is_stopped_so_that_the_next_one_is_not(world: World) -> None:
    next_has_begun = threading.Event()

    def end_and_begin() -> None:
        world.dog.ended()
        world.dog.began(Switch())
        next_has_begun.set()

    def race() -> None:
        loop.start()
        assert not next_has_begun.wait(0.05)

    loop = threading.Thread(target=end_and_begin)
    switch = Switch(when_stopped=race)
    world.dog.began(switch)
    world.look(nothing, world.spend(1.0))
    loop.join()
    assert switch.is_stopped and next_has_begun.is_set()


def test_a_run_that_begins_as_the_thread_is_about_to_end_is_watched(world: World) -> None:
    switch = Switch()
    world.dog.began(Switch())
    world.dog.ended()
    world.dog._wake = Wake(during=lambda: world.dog.began(switch))
    world.look(*[nothing] * (watchdog._IDLE_LOOKS + 3), world.spend(1.0))
    assert switch.is_stopped


def test_a_thread_that_slept_for_long_ends_and_the_next_run_starts_another(world: World) -> None:
    world.dog.began(Switch())
    world.dog.ended()
    assert world.started == 1
    world.dog._wake = Wake()
    world.look(*[nothing] * (watchdog._IDLE_LOOKS + 3), lambda: pytest.fail("it goes on"))
    switch = Switch()
    world.dog.began(switch)
    assert world.started == 2
    world.look(nothing, world.spend(1.0))
    assert switch.is_stopped


def test_without_a_thread_no_run_begins_and_the_next_one_tries_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted() -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(world, "_start", exhausted)
        with pytest.raises(errors.UnavailableError, match="more threads"):
            world.dog.began(Switch())
    world.dog.began(Switch())
    assert world.started == 1
