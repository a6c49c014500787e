"""Server processes of the bench: pinned to a core, and what the kernel says they used.

CPU time is the scheduler's own count (what /proc/…/schedstat shows per thread) of each process of the tree, in
nanoseconds: waiting for a core on a busy machine does not count, and threads that have ended meanwhile do.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class Cores:
    """Where servers and where generators run. On a machine with one core both share it."""

    server: int
    client: int

    @classmethod
    def choose(cls) -> "Cores":
        allowed = sorted(os.sched_getaffinity(0))
        return cls(allowed[0], allowed[-1])


@contextlib.contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], core: int, log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process in a group of its own, whose group is ended with the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def tree(pid: int) -> Sequence[int]:
    """The process and all its descendants that live."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                # The name in parentheses may hold anything; the parent is the second field after it.
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    pids = [pid]
    for parent in pids:
        pids += children.get(parent, ())
    return pids


def cpu_us(pids: Sequence[int]) -> float:
    """Microseconds that all threads of these processes were on a core so far."""
    total_ns = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            total_ns += time.clock_gettime_ns(_cpu_clock(pid))
    return total_ns / 1e3


def _cpu_clock(pid: int) -> int:
    """The id of another process's CPU clock, as clock_getcpuclockid(3) makes it."""
    return (~pid << 3) | 2


def rss_mb(pids: Sequence[int]) -> float:
    """Resident memory of these processes, in MB of 10^6 bytes; pages that they share count once for each."""
    total_kb = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total_kb += int(line.split()[1])
    return total_kb * 1024 / 1e6


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
