"""Whose row it is and what its class index means: both travel with examples, truths, labels and datasets."""

import curating
import pytest

from skerry.core import dataset_parts, digests, label_map
from skerry.curator import examples
from skerry.proto import fleet_pb2


def test_rows_name_their_node_and_the_label_map_and_the_manifest_counts_them() -> None:
    world = curating.World()
    for seed in range(24):
        world.upload(curating.example(seed, node="south" if seed % 3 else "north"))
    world.work(12)
    manifest, rows = world.dataset(world.state.published.digest)
    both = dataset_parts.concatenate(list(rows.values()), manifest.input, manifest.task)
    assert set(both.label_map.tolist()) == {curating.TASK.label_map.encode()}
    for node, counted in manifest.nodes.items():
        assert counted.train == (rows["train"].node == node.encode()).sum()
        assert counted.holdout == (rows["holdout"].node == node.encode()).sum()
    assert sum(one.train + one.holdout for one in manifest.nodes.values()) == len(both) == 24


def test_labels_stay_when_a_class_is_appended() -> None:
    world = curating.World()
    for seed in range(6):
        world.upload(curating.example(seed))
    world.work(6)
    world.objects.patch("EdgeModel", "digits", spec={"classNames": ["zero", "one", "two", "new"]}, manager="operator")
    world.work(6)
    manifest, rows = world.dataset(world.state.published.digest)
    assert manifest.class_names == ("zero", "one", "two", "new") and world.teacher.asked == 6
    both = dataset_parts.concatenate(list(rows.values()), manifest.input, manifest.task)
    assert both.soft.shape == (6, 4) and (both.y == both.x[:, 0, 0] % 3).all()
    assert set(both.label_map.tolist()) == {curating.TASK.label_map.encode()}


def test_a_truth_that_counts_in_another_label_map_is_refused_and_counted() -> None:
    world = curating.World()
    data = curating.example(1)
    world.upload(data)
    shuffled = label_map.digest(("one", "zero", "two"))
    told = fleet_pb2.Truth.FromString(curating.truth(data, 0))
    told.label_map = shuffled
    world.upload(told.SerializeToString(), kind="truth", about=data)
    world.work(8)
    assert world.state.captured_rows.counts.truths == 0
    assert world.state.dropped == {"truthOtherLabelMap": 1}


@pytest.mark.parametrize(
    ("logits", "names", "expected"),
    [
        pytest.param([0.0, 3.0, 1.0], ("zero", "one", "two"), 1, id="the model's own map"),
        pytest.param([0.0, 3.0], ("zero", "one"), 1, id="a map that has grown since"),
        pytest.param([0.0, 3.0], None, 1, id="an older agent does not say: as many classes as logits"),
        pytest.param([0.0, 3.0, 1.0], ("one", "zero", "two"), None, id="another map says nothing about this one"),
        pytest.param([0.0, 3.0], ("zero", "one", "two"), None, id="fewer logits than the map has classes"),
    ],
)
def test_what_the_edge_answered_counts_in_its_label_map(
    logits: list[float], names: tuple[str, ...] | None, expected: int | None
) -> None:
    made = fleet_pb2.Example.FromString(curating.example(1))
    del made.local_logits[:]
    made.local_logits.extend(logits)
    made.label_map = label_map.digest(names) if names else ""
    data = made.SerializeToString()
    read = examples.read(data, digests.sha256(data), curating.TASK)
    assert isinstance(read, examples.Captured)
    assert (None if read.answer is None else read.answer.index(3.0)) == expected
