"""What the process's container may use, by cgroup v2 (`cpu.max`, `memory.max`) and v1: from its own group up to the
root the tightest limit wins.
"""

from collections.abc import Iterator
from pathlib import Path

_UNLIMITED_BYTES = 1 << 60  # v1 writes a number near 2^63 where there is no limit


def cpus(root: Path = Path("/")) -> float | None:
    """CPUs that the tightest limit allows; None without one."""
    return min([*_v2_cpus(root), *_v1_cpus(root)], default=None)


def memory_bytes(root: Path = Path("/")) -> int | None:
    """Memory that the tightest limit allows; None without one."""
    v2 = [_text(folder / "memory.max") for folder in _folders(root, root / "sys/fs/cgroup", controller="")]
    base = root / "sys/fs/cgroup/memory"
    v1 = [_text(folder / "memory.limit_in_bytes") for folder in _folders(root, base, controller="memory")]
    limits = [int(text) for text in (*v2, *v1) if text.isdecimal()]
    return min([limit for limit in limits if 0 < limit < _UNLIMITED_BYTES], default=None)


def _v2_cpus(root: Path) -> Iterator[float]:
    for folder in _folders(root, root / "sys/fs/cgroup", controller=""):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        yield from _ratio(quota, period or "100000")


def _v1_cpus(root: Path) -> Iterator[float]:
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
