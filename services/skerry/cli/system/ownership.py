"""Which processes belong to a state folder: written down with their start times, so that leftovers of a supervisor that
was killed are found, and a recycled pid is never mistaken for one of ours."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path


def start_time(pid: int) -> str | None:
    """The kernel's start time of a process (clock ticks since boot), or None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = text.rsplit(")", 1)[1].split()
    return None if state == "Z" else fields[18]


def write(path: Path, pids: Iterable[int]) -> None:
    """Remember `pids` as ours."""
    known = {str(pid): started for pid in pids if (started := start_time(pid)) is not None}
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(known))
    fresh.replace(path)


def living(path: Path) -> list[int]:
    """The remembered processes that still run."""
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        return []
    return [int(pid) for pid, started in known.items() if start_time(int(pid)) == started]


def stop(path: Path, grace_s: float) -> int:
    """SIGTERM to all that still run, SIGKILL to their sessions after `grace_s`. Returns how many there were."""
    running = living(path)
    for pid in running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + grace_s
    while living(path) and time.monotonic() < end:
        time.sleep(0.05)
    for pid in living(path):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    path.unlink(missing_ok=True)
    return len(running)


def memory_bytes(pid: int) -> int:
    """Proportional set size of a process and all its descendants (pages that several share are counted once)."""
    return sum(_pss(member) for member in [pid, *_descendants(pid)])


def _pss(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # it ended meanwhile
    return 0


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return found
    for task in tasks:
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text().split():
                found += [int(child), *_descendants(int(child))]
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, with that of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def is_supervisor(path: Path, pid: int) -> bool:
    """Is `pid` the living process that `path` remembers?"""
    return pid in living(path)
