"""How many threads a model may use: what the container's quota and the affinity allow, not what the host has.

Reads cgroup v2 (`cpu.max`) and v1 (`cpu.cfs_quota_us`), from the process's own group up to the root: the tightest wins.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


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
    quota = _quota(root)
    if quota is not None and quota < cores:
        return Threads(max(1, math.floor(quota)), f"quota of {quota:g} CPUs")
    return Threads(max(1, cores), f"affinity of {cores} CPUs")


def _quota(root: Path) -> float | None:
    """CPUs that the tightest limit allows; None without one."""
    quotas = [*_v2_limits(root), *_v1_limits(root)]
    return min(quotas) if quotas else None


def _v2_limits(root: Path) -> Iterator[float]:
    for folder in _folders(root, root / "sys/fs/cgroup", controller=""):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        yield from _ratio(quota, period or "100000")


def _v1_limits(root: Path) -> Iterator[float]:
    for base in ("cpu", "cpu,cpuacct"):
        for folder in _folders(root, root / "sys/fs/cgroup" / base, controller="cpu"):
            yield from _ratio(_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us"))


def _folders(root: Path, base: Path, controller: str) -> Iterator[Path]:
    """The process's own cgroup folder and those above it, up to `base`."""
    own = base
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(",") and ".." not in path.split("/"):
            own = base / path.lstrip("/")
    yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(base))


def _ratio(quota: str, period: str) -> Iterator[float]:
    """Nothing for `max`, -1 (no limit) or what is no number."""
    if quota.isdecimal() and period.isdecimal() and int(quota) > 0 and int(period) > 0:
        yield int(quota) / int(period)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
