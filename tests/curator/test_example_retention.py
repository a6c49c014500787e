"""A model keeps its examples so long and so many bytes of them; what goes is gone from datasets too."""

import curating
import pytest

from skerry.core import contract, digests


def kept(world: curating.World) -> int:
    return len(list(world.blobs.list("examples/digits")))


def parts(world: curating.World) -> int:
    manifests = (world.dataset_manifest(f"sha256:{path[-64:]}") for path in world.blobs.list("datasets"))
    every = {part.digest for one in manifests for part in one.parts}
    return sum(world.blobs.exists(digests.blob_path(one)) for one in every)


@pytest.mark.parametrize("bound", ["bytes", "days"])
def test_beyond_the_bound_examples_labels_and_rows_of_datasets_go(bound: str) -> None:
    world = curating.World(settings=curating.settings(publish_seconds=1, publish_examples=1))
    for seed in range(20):
        world.upload(curating.example(seed))
    world.work(30)
    first = world.state.published.digest
    assert kept(world) == len(world.labels) == 20
    size = world.blobs.stat(next(iter(world.blobs.list("examples/digits")))).size_bytes
    if bound == "bytes":
        spec = {"bytes": 12 * size + 40}
    else:
        spec = {"days": 1}
        world.clock.now_s += 4e9  # storage in memory tells the machine's time
    world.objects.patch("EdgeModel", "digits", spec={"keepExamples": spec}, manager="operator")
    world.clock.now_s += 400
    world.work(30)
    left = {"bytes": 12, "days": 0}[bound]
    assert kept(world) == len(world.labels) == left
    if left:
        manifest, rows = world.dataset(world.state.published.digest)
        assert manifest.captured == left and sum(map(len, rows.values())) == left
    old = world.dataset_manifest(first) if world.blobs.exists(contract.dataset_path("digits", first)) else None
    assert old is None or any(world.blobs.exists(contract.tombstone_path(part.digest)) for part in old.parts)
    assert list(world.blobs.list("erasures")) == []
