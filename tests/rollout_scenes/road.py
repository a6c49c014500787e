"""The good road, and nodes that are away, late, new or deleted."""

from dataclasses import replace

from rollout_world import QUICK, World

from rollout_scenes.stage import (
    begun,
    canary,
    canary_runs_it,
    condition,
    offline,
    resume,
    running,
    scene,
    soaks,
    status,
    until,
)
from skerry.core.rollout.elapsed import CLOCK_EVERY_MS

# ---- the good road


@scene
def a_good_version_reaches_every_node_after_the_canary() -> None:
    world = begun(4)
    until(world, lambda: canary_runs_it(world))
    assert list(running(world).values()).count("m-v2") == 1
    until(world, lambda: status(world).terminal)
    assert status(world).state == "Succeeded" and set(running(world).values()) == {"m-v2"}
    assert world.stable == "m-v2" and condition(world, "Succeeded") == ("True", "Succeeded")


@scene
def a_first_version_passes_by_absolute_limits_without_any_sample() -> None:
    world = begun(3, stable=False)
    world.metrics = "missing"
    until(world, lambda: status(world).terminal)
    assert status(world).state == "Succeeded"
    assert [wave.verdict["code"] for wave in status(world).waves] == ["NoBaseline", "NoBaseline"]


@scene
def success_is_what_nodes_report_not_what_they_were_sent() -> None:
    world = begun(3)
    world.unreachable_files.add(world.versions["m-v2"].digest)
    world.run(60_000)
    assert status(world).state == "Progressing" and status(world).current.tally.updated == 0


@scene
def at_rest_only_the_clock_of_what_waits_is_written_and_seldom() -> None:
    world = begun(3)
    world.unreachable_files.add(world.versions["m-v2"].digest)
    world.run(20_000)
    written, assigned = [status(world)], dict(world.assignments)
    for _ in range(60):
        world.run(1000)
        if status(world) != written[-1]:
            written.append(status(world))
    assert all(replace(one, clock_ms=0) == replace(written[0], clock_ms=0) for one in written)
    assert len(written) <= 1 + 60_000 // CLOCK_EVERY_MS and world.assignments == assigned


@scene
def while_paused_nothing_is_written() -> None:
    world = begun(3, paused=True)
    world.run(20_000)
    held = world.rollouts["r"].status
    world.run(120_000)
    assert world.rollouts["r"].status == held


@scene
def after_success_nothing_is_written() -> None:
    world = begun(3)
    until(world, lambda: status(world).terminal)
    world.run(30_000)
    held = (world.rollouts["r"].status, dict(world.assignments), world.catch_up)
    world.run(60_000)
    assert held == (world.rollouts["r"].status, world.assignments, world.catch_up)


@scene
def the_canary_is_not_the_same_node_every_time() -> None:
    first = set()
    for name in "abcdefgh":
        world = World(4)
        world.run(2000)
        world.roll_out(name, 2, **QUICK)
        world.run(2000)
        first.add(world.status(name).waves[0].nodes)
    assert len(first) > 1


# ---- offline nodes, late nodes, deleted nodes


@scene
def an_offline_node_neither_blocks_nor_counts_and_catches_up() -> None:
    world = begun(3)
    gone = world.agents["e2"]
    offline(world, gone)
    until(world, lambda: status(world).terminal)
    assert status(world).state == "Succeeded" and status(world).deferred == ("e2",)
    assert running(world) == {"e1": "m-v2", "e2": "m-v1", "e3": "m-v2"}
    world.reconnect("e2")
    world.run(30_000)
    assert running(world)["e2"] == "m-v2" and status(world).deferred == ("e2",)


@scene
def a_canary_that_goes_offline_is_no_success() -> None:
    world = begun(3)
    until(world, lambda: soaks(world))
    canary(world).connected = False
    world.metrics = "missing"
    world.run(20_000)
    world.metrics = "good"
    world.run(30_000)
    assert status(world).wave == 0 and status(world).current.soak_started_ms == 0


@scene
def a_wave_of_offline_nodes_pauses_at_its_deadline() -> None:
    world = begun(3)
    world.run(1000)
    offline(world, canary(world))
    world.run(220_000, step_ms=5000)
    assert status(world).pause_reasons == ("TooFewReachable",) and condition(world, "Paused")[0] == "True"


@scene
def a_node_that_never_comes_up_pauses_at_the_deadline() -> None:
    world = begun(3)
    world.unreachable_files.add(world.versions["m-v2"].digest)
    world.run(210_000, step_ms=5000)
    assert status(world).pause_reasons == ("ProgressDeadlineExceeded",)
    assert "FetchFailed" in status(world).pause_message


@scene
def a_new_node_gets_stable_while_a_rollout_runs_and_the_new_version_after() -> None:
    world = begun(3)
    world.metrics = "few"
    until(world, lambda: canary_runs_it(world))
    new = world.add_node()
    new.active = None
    world.run(30_000)
    assert new.active == world.versions["m-v1"] and new.name not in str(status(world).waves)
    world.metrics = "good"
    until(world, lambda: status(world).terminal)
    world.run(30_000)
    assert new.active == world.versions["m-v2"]


@scene
def a_deleted_node_leaves_numerator_and_denominator() -> None:
    world = begun(3)
    world.run(1000)
    rest = status(world).waves[1].nodes
    world.delete_node(rest[0])
    until(world, lambda: status(world).terminal)
    assert status(world).state == "Succeeded" and status(world).waves[1].tally.members == 1


@scene
def a_wave_whose_nodes_were_deleted_asks_an_operator() -> None:
    world = begun(3)
    world.run(1000)
    world.delete_node(canary(world).name)
    world.run(5000)
    assert status(world).pause_reasons == ("EmptyWave",) and status(world).wave == 0


@scene
def an_empty_fleet_asks_an_operator() -> None:
    world = begun(0)
    world.run(5000)
    assert status(world).pause_reasons == ("EmptyWave",) and not status(world).terminal
    world.add_node()
    world.add_node()
    world.run(5000)
    assert status(world).pause_reasons == ("EmptyWave",)
    resume(world)
    until(world, lambda: status(world).state == "Succeeded")
