"""A curator on storage that counts what is asked of it."""

from collections import Counter
from typing import Any

import curating

from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.proto import fleet_pb2


class CountingBlobs(MemoryBlobs):
    """Counts calls, by what they do and the first folder of the path."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[tuple[str, str]] = Counter()

    def read(self, path: str, *, max_bytes: int) -> bytes:
        self.calls["read", path.split("/")[0]] += 1
        return super().read(path, max_bytes=max_bytes)

    def write(self, path: str, data: bytes) -> None:
        self.calls["write", path.split("/")[0]] += 1
        super().write(path, data)

    def list(self, prefix: str) -> Any:
        self.calls["list", prefix.split("/")[0]] += 1
        return super().list(prefix)


def world_of(rows: int, **changes: Any) -> curating.World:
    world = curating.World(blobs=CountingBlobs(), settings=curating.settings(batch_rows=256, **changes))
    for seed in range(rows):
        world.upload(curating.example(seed, kind=fleet_pb2.EXPLORATION if seed % 2 else fleet_pb2.HARD))
    world.work(8)
    assert world.state.captured_rows.counts.labeled == rows
    return world
