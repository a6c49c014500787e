"""An import makes parts that several workers share: each reads its own share of the bytes, and parts are alike."""

import numpy as np
import pytest
from training_world import INPUT, MODEL, NAMES, TASK, World, windows

from skerry.adapters import acts
from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.cli.importing import dataset as importing
from skerry.core import audit, dataset_parts, digests, sharding


def imported(count: int, monkeypatch: pytest.MonkeyPatch) -> tuple[World, importing.Imported]:
    monkeypatch.setattr(importing, "_LEAST_PART_BYTES", 10_000)
    world = World()
    x, y = windows([count, count, count])
    order = np.argsort(y, kind="stable")  # as a folder of each class has it
    rows = dataset_parts.imported(x[order], y[order], TASK)
    held = np.arange(len(y)) % 5 == 0
    prepared = importing.Prepared(rows, ~held, held, {})
    target = importing.Target(MODEL, TASK, INPUT, 1)
    return world, importing.store(
        prepared, target, blob_store=world.blobs, acts=acts.Acts(world.objects, audit.Actor("jo")), now_unix_ms=1
    )


def size_of(blobs: MemoryBlobs, digest: str) -> int:
    return len(blobs.read(digests.blob_path(digest), max_bytes=1 << 30))


@pytest.mark.parametrize("workers", [2, 4, 8, 16])
def test_each_worker_reads_its_share_of_the_training_bytes(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    world, made = imported(700, monkeypatch)
    parts = made.manifest.select("train")
    sizes = [size_of(world.blobs, part.digest) for part in parts]
    plan = sharding.plan([part.samples for part in parts], workers)
    read = [sum(sizes[piece.part] for piece in mine) for mine in plan]
    assert len(parts) == 64 and max(read) <= 1.1 / workers * sum(sizes)
    assert sum(read) == sum(sizes), "no part is read twice"


def test_parts_are_equal_and_each_has_every_class(monkeypatch: pytest.MonkeyPatch) -> None:
    _, made = imported(700, monkeypatch)
    parts = made.manifest.select("train")
    assert max(part.samples for part in parts) - min(part.samples for part in parts) <= 1
    assert all(min(part.per_class) > 0 for part in parts) and len(NAMES) == len(parts[0].per_class)


def test_a_small_set_stays_one_part_in_its_own_order() -> None:
    world = World()
    x, y = windows([20, 20, 20])
    rows, all_ = dataset_parts.imported(x, y, TASK), np.ones(60, bool)
    prepared = importing.Prepared(rows, all_, all_, {})
    target = importing.Target(MODEL, TASK, INPUT, 1)
    made = importing.store(
        prepared, target, blob_store=world.blobs, acts=acts.Acts(world.objects, audit.Actor("jo")), now_unix_ms=1
    )
    (part,) = made.manifest.select("train")
    assert part.digest == digests.sha256(dataset_parts.pack(rows))
