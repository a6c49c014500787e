"""What looking for work costs: by what came and waits, not by what is stored; and nothing that came is lost."""

from collections import Counter

import curating
import pytest
from counted_blobs import world_of

from skerry.core import contract, untold

STORED = ("examples", "labels", "truths")


def calls_of_rescans(world: curating.World, times: int) -> Counter[tuple[str, str]]:
    world.blobs.calls.clear()
    for _ in range(times):
        world.clock.now_s += world.settings.rescan_seconds
        world.work(2)
    return Counter(world.blobs.calls)


@pytest.mark.parametrize("rows", [10, 250])
def test_a_rescan_lists_and_reads_nothing_of_what_is_labelled(rows: int) -> None:
    calls = calls_of_rescans(world_of(rows), times=10)
    assert all(calls["list", folder] == calls["read", folder] == 0 for folder in STORED)
    assert sum(times for (do, _), times in calls.items() if do == "list") <= 10 * 4
    assert calls["read", "catalogue"] == 0


def test_all_is_listed_once_in_a_few_hours_and_nothing_known_is_read() -> None:
    world = world_of(100)
    world.clock.now_s += world.settings.audit_seconds
    calls = calls_of_rescans(world, times=10)
    assert all(calls["list", folder] == 1 and calls["read", folder] == 0 for folder in STORED)


def test_what_the_stream_did_not_take_is_labelled_with_the_next_rescan_and_its_blob_goes() -> None:
    world = world_of(10)
    name = world.upload(curating.example(500), entry=False)
    assert list(world.blobs.list(contract.UNTOLD_FOLDER))
    calls = calls_of_rescans(world, times=1)
    world.work(3)
    assert name in world.labels and not list(world.blobs.list(contract.UNTOLD_FOLDER))
    assert all(calls["list", folder] == 0 for folder in STORED)


def test_what_waits_for_its_teacher_is_looked_at_again_and_told_without_listing() -> None:
    world = world_of(10)
    world.teacher.away = True
    names = {world.upload(curating.example(seed)) for seed in range(500, 520)}
    world.work(3)
    calls = calls_of_rescans(world, times=3)
    assert world.state.backlog.waiting == 20 and all(calls["list", folder] == 0 for folder in STORED)
    world.teacher.away = False
    world.work(40)
    assert names <= set(world.labels)


@pytest.mark.parametrize("finds", ["a start", "an audit"])
def test_what_a_gateway_of_the_release_before_told_nobody_of_is_found(finds: str) -> None:
    world = world_of(10)
    data = curating.example(500)
    name = curating.digests.hex_of(curating.digests.sha256(data))
    world.blobs.write(contract.example_path("digits", name), data)
    calls_of_rescans(world, times=2)
    assert name not in world.labels
    if finds == "a start":
        world.restart()
    else:
        world.clock.now_s += world.settings.audit_seconds
    world.work(8)
    assert name in world.labels


@pytest.mark.parametrize("damage", [b"[", b'[["no entry"]]', b"[" * (untold.MAX_BYTES + 1)])
def test_what_a_damaged_blob_told_of_is_found_by_a_look_at_everything(damage: bytes) -> None:
    world = world_of(10)
    data = curating.example(500)
    name = curating.digests.hex_of(curating.digests.sha256(data))
    world.blobs.write(contract.example_path("digits", name), data)
    path = f"{contract.UNTOLD_FOLDER}/{'0' * 64}"
    world.blobs.write(path, damage)
    world.clock.now_s += world.settings.rescan_seconds
    world.work(12)
    assert name in world.labels and not world.blobs.exists(path)


def test_more_than_one_blob_holds_are_told_by_several() -> None:
    entries = [contract.stream_entry("digits", f"sha256:{number:064x}", contract.EXAMPLE) for number in range(2500)]
    blobs = dict(untold.pack(entries))
    assert [entry for path, data in blobs.items() for entry in untold.unpack(data, path)] == entries
    assert len(blobs) == 3 and max(map(len, blobs.values())) < untold.MAX_BYTES
    assert dict(untold.pack(entries)) == blobs


def test_a_node_that_is_let_in_again_is_learned_from_again() -> None:
    world = world_of(10)
    world.objects.create("Exclusion", "south", {"node": "south"}, manager="operator")
    world.work(3)
    world.upload(curating.example(500, node="south"))
    world.work(4)
    assert world.state.captured_rows.counts.labeled == 10
    world.restart()
    world.work(4)
    world.objects.delete("Exclusion", "south")
    world.work(8)
    assert world.state.captured_rows.counts.labeled == 11
