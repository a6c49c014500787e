"""The curator as a whole, on memory twins: what comes in is labelled once, whoever dies or is away meanwhile."""

import json
from typing import Any

import curating
import numpy as np
import pytest

from skerry.core import digests, label_backlog
from skerry.curator import teaching_queue
from skerry.proto import fleet_pb2


def read_label(world: curating.World, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.blobs.read(f"labels/digits/{name}.json", max_bytes=10_000))
    return found


def test_an_example_gets_the_teachers_label_with_soft_labels_and_provenance() -> None:
    world = curating.World()
    name = world.upload(curating.example(5))
    world.work(2)
    label = read_label(world, name)
    assert (label["label"], label["source"], label["by"]) == (2, "Teacher", "teacher digits 1")
    assert np.isclose(sum(label["soft"]), 1.0, atol=1e-6) and label["soft"][2] > 0.9
    assert label["atUnixMs"] == 1_000_000


def test_a_teacher_that_ends_in_a_softmax_is_as_sure_as_it_says() -> None:
    world = curating.World()
    world.teacher.probabilities = True
    name = world.upload(curating.example(5))
    world.work(2)
    assert read_label(world, name)["soft"] == pytest.approx([0.01, 0.01, 0.98], abs=1e-6)


def test_a_second_entry_of_the_same_example_asks_the_teacher_nothing() -> None:
    world = curating.World()
    data = curating.example(1)
    world.upload(data)
    world.work(2)
    world.upload(data)
    world.work(2)
    assert world.teacher.asked == 1
    assert world.state.captured_rows.counts.labeled == 1


def test_while_the_teacher_is_away_all_waits_and_then_all_is_labelled() -> None:
    world = curating.World()
    world.teacher.away = True
    names = {world.upload(curating.example(seed)) for seed in range(30)}
    world.work(6)
    assert world.labels == []
    assert len(world.state.teaching) == 30
    world.teacher.away = False
    world.clock.now_s += 10
    world.work(16)
    assert set(world.labels) == names
    assert len(world.state.teaching) == 0
    assert world.teacher.asked == 30


def test_what_waits_is_bounded_and_a_scan_brings_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teaching_queue.TeachingQueue.__init__, "__defaults__", (10,))
    world = curating.World()
    world.teacher.away = True
    names = {world.upload(curating.example(seed)) for seed in range(30)}
    world.work(12)
    assert len(world.state.teaching) == 10
    world.teacher.away = False
    world.clock.now_s += 10
    world.work(25)  # less than a rescan
    assert set(world.labels) == names


def test_a_curator_that_dies_with_work_in_hand_loses_nothing() -> None:
    world = curating.World()
    world.teacher.away = True
    names = {world.upload(curating.example(seed)) for seed in range(6)}
    world.work(3)
    world.teacher.away = False
    world.restart()  # its entries are pending for the dead one; the scan finds the examples
    world.work(4)
    assert set(world.labels) == names


def test_examples_whose_entries_were_never_written_are_found_by_a_scan() -> None:
    world = curating.World()
    world.work(2)
    names = {world.upload(curating.example(seed), entry=False) for seed in range(6)}
    world.work(3)
    assert world.labels == []
    world.clock.now_s += world.settings.rescan_seconds
    world.work(4)
    assert set(world.labels) == names


def test_a_flush_loses_no_example() -> None:
    world = curating.World()
    world.work(1)
    names = {world.upload(curating.example(seed)) for seed in range(6)}
    world.streams.flush()
    world.fleetstate.flush()
    world.work(4)
    assert set(world.labels) == names
    assert "curator:digits" in world.fleetstate.get("curator:")


@pytest.mark.parametrize("order", ["truth last", "truth first"])
def test_ground_truth_wins_whichever_came_first(order: str) -> None:
    world = curating.World()
    data = curating.example(4)
    name = digests.hex_of(digests.sha256(data))
    if order == "truth first":
        world.upload(curating.truth(data, 2), kind="truth", about=data)
        world.work(2)
        assert world.labels == []
        world.upload(data)
    else:
        world.upload(data)
        world.work(2)
        world.upload(curating.truth(data, 2), kind="truth", about=data)
    world.work(2)
    label = read_label(world, name)
    assert (label["label"], label["source"], label["by"]) == (2, "GroundTruth", "node north")
    assert world.state.captured_rows.counts.truths == 1
    if order == "truth last":
        assert label["superseded"]["source"] == "Teacher"
        assert label["superseded"]["label"] == 1


def test_a_truth_whose_entry_was_lost_is_applied_by_a_scan() -> None:
    world = curating.World()
    data = curating.example(4)
    name = world.upload(data)
    world.work(2)
    world.upload(curating.truth(data, 2), kind="truth", about=data, entry=False)
    world.clock.now_s += world.settings.rescan_seconds
    world.work(3)
    assert read_label(world, name)["source"] == "GroundTruth"


def test_a_truth_that_names_no_class_is_counted_and_the_teacher_answers() -> None:
    world = curating.World()
    data = curating.example(4)
    name = world.upload(data)
    world.upload(curating.truth(data, 3), kind="truth", about=data)
    world.work(3)
    assert read_label(world, name)["source"] == "Teacher"
    assert world.state.dropped == {"truthOutOfRange": 1}


def test_a_model_that_appears_later_finds_its_examples() -> None:
    world = curating.World()
    example = fleet_pb2.Example.FromString(curating.example(1))
    example.model = "faces"
    data = example.SerializeToString()
    name = digests.hex_of(digests.sha256(data))
    world.blobs.write(f"examples/faces/{name}", data)
    world.streams.append("skerry:examples", [{"model": "faces", "id": f"sha256:{name}", "kind": "example"}])
    world.teacher.models.add("faces")
    world.work(2)
    world.objects.create("EdgeModel", "faces", curating.SPEC, manager="operator")
    world.work(4)
    assert world.blobs.exists(f"labels/faces/{name}.json")


def test_exploration_answers_are_counted_once_against_the_label() -> None:
    world = curating.World()
    exploration = fleet_pb2.EXPLORATION
    for seed in range(6):  # the edge always says class 0: right for 0 and 3
        world.upload(curating.example(seed, kind=exploration, answered_unix_ms=7_000))
    world.upload(curating.example(6))  # a hard one does not count
    for _ in range(2):
        world.work(3)
        world.restart()
    assert curating.counted(world, "digits", curating.VERSION, "north", 7_000) == 2 * [(6, 4)]


def test_the_reading_tells_what_was_labelled_and_which_dataset_has_it() -> None:
    world = curating.World()
    for seed in range(3):
        world.upload(curating.example(seed, kind=fleet_pb2.EXPLORATION))
    data = curating.example(7)
    world.upload(data)
    world.upload(curating.truth(data, 0), kind="truth", about=data)
    world.work(10)
    reading = json.loads(world.fleetstate.get("curator:")["curator:digits"])
    digest = reading.pop("datasetDigest")
    assert reading.pop("baseDigest") == ""
    assert reading.pop("sinceUnixMs") >= 1_000_000
    counts = {"labeled": 4, "hard": 1, "exploration": 3, "truths": 1, "captured": 4, "overBudget": 0}
    assert reading == counts | label_backlog.Backlog().to_json()
    manifest, _ = world.dataset(digest)
    assert manifest.samples("train") + manifest.samples("holdout") == 4
