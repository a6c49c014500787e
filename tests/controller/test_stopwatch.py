"""What the controller counts by its monotonic clock, and what a wall clock can do to it: nothing."""

from dataclasses import replace
from pathlib import Path

import controlled_model
import controlling
import pytest

from skerry.controller import stopwatch
from skerry.core import rollout, specs
from skerry.core.rollout.elapsed import MAX_TICK_MS

T0_MS = controlling.T0_MS
HOUR_MS = 3_600_000


def node(last_seen_ms: int) -> specs.EdgeNode:
    return specs.EdgeNode("edge-1", last_seen_ms=last_seen_ms)


def test_silence_is_what_passed_since_the_node_was_seen_to_speak_whatever_the_wall_clock_says() -> None:
    watch = stopwatch.RolloutStopwatch()
    watch.tick([node(T0_MS - 5000)], [], now_ms=T0_MS, mono_ms=100_000)
    assert watch.of_settling().silence_ms == {"edge-1": 5000}, "what was before, only the stamps can say"
    watch.tick([node(T0_MS - 5000)], [], now_ms=T0_MS + HOUR_MS, mono_ms=101_000)
    assert watch.of_settling().silence_ms == {"edge-1": 6000}
    watch.tick([node(T0_MS)], [], now_ms=T0_MS - HOUR_MS, mono_ms=102_000)
    assert watch.of_settling().silence_ms == {"edge-1": 0}
    watch.tick([node(0)], [], now_ms=T0_MS, mono_ms=103_000)
    assert watch.of_settling().silence_ms == {}, "one that was never heard of has no silence"


def test_a_rollouts_clock_goes_on_from_what_was_written_and_a_round_is_bounded() -> None:
    watch, stored = stopwatch.RolloutStopwatch(), rollout.Status(clock_ms=7000)
    watch.tick([], [], now_ms=T0_MS, mono_ms=100_000)
    assert watch.of("r", stored).clock_ms == 7000, "nothing passed under this leader"
    watch.tick([], [], now_ms=T0_MS, mono_ms=100_500)
    assert watch.of("r", stored).clock_ms == 7500
    watch.tick([], [], now_ms=T0_MS, mono_ms=100_500 + HOUR_MS)
    assert watch.of("r", stored).clock_ms == 7500 + MAX_TICK_MS, "a process that stood still watched nothing"
    assert watch.of("new", rollout.Status()).clock_ms == 1


def test_a_lease_is_counted_from_when_this_process_saw_it() -> None:
    lease = specs.Lease(3, 1, T0_MS + 90_000, "sha256:" + "a" * 64, "r", 1, 1)
    held = replace(node(T0_MS), assignments=(specs.Assignment("m", lease.digest, 1, "p", lease=lease),))
    watch = stopwatch.RolloutStopwatch()
    watch.tick([held], [], now_ms=T0_MS + HOUR_MS, mono_ms=50_000)
    watch.tick([held], [], now_ms=T0_MS, mono_ms=61_000)
    assert watch.of_settling().lease_ms == {("edge-1", 3): 11_000}


def test_a_runs_time_goes_on_from_what_was_written_without_what_was_idle_or_unwatched() -> None:
    watch = stopwatch.RunStopwatch()
    watch.tick(["r"], 100_000)
    assert watch.ran_ms("r", 7000) == 7000
    watch.tick(["r"], 101_000)
    assert watch.ran_ms("r", 7000) == 8000
    watch.idle("r", True)
    watch.tick(["r"], 105_000)
    assert watch.ran_ms("r", 7000) == 8000
    watch.idle("r", False)
    watch.tick(["r"], 105_000 + HOUR_MS)
    assert watch.ran_ms("r", 7000) == 8000 + MAX_TICK_MS


@pytest.mark.parametrize("step_ms", [HOUR_MS, -HOUR_MS], ids=["an hour on", "back"])
def test_a_step_of_the_wall_clock_ends_no_training_run_and_keeps_none_alive(step_ms: int, tmp_path: Path) -> None:
    world = controlling.World(tmp_path)
    world.trainer = lambda name: None
    world.ask_run("run-1", overrides={"timeoutSeconds": 60})
    world.run(3)
    world.wall_step_ms = step_ms
    world.run(50)
    assert world.condition("TrainingRun", "run-1", "Running") == ("True", "Training")
    world.run(15)
    assert world.condition("TrainingRun", "run-1", "Succeeded") == ("False", "Timeout")


def test_a_run_that_outlives_its_controllers_takes_no_longer_than_its_time_and_what_was_not_written(
    tmp_path: Path,
) -> None:
    world = controlling.World(tmp_path)
    world.trainer = lambda name: None
    world.ask_run("run-1", overrides={"timeoutSeconds": 100})
    for _ in range(4):
        world.run(35)
        world.restart()
    world.run(40)
    assert world.condition("TrainingRun", "run-1", "Succeeded") == ("False", "Timeout")


@pytest.mark.parametrize("step_ms", [HOUR_MS, 365 * 24 * HOUR_MS, -HOUR_MS], ids=["an hour on", "a year on", "back"])
def test_the_whole_controller_soaks_as_long_though_its_wall_clock_steps(step_ms: int, tmp_path: Path) -> None:
    world = controlling.World(tmp_path)
    world.edit_model(rollout={"waves": [{**controlled_model.WAVES[0], "soakSeconds": 60}, controlled_model.WAVES[1]]})
    world.import_version(1)
    until_soaking(world)
    world.wall_step_ms = step_ms
    world.run(50)
    assert world.get("ModelRollout", "digits-v1-auto").status["wave"] == 0, "the step ended the soak"
    world.run(20)
    assert world.get("ModelRollout", "digits-v1-auto").status["wave"] == 1


def until_soaking(world: controlling.World) -> None:
    for _ in range(20):
        world.run(1)
        rollouts = world.objects.list("ModelRollout")
        if rollouts and rollouts[0].status.get("waves", [{}])[0].get("soakStartedUnixMs"):
            return
    raise AssertionError("no soak began")
