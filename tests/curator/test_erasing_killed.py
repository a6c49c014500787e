"""A curator that is killed at any write or removal of an erasure leaves what the next one brings to the same end."""

import curating
import pytest
from erasing_places import erase, holds, marked, progress, world_with

from skerry.adapters.blobs.memory import MemoryBlobs


class Mortal(MemoryBlobs):
    """Kills whoever makes the effect number `die_at`, before it happens; counts them otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.effects, self.die_at = 0, -1

    def write(self, path: str, data: bytes) -> None:
        self._count(path)
        super().write(path, data)

    def delete(self, path: str) -> None:
        self._count(path)
        super().delete(path)

    def _count(self, path: str) -> None:
        self.effects += 1
        if self.effects == self.die_at:
            raise curating.Death


def begin() -> tuple[curating.World, Mortal]:
    blobs = Mortal()
    world = world_with(marked(node="cam-7", request_id="visit"), marked(node="cam-7", request_id="again"), blobs=blobs)
    blobs.effects = 0
    erase(world, node="cam-7")
    return world, blobs


@pytest.mark.long
def test_wherever_the_curator_is_killed_the_next_one_comes_to_the_same_end() -> None:
    world, blobs = begin()
    world.work(30)
    whole, effects = progress(world), blobs.effects
    assert whole.is_done and whole.examples == 2 and effects > 8
    for die_at in range(1, effects + 1):
        world, blobs = begin()
        blobs.die_at = die_at
        with pytest.raises(curating.Death):
            world.work(30)
        world.restart()
        world.work(30)
        done = progress(world)
        assert holds(world) == [], f"killed at effect {die_at}"
        assert (done.is_done, done.datasets) == (True, whole.datasets), f"killed at effect {die_at}"
