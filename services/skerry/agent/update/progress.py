"""What a model is on its way to, and how far it has come. Kept in memory: what must survive is in `ledger`.

Written by `updater` alone, but for the permit requests, which `node_report` makes.
"""

import asyncio
from dataclasses import dataclass, field

from skerry.agent.update import update_plan, version_store
from skerry.agent.update.states import State

_IDLE = update_plan.Step(update_plan.Action.NOTHING, State.UNSPECIFIED)


@dataclass(slots=True)
class Target:
    """One model's way to its assignment. `requests`: report sequence -> when it was sent."""

    wanted: update_plan.Assignment | None = None
    shown: update_plan.Step = _IDLE
    requests: dict[int, float] = field(default_factory=dict)
    swapping: int = 0  # the request whose permit is being used right now
    staged: version_store.Slot | None = None
    is_looked_up: bool = False
    failures: int = 0
    retry_at_s: float = 0.0
    last_failure: str = ""
    wake: asyncio.Event = field(default_factory=asyncio.Event)


def is_wanted(target: Target, wanted: update_plan.Assignment) -> bool:
    """Is that still what is wanted, or has something else been assigned meanwhile?"""
    return target.wanted is not None and target.wanted.key == wanted.key


def reset(target: Target, wanted: update_plan.Assignment | None) -> None:
    """Start over, with nothing known of `wanted` yet."""
    target.wanted, target.staged, target.is_looked_up = wanted, None, False
    target.requests.clear()
    target.failures, target.retry_at_s, target.last_failure = 0, 0.0, ""
    target.shown = _IDLE
    target.wake.set()
