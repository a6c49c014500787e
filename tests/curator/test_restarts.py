"""What a curator that starts reads: the catalogue of what is labelled, and no example again."""

from collections import Counter
from dataclasses import replace

import curating
import pytest
from counted_blobs import world_of

from skerry.core import contract
from skerry.curator import captured_rows, publication
from skerry.curator import catalogue as catalogue_module
from skerry.curator.catalogue import Catalogue


def calls_of_a_restart(world: curating.World) -> Counter[tuple[str, str]]:
    world.blobs.calls.clear()
    world.restart()
    world.work(3)
    return Counter(world.blobs.calls)


def test_a_restart_reads_no_example_and_no_label_again_and_publishes_the_same() -> None:
    world = world_of(120)
    before, counts = world.state.published, world.state.captured_rows.counts
    calls = calls_of_a_restart(world)
    assert world.state.published == before and world.state.captured_rows.counts == counts
    assert (calls["read", "examples"], calls["read", "labels"], calls["read", "sha256"]) == (0, 0, 0)
    assert calls["read", "catalogue"] <= 8, "a few large blobs, however many examples there are"
    assert calls["write", "sha256"] == 0, "no part is packed again"


def test_a_restart_costs_as_many_reads_for_many_examples_as_for_few() -> None:
    few, many = (
        sum(n for (do, _), n in calls_of_a_restart(world_of(rows)).items() if do == "read") for rows in (8, 250)
    )
    assert many <= few + 4


def test_only_the_marks_of_new_rows_are_made_and_only_their_parts_are_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of(250)
    world.clock.now_s += 3600.0
    world.upload(curating.example(999))
    world.work(8)  # the hour is over: its parts are put together
    marked: list[str] = []
    mark_of = captured_rows.mark_of
    monkeypatch.setattr(captured_rows, "mark_of", lambda name, *more: marked.append(name) or mark_of(name, *more))
    world.blobs.calls.clear()
    new = {world.upload(curating.example(seed)) for seed in range(300, 310)}
    world.work(8)
    _, rows = world.dataset(world.state.published.digest)
    assert sum(map(len, rows.values())) == 261
    assert set(marked) == new and len(marked) == 10
    assert world.blobs.calls["read", "examples"] == 10 and world.blobs.calls["write", "sha256"] <= 4


def test_rows_that_are_not_in_memory_come_from_the_parts_that_hold_them() -> None:
    world = world_of(120)
    before = world.rows(world.dataset_manifest(world.state.published.digest), "train")
    world.restart()
    world.clock.now_s += 3600.0
    world.upload(curating.example(999))
    world.blobs.calls.clear()
    world.work(8)
    manifest = world.dataset_manifest(world.state.published.digest)
    after = world.rows(manifest, "train")
    assert set(before.id) < set(after.id) and len(after) + manifest.samples("holdout") == 121
    assert world.blobs.calls["read", "examples"] == 1, "the new one"


@pytest.mark.parametrize("harm", ["lost", "damaged", "of another release"])
def test_without_a_catalogue_all_is_read_again(harm: str) -> None:
    """So does a fleet that comes from a release that had none, or from a backup."""
    world = world_of(30)
    before, counts = world.state.published, world.state.captured_rows.counts
    for path in list(world.blobs.list(contract.CATALOGUE_FOLDER)):
        world.blobs.delete(path)
        if harm != "lost":
            world.blobs.write(path, b"x" if harm == "damaged" else b'{"format":99}')
    calls = calls_of_a_restart(world)
    assert world.state.published == before and world.state.captured_rows.counts == counts
    assert calls["read", "examples"] >= 30 and world.teacher.asked == 30


def test_an_example_that_is_gone_from_storage_leaves_the_dataset() -> None:
    world = world_of(60)
    names = world.labels
    world.restart()
    world.blobs.delete(contract.example_path("digits", names[0]))
    for path in list(world.blobs.list("sha256")):
        world.blobs.delete(path)
    world.upload(curating.example(999))
    world.work(12)
    _, rows = world.dataset(world.state.published.digest)
    ids = {name for its in rows.values() for name in its.id.tolist()}
    assert len(ids) == 60 and f"sha256:{names[0]}".encode() not in ids


def test_what_is_erased_is_in_no_segment_of_the_catalogue() -> None:
    world = world_of(20)
    mine = curating.example(500, node="south")
    name = world.upload(mine)
    world.work(8)
    catalogue = Catalogue(world.blobs, world.clock.unix_ms)

    def catalogued() -> set[str]:
        return {one.hex for path in catalogue.segments("digits") for one in catalogue.read(path)}

    assert name in catalogued() and len(catalogued()) == 21
    world.objects.create("Erasure", "e1", {"node": "south"}, manager="operator")
    world.work(20)
    assert name not in catalogued() and len(catalogued()) == 20
    world.restart()
    world.work(3)
    assert world.state.captured_rows.counts.labeled == 20


def test_many_segments_become_few_and_say_the_same() -> None:
    world = world_of(1)
    catalogue = Catalogue(world.blobs, world.clock.unix_ms)
    (path,) = catalogue.segments("digits")
    (one,) = catalogue.read(path)
    for at in range(300):
        catalogue.append("digits", [replace(one, label={**one.label, "atUnixMs": at})])
        catalogue.merge("digits")
    segments = catalogue.segments("digits")
    last = [entry for path in segments for entry in catalogue.read(path)][-1]
    assert len(segments) <= 2 * 16 and last.label["atUnixMs"] == 299


def test_a_segment_is_never_larger_than_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels of a thousand classes are large."""
    world = world_of(1)
    catalogue = Catalogue(world.blobs, world.clock.unix_ms)
    (one,) = catalogue.read(catalogue.segments("digits")[0])
    monkeypatch.setattr(catalogue_module, "_MAX_TEXT_BYTES", 100_000)
    large = [replace(one, hex=f"{at:064x}", label={**one.label, "soft": [0.123456] * 1000}) for at in range(30)]
    for entry in large:
        catalogue.append("digits", [entry])
        catalogue.merge("digits")
    segments = catalogue.segments("digits")
    sizes = [len(catalogue_module._inflate(world.blobs.read(path, max_bytes=1 << 30))) for path in segments]
    assert max(sizes) < 101_000 and len(sizes) < 30
    told = {entry.hex for path in segments for entry in catalogue.read(path)}
    assert told >= {entry.hex for entry in large}


def test_an_erasure_leaves_no_segment_that_nobody_can_read() -> None:
    world = world_of(1)
    catalogue = Catalogue(world.blobs, world.clock.unix_ms)
    (path,) = catalogue.segments("digits")
    world.blobs.write(path, b"damaged")
    assert catalogue.forget(path, lambda one: False) == 0
    assert not world.blobs.exists(path)
    assert catalogue.forget(path, lambda one: False) == 0, "nor is it an error when it is gone"


def test_parts_of_a_former_task_are_not_gone_on_with() -> None:
    world = world_of(20)
    assert publication.read(world.blobs, curating.TASK).packed
    world.objects.patch("EdgeModel", "digits", spec={"classNames": ["zero", "one", "two", "three"]}, manager="operator")
    world.restart()
    assert publication.read(world.blobs, world.state.task).packed == {}
    world.work(8)
    assert world.dataset_manifest(world.state.published.digest).class_names[-1] == "three"
