"""Several workers on one machine, for real: each reads rows of its own, and the result is as good as that of one."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_world import MODEL, World, rows

from skerry.adapters import blobs as blob_store
from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.controller.jobs import command, local
from skerry.controller.jobs.protocol import Order, State
from skerry.core import specs
from skerry.nets.worker_group import SingleWorker
from skerry.trainer import data

TESTS = Path(__file__).parents[1]


class Worker(SingleWorker):
    """Worker `rank` of `size` that hears nobody: what it has is what there is."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size


class Counted(MemoryBlobs):
    """Remembers what was read."""

    def __init__(self, inner: MemoryBlobs) -> None:
        self._blobs, self.read_paths = inner._blobs, []

    def read(self, path: str, *, max_bytes: int) -> bytes:
        self.read_paths.append(path)
        return super().read(path, max_bytes=max_bytes)


def many_parts() -> tuple[World, str]:
    """One large part, three small ones, and a holdout that has one of the small ones' rows."""
    world = World()
    small = [rows([4, 4, 4], seed=seed) for seed in (2, 3, 4)]
    parts_ = [(("train", "imported"), rows([40, 40, 40])), *((("train", "imported"), one) for one in small)]
    holdout = [(("holdout", "imported"), small[0].take(np.arange(3)))]
    return world, world.datasets([*parts_, *holdout])


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_each_row_is_one_workers_own_and_holdout_rows_are_nobodys(size: int) -> None:
    world, digest = many_parts()
    model = specs.parse_edge_model(MODEL, world.objects.get("EdgeModel", MODEL).spec)
    loaded = [data.load(world.blobs, model, digest, Worker(rank, size)) for rank in range(size)]
    ids = [list(part.id) for one in loaded for part in one.train.values()]
    flat = [one for mine in ids for one in mine]
    whole = data.load(world.blobs, model, digest)
    assert len(flat) == len(set(flat)) == 120 + 36 - 3
    assert sorted(flat) == sorted(one for part in whole.train.values() for one in part.id)
    assert sum(one.dropped["in-holdout"] for one in loaded) == whole.dropped["in-holdout"] == 3
    assert all(len(one.holdouts["imported"]) == 3 for one in loaded)


def test_a_worker_does_not_read_parts_that_are_not_its_own() -> None:
    world, digest = many_parts()
    model = specs.parse_edge_model(MODEL, world.objects.get("EdgeModel", MODEL).spec)
    read = []
    for rank in range(3):
        counted = Counted(world.blobs)
        data.load(counted, model, digest, Worker(rank, 3))
        read.append({path for path in counted.read_paths if path.startswith("sha256/")})
    assert [len(paths) for paths in read] == [3, 3, 3], "the large part, the holdout, and one of the three small parts"
    assert len(set.union(*read)) == 5


class Place:
    """A machine with a run of the press: blobs in a folder, jobs as processes."""

    def __init__(self, folder: Path, **run: Any) -> None:
        self.world, self.url = World(), f"file://{folder}/blobs"
        self.world.blobs = blob_store.open_blobs(self.url)  # type: ignore[assignment]
        self.world.ask("run-1", self.world.standard(), **run)
        self.environment = {
            "SKERRY_BLOBS": self.url,
            "PYTHONPATH": os.pathsep.join([str(TESTS.parent / "services"), str(TESTS)]),
            "PATH": os.environ["PATH"],
            "OMP_NUM_THREADS": "1",
        }
        self.jobs = local.LocalJobs(folder / "jobs", lambda n: command.local(sys.executable, n), self.environment)

    def start(self, workers: int) -> None:
        self.jobs.start(Order("run-1", MODEL, 300, specs.JobTemplate(workers=workers)))

    def lines(self, event: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return [line for line in found if line["event"] == event]

    @property
    def log(self) -> str:
        return self.jobs.log("run-1", 1 << 20).decode(errors="replace")

    def ended(self) -> bool:
        return self.jobs.poll("run-1").state is State.ENDED

    def proposal(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.world.blobs.read("proposals/run-1.json", max_bytes=1 << 20))
        return found


def until(condition: Callable[[], bool], place: Place) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {place.log}"
        time.sleep(0.02)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.jobs.stop("run-1")


def test_two_workers_make_what_one_makes_of_rows_that_they_share(place: Place) -> None:
    place.start(2)
    until(place.ended, place)
    assert place.jobs.poll("run-1").exit_code == 0, place.log
    read = sorted(place.lines("data_loaded"), key=lambda line: int(line["worker"]))
    assert [(line["worker"], line["workers"], line["train"]["imported"]) for line in read] == [(0, 2, 90), (1, 2, 90)]
    found = place.proposal()
    assert found["verdict"]["outcome"] == "Pass"
    report = found["report"]
    assert report["training"]["workers"] == [90, 90] and report["training"]["trainedOn"]["imported"] == 180
    assert report["holdouts"]["imported"]["n"] == 120 and report["holdouts"]["imported"]["candidate"] > 0.95
    assert [line["epoch"] for line in place.lines("epoch")] == list(range(1, 13)), "one worker tells"
    assert len(place.lines("proposed")) == 1


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path, overrides={"epochs": 10_000})
    yield made
    made.jobs.stop("run-1")


def workers_of(place: Place) -> list[int]:
    """Process ids of the trainers, found by what they are a child of."""
    launcher = int((place.jobs._folder / "run-1.pid").read_text())
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    return [int(pid) for pid in children]


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.long
def test_a_worker_that_dies_ends_the_run_and_says_so(endless: Place) -> None:
    endless.start(2)
    until(lambda: len(endless.lines("epoch")) > 0, endless)
    os.kill(workers_of(endless)[1], 9)
    until(endless.ended, endless)
    assert endless.jobs.poll("run-1").exit_code not in (0, None)
    assert "SIGKILL" in endless.log or "one of them is gone" in endless.log
    assert not endless.world.blobs.exists("proposals/run-1.json")


@pytest.mark.long
def test_a_launcher_that_is_killed_takes_its_workers_with_it(endless: Place) -> None:
    endless.start(2)
    until(lambda: len(endless.lines("epoch")) > 0, endless)
    pids = workers_of(endless)
    assert len(pids) == 2
    os.kill(int((endless.jobs._folder / "run-1.pid").read_text()), 9)
    until(lambda: not any(lives(pid) for pid in pids), endless)


@pytest.mark.long
def test_a_crew_is_stopped_as_any_job(endless: Place) -> None:
    endless.start(2)
    until(lambda: len(endless.lines("epoch")) > 0, endless)
    pids = workers_of(endless)
    endless.jobs.stop("run-1")
    until(lambda: not any(lives(pid) for pid in pids), endless)


@pytest.mark.long
def test_a_network_that_does_not_fit_ends_a_crew_in_words(tmp_path: Path) -> None:
    made = Place(tmp_path, overrides={"prunePermille": 500})
    made.start(2)
    until(made.ended, made)
    assert made.jobs.poll("run-1").exit_code == 1
    assert {line["kind"] for line in made.lines("training_failed")} <= {"InputError", "UnavailableError"}
    assert any("slimmed" in line["error"] for line in made.lines("training_failed")), made.log
    made.jobs.stop("run-1")


def test_one_worker_starts_no_crew_and_loads_nothing_of_it(place: Place) -> None:
    loads = "import sys, skerry.trainer.main; sys.exit('skerry.nets.torch_workers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loads], env=place.environment, check=False).returncode == 0
    assert "torch.distributed.run" not in " ".join(command.local(sys.executable, 1))
