"""What a published dataset holds: each input once, the holdout for ever, the base under it, the same content the same
digest."""

from dataclasses import replace
from typing import Any

import curating
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.adapters import dataset_store
from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.core import contract, dataset_parts, datasets, digests, errors
from skerry.core.contributions import Fleet
from skerry.core.tasks import Classification
from skerry.curator import examples
from skerry.curator.captured_rows import CapturedRows, Row
from skerry.curator.datasets import Publisher, span
from skerry.curator.labels import Label, with_teacher
from skerry.curator.schedule import due
from skerry.proto import fleet_pb2

DAY_MS = 86_400_000
FLEET = Fleet(1)


def captured(seed: int, pixels: int | None = None) -> examples.Captured:
    data = curating.example(seed, request_id=f"q{seed}")
    read = examples.read(data, digests.sha256(data), curating.TASK)
    assert isinstance(read, examples.Captured)
    if pixels is None:
        return read
    row = np.full((2, 2), pixels, dtype=np.uint8)
    return examples.Captured(read.id, row, datasets.input_digest(row), False, "n", curating.VERSION, None, 0)


def label(at_unix_ms: int, source: Any = "Teacher", value: int = 0) -> Label:
    return Label(value, (), source, "t", at_unix_ms)


def rows_of(*labelled: tuple[examples.Captured, Label], max_bytes: int = 1 << 20) -> CapturedRows:
    captured_rows = CapturedRows(max_bytes)
    for one, its in labelled:
        captured_rows.add(one, its)
    return captured_rows


def imported(blobs: MemoryBlobs, x: Any, y: Any, input_: datasets.Input = curating.INPUT) -> str:
    rows = dataset_parts.imported(np.asarray(x, dtype=input_.dtype), np.asarray(y), curating.TASK.answers)
    part = dataset_store.write_part(blobs, "train", "imported", rows)
    manifest = datasets.DatasetManifest("digits", curating.TASK.answers, input_, (part,))
    return dataset_store.write_manifest(blobs, manifest)


def test_a_row_carries_its_label_its_soft_label_and_its_example() -> None:
    world = curating.World()
    names = [world.upload(curating.example(seed)) for seed in range(12)]
    world.work(10)
    manifest, rows = world.dataset(world.state.published.digest)
    both = dataset_parts.concatenate(list(rows.values()), manifest.input, manifest.task)
    assert {one.decode() for one in both.id} == {f"sha256:{name}" for name in names}
    assert (both.y == both.x[:, 0, 0] % 3).all()
    assert both.has_soft.all() and (both.soft.argmax(axis=1) == both.y).all()
    assert (both.weight == 1.0).all()


def test_a_captured_row_is_holdout_by_its_input_alone() -> None:
    world = curating.World()
    for seed in range(40):
        world.upload(curating.example(seed))
    world.work(20)
    _, rows = world.dataset(world.state.published.digest)
    for role, its in rows.items():
        assert len(its) > 0
        assert all(datasets.is_holdout(datasets.input_digest(x)) == (role == "holdout") for x in its.x)


def test_equal_inputs_are_one_row_and_ground_truth_is_the_one_kept() -> None:
    captured_rows = rows_of(
        (captured(1, pixels=9), label(1000)),
        (captured(2, pixels=9), label(2000, "GroundTruth", 1)),
        (captured(3, pixels=9), label(500)),
    )
    (row,) = captured_rows.rows
    assert (row.label.source, row.label.label) == ("GroundTruth", 1)
    assert captured_rows.left_out == {"duplicate": 2}
    assert captured_rows.counts.labeled == 3


