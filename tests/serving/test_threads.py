"""Threads come from the quota and the affinity, never from the host's size."""

from pathlib import Path

import models
import psutil
import pytest
from plane import Plane

from skerry.serving import threads
from skerry.serving.version import Options


def _root(tmp_path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return tmp_path


V2, V1 = "sys/fs/cgroup", "sys/fs/cgroup/cpu"


@pytest.mark.parametrize(
    ("files", "affinity", "override", "count"),
    [
        ({f"{V2}/cpu.max": "150000 100000"}, 64, 0, 1),
        ({f"{V2}/cpu.max": "200000 100000"}, 64, 0, 2),
        ({f"{V2}/cpu.max": "50000 100000"}, 64, 0, 1),
        ({f"{V2}/cpu.max": "max 100000"}, 8, 0, 8),
        ({}, 8, 0, 8),
        ({f"{V2}/cpu.max": "800000 100000"}, 1, 0, 1),
        ({f"{V2}/cpu.max": "200000 100000"}, 64, 6, 6),
        ({f"{V1}/cpu.cfs_quota_us": "300000", f"{V1}/cpu.cfs_period_us": "100000"}, 64, 0, 3),
        ({f"{V1}/cpu.cfs_quota_us": "-1", f"{V1}/cpu.cfs_period_us": "100000"}, 4, 0, 4),
        (
            {
                "proc/self/cgroup": "0::/pod/container",
                f"{V2}/pod/container/cpu.max": "max 100000",
                f"{V2}/pod/cpu.max": "200000 100000",
            },
            64,
            0,
            2,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/abc\n1:name=systemd:/",
                "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "200000",
                "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000",
            },
            64,
            0,
            2,
        ),
        ({f"{V2}/cpu.max": "nonsense"}, 4, 0, 4),
        ({f"{V2}/cpu.max": "100000 0"}, 4, 0, 4),
        ({"proc/self/cgroup": "0::/../../etc", "etc/cpu.max": "1 1"}, 4, 0, 4),
    ],
    ids=[
        "1.5 CPUs are one thread",
        "2 CPUs",
        "half a CPU is one thread",
        "no limit",
        "no cgroup",
        "an affinity of one",
        "set by hand wins",
        "version 1 quota",
        "version 1 without a limit",
        "a limit on the folder above",
        "version 1 in a folder of its own",
        "a file of nonsense",
        "a period of zero",
        "a path that climbs",
    ],
)
def test_the_budget(tmp_path: Path, files: dict[str, str], affinity: int, override: int, count: int) -> None:
    found = threads.budget(override, root=_root(tmp_path, files), affinity=affinity)
    assert found.count == count
    assert found.reason


def test_this_machine_has_a_budget() -> None:
    assert threads.budget().count >= 1


def test_slow_models_share_the_budget_and_never_exceed_it() -> None:
    shares = threads.Shares(4)
    assert shares.offer("a") == 4
    shares.take("a", 4)
    assert shares.offer("b") == 1, "nothing is left"
    assert shares.offer("a") == 4, "its next version runs as it does"
    shares.take("a", 3)
    assert shares.offer("b") == 2
    shares.take("a", 1)
    assert shares.offer("b") == 4
    assert threads.Shares(1).offer("a") == 1


async def test_threads_do_not_grow_with_the_number_of_slow_models(tmp_path: Path) -> None:
    for at in range(4):
        models.write_slow(tmp_path, f"slow-{at}", 1)
    plane = Plane(tmp_path, Options(threads=3))
    before = psutil.Process().num_threads()
    await plane.load_all()
    used = [plane.registry.lookup(f"slow-{at}").threads for at in range(4)]
    assert sum(one - 1 for one in used) <= 2
    # asyncio.to_thread keeps a few threads for loading; the sessions' own are bounded by the budget.
    assert psutil.Process().num_threads() - before <= 2 + 4
