"""Elapsed time is what leaders counted: a step of the wall clock, a crash or another leader ends nothing early."""

import json
from dataclasses import replace

from rollout_world import LEASE_MS, WAVES, World

from rollout_scenes.leases import swapping, two_staged
from rollout_scenes.stage import begun, canary, running, scene, soaks, status, until
from skerry.core.rollout.elapsed import CLOCK_EVERY_MS

HOUR_MS = 3_600_000
YEAR_MS = 365 * 24 * HOUR_MS
SOAK_MS = 240_000
LONG_SOAK = [{"name": "canary", "size": "1", "soakSeconds": SOAK_MS // 1000}, WAVES[-1]]


def _soaking(nodes: int = 3) -> World:
    world = begun(nodes, waves=LONG_SOAK)
    until(world, lambda: soaks(world))
    return world


def _another_leader(world: World) -> None:
    world.epoch += 1


# ---- a step of the wall clock


@scene
def a_step_of_the_wall_clock_ends_no_soak() -> None:
    for step_ms in (HOUR_MS, YEAR_MS, -YEAR_MS):
        world = _soaking()
        world.wall_step_ms = step_ms
        world.run(SOAK_MS - 30_000, step_ms=5000)
        assert status(world).wave == 0 and not status(world).pause_reasons, f"a step of {step_ms} ms ended the soak"
        world.run(60_000, step_ms=5000)
        assert status(world).wave == 1, f"a step of {step_ms} ms prolonged the soak"


@scene
def a_step_of_the_wall_clock_ends_no_deadline() -> None:
    for step_ms in (HOUR_MS, YEAR_MS, -YEAR_MS):
        world = begun(3)  # the deadline is 200 s
        world.unreachable_files.add(world.versions["m-v2"].digest)
        world.run(5000)
        world.wall_step_ms = step_ms
        world.run(180_000, step_ms=5000)
        assert not status(world).pause_reasons
        world.run(40_000, step_ms=5000)
        assert status(world).pause_reasons == ("ProgressDeadlineExceeded",)


@scene
def a_step_of_the_wall_clock_ends_no_wait_for_a_verdict() -> None:
    world = begun(3)  # it is waited for 60 s
    world.metrics = "few"
    until(world, lambda: bool(status(world).waves) and status(world).current.judge_since_ms > 0)
    world.wall_step_ms = YEAR_MS
    world.run(50_000)
    assert not status(world).pause_reasons
    world.run(20_000)
    assert status(world).pause_reasons == ("Inconclusive",)


@scene
def a_step_of_the_wall_clock_frees_no_permit_in_use() -> None:
    world = begun(4)
    held = two_staged(world)[0]
    held.connected = False
    world.wall_step_ms = HOUR_MS
    for _ in range((LEASE_MS - 10_000) // 1000):
        world.run(1000)
        assert len(swapping(world)) <= 1
        assert all(running(world)[name] == "m-v1" for name in status(world).waves[1].nodes if name != held.name)


@scene
def a_step_of_the_wall_clock_takes_no_node_offline_and_brings_none_back() -> None:
    world = _soaking()
    gone = world.agents[status(world).waves[1].nodes[0]]
    gone.connected = False
    world.run(20_000)
    for step_ms in (HOUR_MS, -HOUR_MS, YEAR_MS, -YEAR_MS):
        world.wall_step_ms = step_ms
        world.run(3000)
        assert status(world).deferred == (gone.name,) and status(world).waves[0].soak_started_ms


# ---- a crash, another leader


@scene
def a_crash_in_a_soak_prolongs_it_by_no_more_than_what_was_not_written() -> None:
    world = _soaking()
    begun_ms = world.now_ms
    for _ in range(4):
        world.run(50_000, step_ms=5000)
        _another_leader(world)
    until(world, lambda: status(world).wave == 1, limit_s=SOAK_MS // 1000)
    took_ms = world.now_ms - begun_ms
    assert took_ms + 2000 >= SOAK_MS and took_ms <= SOAK_MS + 5 * (CLOCK_EVERY_MS + 10_000)


@scene
def a_controller_that_died_at_any_write_in_a_soak_never_shortens_it() -> None:
    for writes in range(3):
        world = begun(3, waves=LONG_SOAK)
        for _ in range(20):  # dies again and again, from before the soak until far into it
            world.exchange()
            world.reconcile(stop_after=writes)
            world.run(5000, step_ms=2500)
        started_ms = status(world).waves[0].soak_started_ms
        while status(world).wave == 0:
            world.run(5000, step_ms=5000)
        assert world.now_ms - started_ms >= SOAK_MS


@scene
def while_nobody_leads_no_soak_goes_on() -> None:
    world = _soaking()
    world.run(60_000)
    for _ in range(60):  # an hour, in which the agents go on
        world.pass_time(60_000)
        world.exchange()
    world.run(10_000)
    assert status(world).wave == 0


# ---- an upgrade in mid-rollout


@scene
def a_soak_that_a_release_without_clocks_began_goes_on_and_is_counted_anew() -> None:
    world = _soaking()
    canary_was = canary(world).name
    stored = json.loads(world.rollouts["r"].status)
    for field in ("clockMs", "progressClockMs", "evidenceSinceClockMs"):
        del stored[field]
    for wave in stored["waves"]:
        del wave["soakStartedClockMs"], wave["judgeSinceClockMs"]
    world.rollouts["r"].status = json.dumps(stored)
    _another_leader(world)
    world.run(5000)
    assert status(world).current.soak_clock_ms and status(world).current.soak_started_ms
    assert replace(status(world).current, soak_clock_ms=0).nodes == (canary_was,)
    world.run(SOAK_MS - 30_000, step_ms=5000)
    assert status(world).wave == 0
    until(world, lambda: status(world).state == "Succeeded")
