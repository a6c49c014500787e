"""Which finished rollouts and training runs may go: of each model all but the newest, and none that a decision needs.

Of rollouts stay: what has not ended, the newest that succeeded on each fleet, what a node's assignment or report names
(a node refuses what it refused by that name), and what a rollout that goes on may look back at. Of runs: what has not
ended, and what made a version that is published.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

MIN_KEPT = 10  # retraining and erasures look back at some


@dataclass(frozen=True, slots=True)
class Past:
    """A rollout or a run. `ended_ms`: Unix time, 0 while it goes on. `last_good`: of rollouts, the fleet where it
    succeeded; empty: it did not."""

    name: str
    model: str
    ended_ms: int
    created_ms: int
    last_good: str = ""


def surplus(past: Sequence[Past], keep: int, needed: Collection[str]) -> list[str]:
    """Names of those that may go, the oldest first. `needed`: names of those that stay in any case."""
    of_model: dict[str, list[Past]] = defaultdict(list)
    good: set[tuple[str, str]] = set()
    stays = set(needed)
    for one in sorted(past, key=lambda one: (one.ended_ms or one.created_ms, one.created_ms, one.name), reverse=True):
        if one.last_good and (one.model, one.last_good) not in good:
            good.add((one.model, one.last_good))
            stays.add(one.name)
        if one.ended_ms:
            of_model[one.model].append(one)
    old = [one for ended in of_model.values() for one in ended[max(MIN_KEPT, keep) :] if one.name not in stays]
    return [one.name for one in sorted(old, key=lambda one: (one.ended_ms, one.name))]
