"""What of a node's rows and truths gets into a dataset, in a fleet of ten and in a small one; and a node forgotten."""

from collections.abc import Callable
from typing import Any

import curating
import numpy as np
import pytest
from numpy.typing import NDArray

from skerry.adapters import dataset_store
from skerry.core import contributions, dataset_parts, datasets
from skerry.curator.label_task import LabelTask
from skerry.curator.teacher import Answer
from skerry.proto import fleet_pb2

HOSTILE = "node-9"


def fleet_of(nodes: int) -> curating.World:
    world = curating.World(settings=curating.settings(batch_rows=64, max_captured_bytes=8 << 20))
    for index in range(nodes):
        world.objects.create("EdgeNode", f"node-{index}", {}, manager="gateway")
        world.objects.patch("EdgeNode", f"node-{index}", status={"lastSeenUnixMs": 1}, manager="gateway")
    return world


def send(world: curating.World, node: str, seeds: range, truth: int | None = None) -> None:
    """Examples of a node, each with the same truth, or with none."""
    for seed in seeds:
        data = curating.example(seed, node=node, kind=fleet_pb2.EXPLORATION)
        if truth is not None:
            told = fleet_pb2.Truth.FromString(curating.truth(data, truth))
            told.node = node
            world.upload(told.SerializeToString(), kind="truth", about=data, entry=False)
        world.upload(data)


def published(world: curating.World) -> tuple[datasets.DatasetManifest, dataset_parts.Rows]:
    manifest, rows = world.dataset(world.state.published.digest)
    return manifest, dataset_parts.concatenate(list(rows.values()), manifest.input, manifest.task)


@pytest.fixture(scope="module")
def attacked() -> curating.World:
    """Nine nodes without truths, and one that sends many rows with the truth 0."""
    world = fleet_of(10)
    for index in range(9):
        send(world, f"node-{index}", range(index * 12, index * 12 + 12))
    send(world, HOSTILE, range(1000, 1300), truth=0)
    world.work(30)
    return world


def test_a_truth_that_came_first_is_a_label_at_once_and_the_teacher_is_asked_for_its_opinion() -> None:
    world = fleet_of(1)
    world.teacher.away = True
    send(world, "node-0", range(1, 2), truth=0)
    world.work(2)
    assert world.state.captured_rows.counts.truths == 1
    world.teacher.away = False
    world.work(12)
    (row,) = world.state.captured_rows.rows
    assert (row.label.source, row.label.label) == ("GroundTruth", 0)
    assert row.label.of_teacher is not None and row.label.of_teacher.label == 1


def test_truths_that_one_node_alone_has_against_the_teacher_are_set_aside_and_told(attacked: curating.World) -> None:
    manifest, rows = published(attacked)
    assert (rows.y == rows.x[:, 0, 0] % 3).all()
    told = manifest.nodes[HOSTILE]
    assert (told.truths, told.contradicting, told.set_aside) == (300, 200, 200)
    assert "200 of its 300 truths contradict the teacher" in told.outlier
    assert all(not manifest.nodes[f"node-{index}"].outlier for index in range(9))


def test_a_node_that_floods_gives_its_share_and_no_more(attacked: curating.World) -> None:
    manifest, rows = published(attacked)
    mine = int((rows.node == HOSTILE.encode()).sum())
    assert mine == manifest.nodes[HOSTILE].train + manifest.nodes[HOSTILE].holdout
    assert mine <= 0.4 * len(rows) and manifest.nodes[HOSTILE].left_out == 300 - mine
    assert manifest.dropped["overShare"] == 300 - mine
    assert (rows.node != HOSTILE.encode()).sum() == 108


def test_a_small_fleet_learns_what_it_is_told() -> None:
    world = fleet_of(2)
    send(world, "node-0", range(1, 60), truth=0)
    send(world, "node-1", range(100, 104))
    world.work(12)
    manifest, rows = published(world)
    assert (rows.y[rows.node == b"node-0"] == 0).all() and len(rows) == 63
    assert manifest.nodes["node-0"].contradicting == 40 and not manifest.nodes["node-0"].outlier


