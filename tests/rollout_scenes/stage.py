"""What the scenes share: a world in which a rollout has begun, and questions about it. `scene` adds to SCENES."""

from collections.abc import Callable
from typing import Any

from rollout_agent import Agent
from rollout_world import QUICK, WAVES, World

from skerry.core import rollout

Scene = Callable[[], None]
SCENES: list[Scene] = []
TWO = [WAVES[0], WAVES[-1]]


def begun(nodes: int = 3, stable: bool = True, waves: list[dict[str, Any]] = TWO, **spec: Any) -> World:
    """A world whose nodes have reported, and a rollout of v2."""
    world = World(nodes, stable)
    world.run(2000)
    world.roll_out("r", 2, **QUICK | {"waves": waves} | spec)
    return world


def running(world: World) -> dict[str, str]:
    return {name: agent.active.name if agent.active else "" for name, agent in world.agents.items()}


def status(world: World, name: str = "r") -> rollout.Status:
    return world.status(name)


def condition(world: World, kind: str, name: str = "r") -> tuple[str, str]:
    found = next(one for one in status(world, name).conditions if one.type == kind)
    return found.status, found.reason


def canary(world: World) -> Agent:
    return world.agents[status(world).waves[0].nodes[0]]


def resume(world: World, name: str = "r") -> None:
    now = status(world, name)
    world.edit(name, paused=False, resumedAttempt=now.attempt, resumedPause=now.pause_number)


def until(world: World, holds: Callable[[], bool], limit_s: int = 120) -> None:
    """Go on until it holds. AssertionError when it does not within `limit_s` of the world's time."""
    for _ in range(limit_s):
        if holds():
            return
        world.run(1000)
    raise AssertionError(f"not within {limit_s} s: {status(world)}")


def offline(world: World, agent: Agent) -> None:
    agent.connected = False
    world.run(16_000)


def scene(story: Scene) -> Scene:
    SCENES.append(story)
    return story


def canary_runs_it(world: World) -> bool:
    return bool(status(world).waves) and canary(world).active == world.versions["m-v2"]


def soaks(world: World) -> bool:
    return bool(status(world).waves) and status(world).waves[0].soak_started_ms > 0


def condition_message(world: World) -> str:
    return next(one.message for one in status(world).conditions if one.type == "Progressing")
