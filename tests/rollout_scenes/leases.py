"""Permits, rolling back under permits, and who leads."""

import json

from rollout_agent import SWAP_MS, Agent
from rollout_world import LEASE_MS, QUICK, WAVES, World

from rollout_scenes.stage import begun, canary, canary_runs_it, condition_message, running, scene, status, until
from skerry.core.rollout.permits import MAX_SWAP_MS, TTL_MS

# ---- permits


def two_staged(world: World) -> list[Agent]:
    """The second wave has begun; the agents that have a permit on its way."""
    for _ in range(80):
        flying = [one for one in world.agents.values() if any(m.assignment and m.assignment.permit for m in one.inbox)]
        if flying and status(world).wave == 1:
            return flying
        world.now_ms += 1000
        world.exchange()
        world.reconcile()
    raise AssertionError("no permit in the second wave")


def swapping(world: World) -> list[str]:
    return [name for name, agent in world.agents.items() if agent.swapping is not None]


@scene
def one_node_swaps_at_a_time() -> None:
    world = begun(5)
    most = 0
    for _ in range(100):
        world.run(1000)
        most = max(most, len(swapping(world)))
    assert most == 1 and status(world).state == "Succeeded"


@scene
def a_permit_that_is_not_used_counts_until_its_lease_is_over() -> None:
    world = begun(4)
    held = two_staged(world)[0]
    held.connected = False
    others = [name for name in status(world).waves[1].nodes if name != held.name]
    world.run(LEASE_MS - 8000, step_ms=4000)
    assert all(running(world)[name] == "m-v1" for name in others)
    world.run(20_000 + SWAP_MS, step_ms=4000)
    assert any(running(world)[name] == "m-v2" for name in others), "a node that is gone must not block for ever"


@scene
def a_permit_used_at_its_last_moment_still_counts() -> None:
    world = begun(4)
    held = two_staged(world)[0]
    held.connected = False
    since = world.now_ms - max(held.requests.values())
    world.run(TTL_MS - since - 3000, step_ms=1000)
    held.connected = True
    world.exchange(report=False)
    held.connected = False
    assert held.swapping is not None, "the scene needs a swap that begins late"
    held.swap_ends_ms = world.now_ms + MAX_SWAP_MS - 5000
    for _ in range((MAX_SWAP_MS - 6000) // 1000):
        world.run(1000)
        assert len(swapping(world)) == 1


@scene
def a_permit_too_late_is_not_used() -> None:
    world = begun(4)
    held = two_staged(world)[0]
    held.connected = False
    world.run(LEASE_MS + 5000, step_ms=5000)
    held.connected = True
    world.exchange()
    assert held.swapping is None
    until(world, lambda: status(world).state == "Succeeded")
    assert set(running(world).values()) == {"m-v2"}


@scene
def a_permit_of_an_older_rollout_still_counts_for_a_newer_one() -> None:
    world = begun(4)
    held = two_staged(world)[0]
    world.exchange()
    assert held.swapping is not None
    held.connected, held.swap_ends_ms = False, world.now_ms + MAX_SWAP_MS
    world.roll_out("s", 3, **QUICK | {"waves": [WAVES[-1]], "analysis": {"required": False}})
    for _ in range(MAX_SWAP_MS // 1000 - 2):
        world.run(1000)
        assert len(swapping(world)) <= 1


@scene
def rolling_back_swaps_one_node_at_a_time() -> None:
    world = begun(5, waves=[{"name": "all", "size": "100%", "soakSeconds": 600}], analysis={"required": False})
    until(world, lambda: set(running(world).values()) == {"m-v2"})
    world.edit("r", desired="Abort")
    most = 0
    for _ in range(120):
        world.run(1000)
        most = max(most, len(swapping(world)))
    assert most == 1 and status(world).state == "RolledBack" and set(running(world).values()) == {"m-v1"}


@scene
def a_rollback_does_not_end_while_a_reachable_node_runs_the_bad_version() -> None:
    world = begun(3)
    until(world, lambda: canary_runs_it(world))
    world.unreachable_files.add(world.versions["m-v1"].digest)
    world.edit("r", desired="Abort")
    world.run(30_000)
    assert status(world).state == "RollingBack" and canary(world).name in condition_message(world)
    world.unreachable_files.clear()
    until(world, lambda: status(world).state == "RolledBack")


@scene
def a_rollback_that_a_node_refuses_ends_incomplete() -> None:
    world = begun(3)
    until(world, lambda: canary_runs_it(world))
    world.corrupt.add(world.versions["m-v1"].digest)
    world.edit("r", desired="Abort")
    until(world, lambda: status(world).terminal)
    assert status(world).state == "RollbackIncomplete" and canary(world).name in status(world).why_message


@scene
def an_offline_node_on_the_bad_version_does_not_hold_the_rollback_and_comes_back_to_stable() -> None:
    world = begun(3)
    until(world, lambda: canary_runs_it(world))
    gone = canary(world)
    gone.connected = False
    world.run(16_000)
    world.edit("r", desired="Abort")
    until(world, lambda: status(world).terminal)
    assert status(world).state == "RolledBack" and gone.name in status(world).deferred
    world.reconnect(gone.name)
    world.run(30_000)
    assert gone.active == world.versions["m-v1"]


# ---- leaders


@scene
def a_leader_of_the_past_changes_nothing() -> None:
    world = begun(3)
    world.run(3000)
    world.epoch = 5
    world.run(1000)
    held = (world.rollouts["r"].status, dict(world.assignments), world.catch_up)
    world.now_ms += 60_000
    world.reconcile(epoch=4)
    assert held == (world.rollouts["r"].status, world.assignments, world.catch_up)


@scene
def a_controller_that_dies_between_writes_is_made_good_by_the_next() -> None:
    world = begun(4)
    for writes in (0, 1, 0, 2, 1, 0):
        world.now_ms += 2000
        world.exchange()
        world.reconcile(stop_after=writes)
        world.epoch += 1
    until(world, lambda: status(world).state == "Succeeded")
    assert all(json.loads(text) for text in world.assignments.values())
