"""Labels, truths, answers and imports that counted in former classes, after an operator said what became of each."""

from collections import Counter

import curating
import numpy as np
import pytest

from skerry.adapters import dataset_store
from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.core import contract, dataset_parts, datasets, digests, label_map
from skerry.core.tasks import Classification
from skerry.curator import examples, labels
from skerry.curator.label_task import LabelTask
from skerry.proto import fleet_pb2

OLD = ("zero", "one", "two")
SWAPPED = {"classNames": ["one", "zero", "two"], "classMap": [{"from": list(OLD)}]}
REMOVED = {"classNames": ["two", "zero"], "classMap": [{"from": list(OLD), "removed": ["one"]}]}
MERGED = {"classNames": ["zero", "more"], "classMap": [{"from": list(OLD), "to": {"one": "more", "two": "more"}}]}


def labelled(count: int = 9) -> curating.World:
    """Examples whose labels were given under the former classes, a third of each."""
    world = curating.World()
    for seed in range(count):
        world.upload(curating.example(seed))
    world.work(8)
    assert world.teacher.asked == count
    return world


def published(world: curating.World) -> dataset_parts.Rows:
    manifest, rows = world.dataset(world.state.published.digest)
    return dataset_parts.concatenate(list(rows.values()), manifest.input, manifest.task)


def apply(world: curating.World, spec: dict[str, object]) -> None:
    world.objects.patch("EdgeModel", "digits", spec=spec, manager="operator")
    world.work(8)


@pytest.mark.parametrize(
    ("spec", "becomes"),
    [pytest.param(SWAPPED, [1, 0, 2], id="another order"), pytest.param(MERGED, [0, 1, 1], id="two are merged")],
)
def test_labels_of_the_former_classes_stay_good_and_nobody_is_asked_again(
    spec: dict[str, object], becomes: list[int]
) -> None:
    world = labelled()
    apply(world, spec)
    rows = published(world)
    assert len(rows) == 9 and world.teacher.asked == 9
    assert rows.y.tolist() == np.array(becomes)[rows.x[:, 0, 0] % 3].tolist()
    assert (rows.soft.argmax(axis=1) == rows.y).all() and np.allclose(rows.soft.sum(axis=1), 1.0, atol=1e-5)
    assert set(rows.label_map.tolist()) == {world.state.task.label_map.encode()}


def test_rows_of_a_removed_class_are_left_out_and_counted_and_nobody_is_asked_again() -> None:
    world = labelled()
    apply(world, REMOVED)
    rows = published(world)
    assert Counter((rows.x[:, 0, 0] % 3).tolist()) == {0: 3, 2: 3} and world.teacher.asked == 9
    assert rows.y.tolist() == np.array([1, -1, 0])[rows.x[:, 0, 0] % 3].tolist()
    assert world.state.dropped == {examples.CLASS_REMOVED: 3}
    assert world.state.backlog.refused == {}, "it is meant so: nobody is told to mend it"


def test_a_truth_that_a_node_gave_under_the_former_classes_is_read_through_the_map() -> None:
    world = labelled(3)
    apply(world, SWAPPED)
    data = curating.example(1)
    told = fleet_pb2.Truth.FromString(curating.truth(data, 0))
    told.label_map = label_map.digest(OLD)
    world.upload(told.SerializeToString(), kind="truth", about=data)
    world.work(8)
    found = labels.from_json(
        world.blobs.read(contract.label_path("digits", digests.hex_of(digests.sha256(data))), max_bytes=1 << 20),
        world.state.task.answers,
        "label",
    )
    assert (found.source, found.label, found.label_map) == ("GroundTruth", 1, world.state.task.label_map)


def test_a_truth_that_names_no_map_is_refused_once_there_were_several() -> None:
    world = labelled(3)
    apply(world, SWAPPED)
    data = curating.example(1)
    world.upload(curating.truth(data, 0), kind="truth", about=data)
    world.work(8)
    assert world.state.captured_rows.counts.truths == 0 and world.state.dropped == {"truthOtherLabelMap": 1}


TASK = LabelTask("digits", Classification(OLD), curating.INPUT)


@pytest.mark.parametrize(
    ("spec", "logits", "is_said", "label", "bad"),
    [
        pytest.param(SWAPPED, [3.0, 1.0, 0.0], True, 1, False, id="zero is class 1 now"),
        pytest.param(SWAPPED, [3.0, 1.0, 0.0], True, 0, True, id="and not class 0"),
        pytest.param(MERGED, [0.0, 1.0, 3.0], True, 1, False, id="two is a kind of more"),
        pytest.param(REMOVED, [0.0, 3.0, 1.0], True, 0, True, id="a removed class is wrong whatever is true"),
        pytest.param(SWAPPED, [3.0, 1.0, 0.0], False, 1, None, id="an older agent says no map: it speaks for nobody"),
    ],
)
def test_an_answer_of_the_version_before_is_judged_in_the_terms_of_now(
    spec: dict[str, object], logits: list[float], is_said: bool, label: int, bad: bool | None
) -> None:
    from skerry.core import specs, truth_delay

    answers = specs.parse_edge_model("digits", curating.SPEC | spec).task
    made = fleet_pb2.Example.FromString(curating.example(1))
    del made.local_logits[:]
    made.local_logits.extend(logits)
    made.label_map = label_map.digest(OLD) if is_said else ""
    data = made.SerializeToString()
    read = examples.read(data, digests.sha256(data), LabelTask("digits", answers, curating.INPUT))
    assert isinstance(read, examples.Captured)
    assert truth_delay.is_bad(answers, read.answer, label, 0.0) is bad


def imported_part(blobs: MemoryBlobs) -> datasets.DatasetManifest:
    x = np.arange(24, dtype=np.uint8).reshape(6, 2, 2)
    part = dataset_store.write_part(
        blobs, "train", "imported", dataset_parts.imported(x, np.array([0, 1, 2, 0, 1, 2]), TASK.answers)
    )
    return datasets.DatasetManifest("digits", TASK.answers, curating.INPUT, (part,))


def test_an_import_of_the_former_classes_is_the_base_of_the_next_dataset() -> None:
    world = labelled()
    base = dataset_store.write_manifest(world.blobs, imported_part(world.blobs))
    apply(world, MERGED | {"datasetDigest": base})
    manifest = dataset_store.read_manifest(world.blobs, "digits", world.state.published.digest)
    (part,) = manifest.select("train", "imported")
    assert manifest.parents == (base,) and part.per_class == (2, 4)
    assert dataset_store.read_part(world.blobs, manifest, part).y.tolist() == [0, 1, 1, 0, 1, 1]
    assert datasets.DatasetManifest.from_json(manifest.to_json()) == manifest


def test_a_part_keeps_what_it_counts_in_along_a_chain_of_maps() -> None:
    blobs = MemoryBlobs()
    from skerry.core import specs

    first = specs.parse_edge_model("digits", curating.SPEC | SWAPPED).task
    second = {"from": ["one", "zero", "two"], "to": {"zero": "none"}, "removed": ["two"]}
    then = {"classNames": ["none", "one"], "classMap": [{"from": list(OLD)}, second]}
    last = specs.parse_edge_model("digits", curating.SPEC | then).task
    manifest = imported_part(blobs).grown(first).grown(last)
    (part,) = manifest.parts
    rows = dataset_store.read_part(blobs, manifest, part)
    assert rows.y.tolist() == [0, 1, -1, 0, 1, -1] and part.per_class == (2, 2)
    assert dataset_parts.gone(rows, last).tolist() == [False, False, True] * 2
