"""A part of captured rows is bounded, and a row that comes later changes its own part alone."""

import hashlib

import curating
import pytest

from skerry.core import dataset_parts
from skerry.curator.captured_rows import Row
from skerry.curator.datasets import split
from skerry.curator.labels import Label


def rows(count: int, first: int = 0) -> list[Row]:
    names = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(first, first + count)]
    return [Row(name, "n", b"", name, Label(0, (), "Teacher", "t", 0)) for name in names]


def test_every_row_is_in_one_lot_and_a_lot_is_bounded() -> None:
    some = rows(500)
    lots = dict(split(some, 60))
    assert len(lots) > 8 and all(0 < len(lot) <= 60 for lot in lots.values())
    assert sorted(row.hex for lot in lots.values() for row in lot) == sorted(row.hex for row in some)
    assert dict(split(some[:60], 60)) == {"": some[:60]}


def test_a_further_row_changes_its_own_lot_alone() -> None:
    before, after = dict(split(rows(500), 60)), dict(split(rows(501), 60))
    same = [bits for bits, lot in before.items() if after.get(bits) == lot]
    assert len(same) == len(before) - 1


def test_rows_of_one_id_are_one_lot_however_many_they_are() -> None:
    assert [len(lot) for _, lot in split(rows(1) * 5, 2)] == [5]


def test_what_is_published_lies_in_bounded_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    row = dataset_parts.row_bytes(curating.TASK.input, curating.TASK.answers)
    monkeypatch.setattr(dataset_parts, "SEALED_BYTES", 10 * row)
    world = curating.World()
    for seed in range(40):
        world.upload(curating.example(seed))
    world.work(20)
    manifest, _ = world.dataset(world.state.published.digest)
    assert sum(part.samples for part in manifest.parts) == world.state.published.captured == 40
    assert all(part.samples <= 10 for part in manifest.parts)
