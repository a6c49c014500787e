"""kill -9 between any two effects of the curator, on real files and a real Valkey: all is labelled, once."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import curating
import pytest
import selection
import valkey

from skerry.adapters import fleetstate, streams
from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.proto import fleet_pb2

EXAMPLES = 6
EFFECTS = ("write", "add", "put", "ack")


class Mortal:
    """Passes calls on; the process dies by SIGKILL right before effect number `steps`."""

    left = 0

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        if name in EFFECTS:
            Mortal.left -= 1
            if Mortal.left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return getattr(self._real, name)


def world_on(folder: Path, url: str) -> curating.World:
    return curating.World(
        blobs=DirectoryBlobs(folder),
        streams=streams.open_streams(url, idle_s=0.0),
        fleetstate=fleetstate.open_fleetstate(url),
        has_ended=lambda curator: not curator.startswith(f"c{os.getpid()}-"),
    )


def live_until_killed(folder: str, url: str, steps: str) -> None:
    """The child: a curator at work."""
    Mortal.left = int(steps)
    world = world_on(Path(folder), url)
    world.blobs, world.streams, world.fleetstate = (
        Mortal(one) for one in (world.blobs, world.streams, world.fleetstate)
    )
    world.restart()
    world.work(10)


@pytest.fixture(scope="module")
def server() -> Iterator[valkey.Valkey]:
    one = valkey.Valkey()
    yield one
    one.close()


@pytest.mark.parametrize("steps", selection.sampled([(steps, f"{steps}") for steps in range(14)], every=14))
def test_a_curator_killed_at_any_effect_labels_all_once(tmp_path: Path, server: valkey.Valkey, steps: int) -> None:
    server.command("FLUSHALL")
    world = world_on(tmp_path, server.url)
    names = {
        world.upload(curating.example(seed, kind=fleet_pb2.EXPLORATION, answered_unix_ms=7_000))
        for seed in range(EXAMPLES)
    }
    command = [sys.executable, __file__, str(tmp_path), server.url, str(steps)]
    paths = os.pathsep.join(path for path in sys.path if path)
    child = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | {"PYTHONPATH": paths})
    assert child.returncode == -signal.SIGKILL, child.stderr
    world.restart()
    world.work(18)  # what the dead had in hand is tried after 5 s, one by one
    assert set(world.labels) == names
    for name in names:
        assert json.loads(world.blobs.read(f"labels/digits/{name}.json", max_bytes=10_000))["source"] == "Teacher"
    assert world.state.published.captured == EXAMPLES
    assert world.streams.read("skerry:examples", "curator", "other", count=10, block_s=0.0) == []
    for answers, bad in curating.counted(world, "digits", curating.VERSION, "north", 7_000):
        assert answers <= EXAMPLES and bad <= 4


def test_a_curator_that_nobody_kills_counts_all(tmp_path: Path, server: valkey.Valkey) -> None:
    server.command("FLUSHALL")
    world = world_on(tmp_path, server.url)
    for seed in range(EXAMPLES):
        world.upload(curating.example(seed, kind=fleet_pb2.EXPLORATION, answered_unix_ms=7_000))
    world.work(10)
    assert curating.counted(world, "digits", curating.VERSION, "north", 7_000) == 2 * [(6, 4)]


@pytest.mark.long
def test_a_server_that_dies_and_returns_empty_loses_no_example(tmp_path: Path) -> None:
    one = valkey.Valkey("--appendonly", "no")
    try:
        world = world_on(tmp_path, one.url)
        names = {world.upload(curating.example(seed)) for seed in range(3)}
        world.work(3)
        one.kill()
        names |= {world.upload(curating.example(seed), entry=False) for seed in range(3, 6)}
        world.work(2)
        one.start()
        names |= {world.upload(curating.example(seed)) for seed in range(6, 9)}
        world.work(8)
        assert set(world.labels) == names
        assert world.streams.read("skerry:examples", "curator", "other", count=10, block_s=0.0) == []
    finally:
        one.close()


if __name__ == "__main__":
    live_until_killed(*sys.argv[1:])
