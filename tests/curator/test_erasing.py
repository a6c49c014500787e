"""An erasure removes what it means from storage, whatever crashes, and says what had learned from it."""

from typing import Any

import pytest
from erasing_places import erase, holds, marked, progress, world_with

from skerry.core import contract, digests


@pytest.mark.parametrize(
    "spec",
    [
        {"node": "cam-7"},
        {"example": digests.sha256(marked(node="cam-7", request_id="visit#0", subject="ab" * 32, answered_unix_ms=5))},
        {"beforeUnixMs": 6},
        {"request": "visit"},
        {"subject": "ab" * 32},
        {"node": "cam-7", "model": "digits"},
    ],
    ids=lambda spec: " ".join(spec),
)
def test_what_an_erasure_means_is_gone_from_examples_labels_and_parts_and_the_rest_stays(spec: dict[str, Any]) -> None:
    data = marked(node="cam-7", request_id="visit#0", subject="ab" * 32, answered_unix_ms=5)
    world = world_with(data)
    name = digests.hex_of(digests.sha256(data))
    before = {one.split()[0] for one in holds(world)}
    assert f"examples/digits/{name}" in before and any(one.startswith("datasets/") for one in before)
    assert name in world.labels
    world.clock.now_s = 2000.0
    erase(world, **spec)
    world.work(40)
    assert holds(world) == []
    assert name not in world.labels and len(world.labels) == 29
    done = progress(world)
    assert (done.is_done, done.examples) == (True, 1)
    assert done.parts >= 1 and set(done.datasets.values()) == {1} and not done.faults
    manifest, _ = world.dataset(world.state.published.digest)
    assert manifest.captured == 29
    for (_, dataset), _rows in done.datasets.items():  # its manifest can still be read, and tombstones explain it
        old = world.dataset_manifest(dataset)
        assert any(world.blobs.exists(contract.tombstone_path(part.digest)) for part in old.parts)


def test_an_erasure_of_another_model_or_of_nothing_that_is_there_removes_nothing() -> None:
    world = world_with()
    erase(world, node="nobody")
    erase(world, "e2", node="north", model="letters")
    world.work(20)
    assert len(world.labels) == 29
    assert (progress(world).is_done, progress(world).examples) == (True, 0)
    assert progress(world, "e2").examples == 0


def test_two_erasures_of_one_row_each_say_what_learned_from_it() -> None:
    world = world_with(marked(node="cam-7", request_id="visit"))
    erase(world, node="cam-7")
    erase(world, "e2", request="visit")
    world.work(40)
    assert holds(world) == []
    assert progress(world).datasets == progress(world, "e2").datasets != {}


def test_what_comes_in_although_it_was_erased_is_neither_learned_nor_kept() -> None:
    world = world_with()
    erase(world, node="cam-7")
    world.work(20)
    assert progress(world).is_done
    world.upload(marked(node="cam-7"))  # by a gateway that has not heard of it
    world.work(20)
    assert holds(world) == [] and len(world.labels) == 29


def test_another_erasure_of_the_same_name_is_carried_out_anew() -> None:
    world = world_with()
    erase(world, node="cam-7")
    world.work(20)
    world.objects.delete("Erasure", "e1")
    world.work(3)
    world.upload(marked(node="cam-7"))
    world.work(3)
    erase(world, node="cam-7")
    world.work(20)
    assert holds(world) == [] and progress(world).examples == 1