@given(st.permutations(range(8)), st.integers(0, 7))
def test_the_same_labels_in_any_order_are_the_same_dataset(order: list[int], truth: int) -> None:
    labelled = [
        (captured(seed, pixels=seed // 2), label(1000 * seed, "GroundTruth" if seed == truth else "Teacher"))
        for seed in range(8)
    ]
    expected = published(rows_of(*labelled))
    assert published(rows_of(*(labelled[index] for index in order))) == expected


def published(captured_rows: CapturedRows) -> Any:
    return Publisher(MemoryBlobs(), curating.TASK).publish(captured_rows.rows, captured_rows.left_out, None, FLEET)


def test_beyond_the_bound_the_oldest_are_left_out_and_counted() -> None:
    labelled = [(captured(seed), label(1000 + seed)) for seed in range(10)]
    room = 4 * 710
    for order in (labelled, labelled[::-1]):
        captured_rows = rows_of(*order, max_bytes=room)
        assert sorted(row.label.at_unix_ms for row in captured_rows.rows) == [1006, 1007, 1008, 1009]
        assert captured_rows.left_out == {"overBudget": 6}


def test_the_base_lies_under_the_captured_rows_untouched() -> None:
    world = curating.World()
    base = imported(world.blobs, np.arange(12).reshape(3, 2, 2), [0, 1, 2])
    world.objects.patch("EdgeModel", "digits", spec={"datasetDigest": base}, manager="operator")
    world.work(7)
    assert world.state.published.digest == base
    world.upload(curating.example(200))
    world.work(7)
    manifest, _ = world.dataset(world.state.published.digest)
    before, _ = world.dataset(base)
    assert manifest.parents == (base,)
    assert manifest.parts[0] == before.parts[0]
    assert [part.origin for part in manifest.parts] == ["imported", "captured"]


def test_a_captured_input_that_the_base_has_already_is_left_out_and_counted() -> None:
    """Else a row of the base's holdout could come back as one to train on."""
    world = curating.World()
    base = imported(world.blobs, [[[1, 0], [1, 7]]], [0])  # the pixels of example 1
    world.objects.patch("EdgeModel", "digits", spec={"datasetDigest": base}, manager="operator")
    world.upload(curating.example(1))
    world.upload(curating.example(2))
    world.work(8)
    manifest, _ = world.dataset(world.state.published.digest)
    assert world.state.published.captured == 1
    assert manifest.dropped == {"alreadyImported": 1}


def test_what_was_dropped_is_told_by_reason_in_the_manifest() -> None:
    world = curating.World()
    world.upload(b"\xff\xff\xff")
    world.upload(curating.example(1))
    world.work(8)
    manifest, _ = world.dataset(world.state.published.digest)
    assert manifest.dropped == {"malformed": 1}


def test_a_number_that_is_not_finite_never_gets_into_a_dataset() -> None:
    task = curating.LabelTask("digits", Classification(("a", "b")), datasets.Input("x", "FP32", (2,)))
    raw = np.array([1.0, np.inf], dtype="<f4").tobytes()
    tensor = fleet_pb2.CapturedTensor(name="x", datatype="FP32", shape=[2], raw=raw)
    data = fleet_pb2.Example(model="digits", inputs=[tensor]).SerializeToString()
    read = examples.read(data, digests.sha256(data), task)
    assert isinstance(read, examples.Refused) and read.reason == "notFinite"


BAD_BASES = {
    "a dataset that is not there": lambda blobs: "sha256:" + "0" * 64,
    "a dataset of other rows": lambda blobs: imported(
        blobs, np.zeros((1, 3)), [0], datasets.Input("image", "UINT8", (3,))
    ),
}


@pytest.mark.parametrize("make", BAD_BASES.values(), ids=BAD_BASES.keys())
def test_a_base_that_cannot_be_used_publishes_nothing_and_loses_nothing(make: Any) -> None:
    world = curating.World()
    world.objects.patch("EdgeModel", "digits", spec={"datasetDigest": make(world.blobs)}, manager="operator")
    world.upload(curating.example(1))
    world.work(8)
    assert world.state.published is None
    assert len(world.labels) == 1
    base = imported(world.blobs, np.zeros((1, 2, 2)), [0])
    world.objects.patch("EdgeModel", "digits", spec={"datasetDigest": base}, manager="operator")
    world.work(8)
    assert world.state.published.captured == 1


def test_a_damaged_base_is_told() -> None:
    blobs = MemoryBlobs()
    base = imported(blobs, np.zeros((1, 2, 2)), [0])
    blobs.write(contract.dataset_path("digits", base), b"{}")
    with pytest.raises(errors.IntegrityError, match="damaged"):
        Publisher(blobs, curating.TASK).publish([], {}, base, FLEET)


class CountingBlobs(MemoryBlobs):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []

    def write(self, path: str, data: bytes) -> None:
        self.written.append(path)
        super().write(path, data)


def test_a_new_dataset_packs_only_its_newest_rows_again() -> None:
    blobs = CountingBlobs()
    publisher = Publisher(blobs, curating.TASK)
    old = [row(seed, at_unix_ms=10 * DAY_MS + seed * 3_600_000) for seed in range(24)]
    first = publisher.publish([*old, row(100, at_unix_ms=11 * DAY_MS)], {}, None, FLEET)
    blobs.written.clear()
    second = publisher.publish(
        [*old, row(100, at_unix_ms=11 * DAY_MS), row(101, at_unix_ms=11 * DAY_MS + 1)], {}, None, FLEET
    )
    assert first is not None and second is not None
    assert first.digest != second.digest
    assert len([path for path in blobs.written if path.startswith("sha256/")]) == 1


def test_a_part_is_packed_again_when_anything_of_its_rows_changes() -> None:
    """Before: a teacher's opinion that came below a truth, and another label map, stayed out of the dataset."""
    truth, soft = label(10 * DAY_MS, "GroundTruth"), (0.9, 0.05, 0.05)
    of_teacher = Label(0, soft, "Teacher", "t", 10 * DAY_MS + 5)
    blobs, plain = MemoryBlobs(), row(1, at_unix_ms=0)
    publisher = Publisher(blobs, curating.TASK)
    for its in (
        truth,
        with_teacher(truth, of_teacher),
        with_teacher(truth, replace(of_teacher, soft=soft[::-1], label=0)),
        replace(truth, label_map=curating.TASK.label_map[:-1] + "0"),
    ):
        changed = [replace(plain, label=its)]
        fresh = Publisher(MemoryBlobs(), curating.TASK).publish(changed, {}, None, FLEET)
        again = publisher.publish(changed, {}, None, FLEET)
        assert fresh is not None and again is not None and again.digest == fresh.digest


@pytest.mark.parametrize("later_ms", [-5, 0, 5])
def test_an_example_was_first_labelled_when_its_first_label_came(later_ms: int) -> None:
    truth, said = label(1000, "GroundTruth"), label(1000 + later_ms)
    assert with_teacher(truth, said).first_unix_ms == 1000 + min(0, later_ms)


def row(seed: int, at_unix_ms: int) -> Row:
    one = captured(seed)
    return Row(
        one.name, one.node, one.row.tobytes(), "1" * 8 + one.input_digest[8:], label(at_unix_ms)
    )  # all of one role


@given(st.integers(0, 10**13), st.integers(0, 10**12))
def test_a_span_holds_its_time_and_is_over_unless_it_is_the_narrowest(at: int, later: int) -> None:
    newest = at + later
    start, width = span(at, newest)
    assert start <= at < start + width
    assert width == 30_000 or start + width <= newest - newest % width + width
    assert width == 30_000 or at // width < newest // width


def test_spans_are_few_however_long_it_runs() -> None:
    newest = 400 * DAY_MS + 12_345_678
    spans = {span(at, newest) for at in range(0, newest, 15_000)}
    assert len(spans) < 150


@pytest.mark.parametrize(
    ("waiting", "since_s", "expected"),
    [
        pytest.param(0, 1000.0, False, id="nothing changed: never"),
        pytest.param(1, 4.0, False, id="a little changed: not yet"),
        pytest.param(1, 5.0, True, id="a little changed five seconds ago: now"),
        pytest.param(100, 1.0, True, id="much changed: at once"),
        pytest.param(1000, 0.5, False, id="very much changed: but not twice in a second"),
    ],
)
def test_when_a_dataset_is_published(waiting: int, since_s: float, expected: bool) -> None:
    assert due(waiting, since_s, curating.settings()) is expected


def test_a_curator_that_starts_anew_publishes_the_same_dataset() -> None:
    world = curating.World()
    for seed in range(20):
        world.upload(curating.example(seed, kind=fleet_pb2.EXPLORATION if seed % 2 else fleet_pb2.HARD))
    world.work(12)
    before, counts = world.state.published, world.state.captured_rows.counts
    world.restart()
    world.work(3)
    assert world.state.published == before
    assert world.state.captured_rows.counts == counts
    assert world.teacher.asked == 20