def test_a_class_that_one_node_alone_sees_waits_for_a_person() -> None:
    world = fleet_of(10)
    for index in range(9):
        send(world, f"node-{index}", range(index * 30, index * 30 + 30, 3))
    send(world, HOSTILE, range(1001, 1061, 3))
    world.work(20)
    manifest, rows = published(world)
    assert set(rows.y.tolist()) == {0}
    assert manifest.nodes[HOSTILE].waiting == manifest.dropped["soleContributor"] == 20
    world.objects.create("EdgeNode", "another", {}, manager="gateway")
    world.objects.patch("EdgeNode", HOSTILE, spec={"trusted": True}, manager="operator")
    world.work(8)
    manifest, rows = published(world)
    assert (rows.node == HOSTILE.encode()).sum() == 20 and manifest.nodes[HOSTILE].trusted


def test_no_node_alone_judges_a_class() -> None:
    """Its imported rows are there to train on; of the captured rows to judge one node had them all."""
    world = fleet_of(10)
    pixels = np.arange(400 * 4, dtype=np.uint16).reshape(400, 2, 2) % 251
    base = dataset_parts.imported(pixels.astype(np.uint8), np.zeros(400, dtype=np.int64), curating.TASK.answers)
    part = dataset_store.write_part(world.blobs, "train", "imported", base)
    manifest = datasets.DatasetManifest("digits", curating.TASK.answers, curating.INPUT, (part,))
    digest = dataset_store.write_manifest(world.blobs, manifest)
    world.objects.patch("EdgeModel", "digits", spec={"datasetDigest": digest}, manager="operator")
    send(world, HOSTILE, range(3, 600, 3))
    world.work(20)
    told = published(world)[0].nodes[HOSTILE]
    assert told.holdout == contributions.FLOOR and told.train == 400 // 3
    assert told.left_out == 199 - told.train - told.holdout


def test_a_forgotten_node_is_in_no_later_dataset_and_what_it_displaced_comes_back() -> None:
    world = fleet_of(1)
    send(world, "node-0", range(12))
    copy = curating.example(3, node=HOSTILE, request_id="copy")
    told = fleet_pb2.Truth.FromString(curating.truth(copy, 2))
    told.node = HOSTILE
    world.upload(told.SerializeToString(), kind="truth", about=copy, entry=False)
    world.upload(copy)
    send(world, HOSTILE, range(100, 120))
    world.work(20)
    assert HOSTILE in published(world)[0].nodes and "node-0" in published(world)[0].nodes
    asked = world.teacher.asked
    world.objects.create("Exclusion", HOSTILE, {"node": HOSTILE}, manager="operator")
    world.work(12)
    manifest, rows = published(world)
    assert set(manifest.nodes) == {"node-0"} and len(rows) == 12 and (rows.y == rows.x[:, 0, 0] % 3).all()
    assert manifest.dropped == {"excluded": 21} and world.teacher.asked == asked
    send(world, HOSTILE, range(200, 210))
    world.work(8)
    assert set(published(world)[0].nodes) == {"node-0"}


def test_what_was_forgotten_can_be_learned_again() -> None:
    world = fleet_of(1)
    send(world, "node-0", range(6))
    world.objects.create("Exclusion", "node-0", {"node": "node-0"}, manager="operator")
    world.work(8)
    assert world.state.published is None
    world.objects.delete("Exclusion", "node-0")
    world.work(16)
    assert set(published(world)[0].nodes) == {"node-0"}


class InterruptedTeacher(curating.FakeTeacher):
    """Something happens while it thinks."""

    meanwhile: Callable[[], None]

    async def ask(self, task: LabelTask, rows: NDArray[Any]) -> Answer:
        self.meanwhile()
        return await super().ask(task, rows)


@pytest.mark.parametrize("trouble", [None, "refuses", "infinite"])
def test_what_the_teacher_answers_about_a_node_that_was_forgotten_meanwhile_is_no_label(trouble: str | None) -> None:
    teacher = InterruptedTeacher()
    if trouble:
        setattr(teacher, trouble, 1)
    world = curating.World(teacher=teacher)

    def forget() -> None:
        if not world.objects.list("Exclusion"):
            world.objects.create("Exclusion", HOSTILE, {"node": HOSTILE}, manager="operator")
            world.clock.now_s += 2
            world.schedule.tick()

    teacher.meanwhile = forget
    send(world, HOSTILE, range(1, 2))
    world.work(8)
    assert teacher.asked == (trouble != "refuses") and world.labels == []
    assert world.state.captured_rows.rows == [] and world.state.dropped == {"excluded": 1}
    assert world.fleetstate.counters == set()
