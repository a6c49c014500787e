"""Which datasets stay: the newest, the imported, what a run or a version names, and each for a while."""

from typing import Any

import curating
import manifests
import numpy as np
import pytest

from skerry.adapters import blobs as blob_store
from skerry.adapters import dataset_store
from skerry.core import contract, dataset_parts, datasets, digests, errors

KEEP_S = 600.0


@pytest.fixture
def world() -> curating.World:
    return curating.World(settings=curating.settings(keep_datasets_seconds=KEEP_S, publish_seconds=1))


def publish(world: curating.World, *seeds: int) -> str:
    """Let examples be captured and be in a dataset; returns its digest."""
    for seed in seeds:
        world.upload(curating.example(seed))
    world.work(25)
    return str(world.state.published.digest)


def wait(world: curating.World, seconds: float) -> None:
    end = world.clock.now_s + seconds
    while world.clock.now_s < end:
        world.clock.now_s += 100
        world.schedule.tick()


def stored(world: curating.World) -> set[str]:
    return {f"sha256:{path.rpartition('/')[2]}" for path in world.blobs.list("datasets/digits")}


def readable(world: curating.World, digest: str) -> bool:
    """All of its parts are there."""
    data = world.blobs.read(contract.dataset_path("digits", digest), max_bytes=1 << 20)
    return all(
        world.blobs.exists(digests.blob_path(part.digest)) for part in datasets.DatasetManifest.from_json(data).parts
    )


def part_count(world: curating.World) -> int:
    return len(list(world.blobs.list("sha256")))


def test_a_superseded_dataset_goes_after_a_while_with_the_parts_that_only_it_named(world: curating.World) -> None:
    first = publish(world, 1, 2, 3)
    second = publish(world, 4, 5, 6)
    assert {first, second} <= stored(world)
    wait(world, KEEP_S / 2)
    assert first in stored(world)
    wait(world, 2 * KEEP_S)
    assert stored(world) == {second} and readable(world, second)
    manifest, _ = world.dataset(second)
    assert part_count(world) == len({part.digest for part in manifest.parts})


def test_the_next_dataset_is_whole_after_a_sweep(world: curating.World) -> None:
    publish(world, 1, 2, 3)
    publish(world, 4)
    wait(world, 3 * KEEP_S)
    assert readable(world, publish(world, 5, 6))


def run_on(world: curating.World, digest: str) -> None:
    spec = {"model": "digits", "datasetDigest": digest}
    world.objects.create("TrainingRun", "run-1", spec, manager="operator")


def version_of(world: curating.World, digest: str, **changes: Any) -> None:
    made = manifests.digits(dataset=digest).to_json()
    if not changes.pop("lost", False):
        blob_store.put(world.blobs, made)
    spec = {"model": "digits", "version": 1, "digest": digests.sha256(made), "source": "Trained", "targetPath": "x"}
    world.objects.create("ModelVersion", "digits-v1", spec | changes, manager="controller")


def model_on(world: curating.World, digest: str) -> None:
    world.objects.patch("EdgeModel", "digits", spec={"datasetDigest": digest}, manager="operator")


@pytest.mark.parametrize("pin", [run_on, version_of, model_on], ids=["a run", "a version", "the model"])
def test_what_is_named_stays_whole(world: curating.World, pin: Any) -> None:
    first = publish(world, 1, 2, 3)
    pin(world, first)
    publish(world, 4, 5, 6)
    wait(world, 3 * KEEP_S)
    assert first in stored(world) and readable(world, first)


def test_what_is_no_longer_named_goes_in_its_time(world: curating.World) -> None:
    first = publish(world, 1, 2, 3)
    run_on(world, first)
    publish(world, 4, 5, 6)
    wait(world, 3 * KEEP_S)
    world.objects.delete("TrainingRun", "run-1")
    wait(world, KEEP_S / 2)
    assert first in stored(world)
    wait(world, 2 * KEEP_S)
    assert first not in stored(world)


def test_what_was_imported_is_never_swept(world: curating.World) -> None:
    x = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    rows = dataset_parts.imported(x, np.array([0, 1]), curating.TASK.answers)
    part = dataset_store.write_part(world.blobs, "train", "imported", rows)
    made = datasets.DatasetManifest("digits", curating.TASK.answers, curating.INPUT, (part,))
    base = dataset_store.write_manifest(world.blobs, made)
    publish(world, 1)
    wait(world, 3 * KEEP_S)
    assert base in stored(world) and readable(world, base)


def test_while_it_cannot_be_told_what_a_version_names_nothing_goes(world: curating.World) -> None:
    first = publish(world, 1, 2, 3)
    version_of(world, first, lost=True)
    publish(world, 4, 5, 6)
    wait(world, 3 * KEEP_S)
    assert first in stored(world)


def test_an_imported_version_names_nothing_of_ours(world: curating.World) -> None:
    first = publish(world, 1, 2, 3)
    version_of(world, first, lost=True, source="Imported")
    publish(world, 4, 5, 6)
    wait(world, 3 * KEEP_S)
    assert first not in stored(world)


class Breaking(curating.MemoryBlobs):
    """Storage that refuses the nth deletion."""

    refuse = 0

    def delete(self, path: str) -> None:
        self.refuse -= 1
        if self.refuse == 0:
            raise errors.UnavailableError("storage is away")
        super().delete(path)


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_sweep_that_is_broken_off_is_ended_by_the_next_and_leaves_nothing(nth: int) -> None:
    blobs = Breaking()
    world = curating.World(blobs=blobs, settings=curating.settings(keep_datasets_seconds=KEEP_S, publish_seconds=1))
    publish(world, 1, 2, 3)
    second = publish(world, 4, 5, 6)
    blobs.refuse = nth
    wait(world, 4 * KEEP_S)
    manifest, _ = world.dataset(second)
    assert stored(world) == {second} and part_count(world) == len({part.digest for part in manifest.parts})
    assert readable(world, second)


def test_a_curator_that_starts_anew_counts_the_time_from_then(world: curating.World) -> None:
    first = publish(world, 1, 2, 3)
    publish(world, 4, 5, 6)
    wait(world, KEEP_S - 100)
    world.restart()
    world.work(10)
    wait(world, KEEP_S - 200)
    assert first in stored(world)
    wait(world, KEEP_S)
    assert first not in stored(world)
