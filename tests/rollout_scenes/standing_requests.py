"""A request for a permit stands until it is answered: who waits says nothing new. And what the release before wrote."""

import json

from rollout_agent import Agent
from rollout_world import WAVES, World

from rollout_scenes.leases import swapping
from rollout_scenes.stage import begun, resume, running, scene, status, until
from skerry.core.rollout.permits import TTL_MS

TEN_MINUTES_MS = 600_000
REST = [{"name": "all", "size": "100%", "soakSeconds": 1}]


def _begun_and_paused(renews: bool) -> World:
    world = begun(4, waves=REST, analysis={"required": False})
    for agent in world.agents.values():
        agent.renews = renews
    world.edit("r", paused=True)
    world.run(2000)
    world.edit("r", paused=False)
    world.now_ms += 1000
    world.exchange()
    world.reconcile()
    world.edit("r", paused=True)
    world.run(60_000)
    return world


def _waiting(world: World) -> list[Agent]:
    return [one for one in world.agents.values() if one.wanted and one.state(world) == "Staged" and not one.swapping]


def _reports(world: World) -> dict[str, str]:
    return {name: text for name, (text, _, _) in world.reports.items()}


@scene
def whoever_waits_for_a_permit_says_nothing_new_and_is_given_one_at_once_after_all() -> None:
    world = _begun_and_paused(renews=False)
    before, waiting = _reports(world), _waiting(world)
    assert len(waiting) >= 3
    for _ in range(20):
        world.run(TEN_MINUTES_MS // 20, step_ms=10_000)
        assert _reports(world) == before, "a node that waits reports nothing new"
    used = {agent.name: agent.highest_permit for agent in world.agents.values()}
    resume(world)
    until(world, lambda: status(world).state == "Succeeded")
    assert all(agent.highest_permit > used[agent.name] for agent in waiting)
    given_up = [agent for agent in waiting if (agent.name, agent.highest_permit) not in _used(world)]
    assert not given_up, "the first permit was good, ten minutes after it was asked for"


@scene
def another_leader_counts_requests_anew_and_a_permit_too_short_is_given_up_once() -> None:
    world = _begun_and_paused(renews=False)
    world.run(TEN_MINUTES_MS, step_ms=10_000)
    world.epoch += 1
    waiting = _waiting(world)
    resume(world)
    most = 0
    for _ in range(150):
        world.run(1000)
        most = max(most, len(swapping(world)))
    assert status(world).state == "Succeeded" and most == 1
    assert len(_used(world)) == len(world.agents) and waiting


@scene
def a_permit_for_an_old_request_is_over_when_its_lease_is_whoever_delays_it() -> None:
    for late_ms in (TTL_MS - 5000, TTL_MS + 5000, TEN_MINUTES_MS):
        world = _begun_and_paused(renews=False)
        world.run(TEN_MINUTES_MS, step_ms=10_000)
        resume(world)
        held: list[Agent] = []
        while not held:
            world.now_ms += 1000
            world.exchange()
            world.reconcile()
            held = [one for one in _waiting(world) if any(m.assignment and m.assignment.permit for m in one.inbox)]
        held[0].connected = False
        world.run(late_ms, step_ms=5000)
        held[0].connected = True
        for _ in range(60):
            world.run(1000)
            assert len(swapping(world)) <= 1, f"{late_ms} ms late"
        until(world, lambda world=world: status(world).state == "Succeeded", limit_s=300)


@scene
def a_rollout_that_the_release_before_wrote_goes_on_at_any_moment_of_its_course() -> None:
    """It wrote down all permits, one by one, and neither sizes nor what failed at most."""
    for renews in (True, False):
        world = begun(5, waves=[WAVES[0], WAVES[-1]])
        for agent in world.agents.values():
            agent.renews = renews
        numbers: dict[str, list[int]] = {}
        for _ in range(200):
            world.rollouts["r"].status = as_before(world)
            world.run(1000)
            assert len(swapping(world)) <= 1
            for name, done in world.activations:
                assert done.permit is not None
                if done.permit.number not in numbers.setdefault(name, []):
                    numbers[name].append(done.permit.number)
            if status(world).terminal:
                break
        assert status(world).state == "Succeeded" and set(running(world).values()) == {"m-v2"}
        assert all(len(mine) == 1 for mine in numbers.values())


@scene
def a_rollout_that_the_release_before_wrote_is_rolled_back_as_it_decided() -> None:
    world = begun(3, waves=[WAVES[0], WAVES[-1]])
    world.swap_fails.add((next(iter(world.agents)), world.versions["m-v2"].digest))
    for _ in range(120):
        world.rollouts["r"].status = as_before(world)
        world.run(1000)
    assert status(world).terminal and (status(world).state == "RolledBack") == bool(status(world).failed)


def as_before(world: World) -> str:
    """The status as the release before would have written it."""
    stored = json.loads(world.rollouts["r"].status)
    if not stored:
        return "{}"
    for wave in stored.get("waves", []):
        for new in ("size", "mostFailed"):
            wave.pop(new, None)
    stored.pop("failures", None)
    flat = {}
    for group in stored["permits"]:
        if "node" in group:  # not written since
            flat[group["node"]] = group
            continue
        for node, (number, request, ttl_ms) in group.pop("nodes").items():
            flat[node] = {"node": node, "number": number, "request": request, "ttlMs": ttl_ms, **group}
    for node, text in world.assignments.items():
        for held in json.loads(text):
            if (lease := held.get("lease")) and world.agents[node].highest_permit < lease["number"]:
                granted_ms = lease.pop("untilUnixMs") - 90_000
                flat.setdefault(node, {"node": node, "grantedUnixMs": granted_ms, "ttlMs": TTL_MS, **lease})
    stored["permits"] = [flat[node] for node in sorted(flat)]
    return json.dumps(stored)


def _used(world: World) -> set[tuple[str, int]]:
    return {(name, done.permit.number) for name, done in world.activations if done.permit is not None}
