"""An example whose reader is killed (SIGKILL, as by the kernel for want of memory), on real files and a real Valkey."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import curating
import pytest
import valkey

from skerry.adapters import fleetstate, streams
from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.core import set_aside
from skerry.curator import examples, in_hand
from skerry.curator.set_aside import SetAsideStore
from skerry.proto import fleet_pb2

POISON = 3


def world_on(folder: Path, url: str) -> curating.World:
    return curating.World(
        blobs=DirectoryBlobs(folder),
        streams=streams.open_streams(url, idle_s=0.2),
        fleetstate=fleetstate.open_fleetstate(url),
        has_ended=lambda curator: not curator.startswith(f"c{os.getpid()}-"),
    )


def live(folder: str, url: str) -> None:
    """The child: a curator that is killed when it reads the poison."""
    real = examples.read

    def read(data: bytes, example_id: str, task: Any) -> Any:
        if fleet_pb2.Example.FromString(data).request_id == f"r{POISON}":
            os.kill(os.getpid(), signal.SIGKILL)
        return real(data, example_id, task)

    examples.read = read
    world_on(Path(folder), url).work(16)


@pytest.mark.long
def test_an_example_that_kills_its_reader_is_set_aside_and_the_next_starts_live(tmp_path: Path) -> None:
    server = valkey.Valkey()
    try:
        world = world_on(tmp_path, server.url)
        names = [world.upload(curating.example(seed)) for seed in range(8)]
        command = [sys.executable, __file__, str(tmp_path), server.url]
        paths = os.pathsep.join(path for path in sys.path if path)
        ends = [
            subprocess.run(command, capture_output=True, timeout=60, env=os.environ | {"PYTHONPATH": paths}).returncode
            for _ in range(in_hand.DEATHS + 2)
        ]
        assert ends == [-signal.SIGKILL] * in_hand.DEATHS + [0, 0]
        assert set(world.labels) == {*names} - {names[POISON]}
        record = SetAsideStore(world.blobs).find("digits", names[POISON], set_aside.EXAMPLE)
        assert record is not None
        assert record.reason == "ReaderDied"
        assert world.streams.read("skerry:examples", "curator", "other", count=10, block_s=0.0) == []
    finally:
        server.close()


if __name__ == "__main__":
    live(*sys.argv[1:])
