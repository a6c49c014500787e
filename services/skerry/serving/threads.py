"""How many threads a model may use: what the container's quota and the affinity allow, not what the host has."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from skerry.serving import cgroup


@dataclass(frozen=True, slots=True)
class Threads:
    """`count` is at least 1; `reason` says what decided it."""

    count: int
    reason: str


class Shares:
    """Who may use how many threads of a budget. A model's share is the same for its next version, which runs beside the
    old one for a moment; a model beyond the budget has one thread."""

    def __init__(self, budget: int) -> None:
        self._extra = budget - 1
        self._held: dict[str, int] = {}

    def offer(self, model: str) -> int:
        """Threads that a slow version of `model` may use; at least 1."""
        return self._held.get(model, 1 + self._extra - sum(held - 1 for held in self._held.values()))

    def take(self, model: str, threads: int) -> None:
        """`model` uses as many; 1 gives its share back."""
        self._held.pop(model, None)
        if threads > 1:
            self._held[model] = threads


def budget(override: int = 0, *, root: Path = Path("/"), affinity: int | None = None) -> Threads:
    """`override` above 0 wins; else the smaller of quota (rounded down: more would be throttled) and affinity."""
    if override > 0:
        return Threads(override, "set by hand")
    cores = affinity if affinity is not None else len(os.sched_getaffinity(0))
    quota = cgroup.cpus(root)
    if quota is not None and quota < cores:
        return Threads(max(1, math.floor(quota)), f"quota of {quota:g} CPUs")
    return Threads(max(1, cores), f"affinity of {cores} CPUs")
