"""Forecasts in the curator: no teacher is asked, the truth that time brings labels them, and what is held out goes by
the series' own time."""

from typing import Any

import curated_forecasts
import curating
import numpy as np
import pytest
from curated_forecasts import HOUR_MS, LOAD, START_MS, example, truth, value

from skerry.core import digests
from skerry.core.series import splitting
from skerry.proto import fleet_pb2

REACH = splitting.Reach(4, 2, HOUR_MS)


@pytest.fixture
def world() -> curating.World:
    return curated_forecasts.world()


def upload(world: curating.World, hour: int) -> None:
    data = example(hour)
    world.upload(data, model="load")
    said = truth(data, [value(hour + 1), value(hour + 2)])
    world.upload(said, kind="truth", about=data, model="load")


def published(world: curating.World) -> Any:
    state = world.labeling.models["load"]
    world.clock.now_s += 1000
    world.schedule.publish_now()
    assert state.published is not None
    data = world.blobs.read(f"datasets/load/{digests.hex_of(state.published.digest)}", max_bytes=1 << 20)
    manifest = curating.datasets.DatasetManifest.from_json(data)
    return manifest, {role: world.rows(manifest, role) for role in ("train", "holdout")}


def test_a_forecast_waits_for_its_truth_and_for_no_teacher(world: curating.World) -> None:
    data = example(50)
    world.upload(data, model="load")
    world.work()
    assert world.labels_of("load") == [] and world.teacher.asked == 0
    state = world.labeling.models["load"]
    assert (state.backlog.waiting, len(state.teaching)) == (0, 0), "it is not behind: its time has not come"
    assert state.backlog.untold == 1
    world.upload(truth(data, [1.5, 2.5]), kind="truth", about=data, model="load")
    world.work()
    (name,) = world.labels_of("load")
    label = state.captured_rows.rows[0].label
    assert (label.values, label.source, name) == ((1.5, 2.5), "GroundTruth", digests.hex_of(digests.sha256(data)))
    world.restart()
    world.work()
    assert world.labeling.models["load"].captured_rows.rows[0].label == label


def test_a_truth_that_cannot_be_is_not_learned_from_and_told_also_where_it_was_learned_before(
    world: curating.World,
) -> None:
    """The attack: somebody who has tokens sends 1e9 kWh, and the holdout that versions are judged on is spoilt."""
    honest, hostile = example(50), example(56)
    for data, values in ((honest, [1.5, 2.5]), (hostile, [1e9, 2.5])):
        world.upload(data, model="load")
        world.upload(truth(data, values), kind="truth", about=data, model="load")
    world.work()
    assert len(world.labeling.models["load"].captured_rows.rows) == 2, "nothing is said of what can be"
    possible = {"forecast": {"min": 0, "max": 1000}}
    world.objects.patch("EdgeModel", "load", manager="operator", spec=possible)
    world.restart()
    world.work()
    state = world.labeling.models["load"]
    assert [row.label.values for row in state.captured_rows.rows] == [(1.5, 2.5)]
    assert state.backlog.refused == {"truthOutOfRange": 1}


def test_a_dataset_holds_truths_naive_forecasts_and_blocks_that_do_not_touch(world: curating.World) -> None:
    hours = [*range(0, 24 * 7 * 12, 6), *range(1, 24 * 7 * 12, 6)]
    for hour in hours:
        upload(world, hour)
    world.work(rounds=400)
    manifest, rows = published(world)
    assert manifest.task == LOAD and not manifest.parts[0].per_class
    assert manifest.dropped[splitting.EMBARGO] > 0
    assert sum(map(len, rows.values())) + manifest.dropped[splitting.EMBARGO] == len(hours)
    for role, some in rows.items():
        places = [
            splitting.of_captured(name.decode(), int(at), REACH)
            for name, at in zip(some.series, some.time, strict=True)
        ]
        assert set(places) == {role}
        hour = (some.time - START_MS) // HOUR_MS
        np.testing.assert_array_equal(some.y, np.stack([value(hour + 1), value(hour + 2)], axis=1).astype(np.float32))
        known = ~np.isnan(some.naive)
        naive = np.stack([value(hour), value(hour), value(hour - 23), value(hour - 22)], axis=1).reshape(-1, 2, 2)
        np.testing.assert_array_equal(some.naive[known], naive.astype(np.float32)[known])
        assert known[:, 0].any() and known[:, 1].any()
    apart = np.abs(rows["train"].time[:, None] - rows["holdout"].time[None, :]).min()
    assert apart > REACH.embargo_ms


@pytest.mark.parametrize("change", [{"series": ""}, {"series_unix_ms": 0}])
def test_a_row_without_its_own_time_is_not_learned_from(world: curating.World, change: dict[str, Any]) -> None:
    data = example(50, **change)
    world.upload(data, model="load")
    world.upload(truth(data, [1.0, 2.0]), kind="truth", about=data, model="load")
    world.work()
    state = world.labeling.models["load"]
    assert world.labels_of("load") == []
    assert state.dropped == state.backlog.refused == {"noSeries": 1}, "people are told of it"


@pytest.mark.parametrize(
    ("values", "changes", "reason"),
    [
        ([1.0], {}, "truthOutOfRange"),
        ([1.0, 1e39], {}, "truthOutOfRange"),
        ([], {"label": 2}, "truthOutOfRange"),
        ([1.0, 2.0], {"label_map": "sha256:" + "0" * 64}, "truthOtherLabelMap"),
    ],
)
def test_a_truth_that_is_none_of_this_forecast_is_refused(
    world: curating.World, values: list[float], changes: dict[str, Any], reason: str
) -> None:
    data = example(50)
    world.upload(data, model="load")
    world.upload(truth(data, values, **changes), kind="truth", about=data, model="load")
    world.work()
    state = world.labeling.models["load"]
    assert world.labels_of("load") == [] and state.dropped == {reason: 1}


def test_what_a_node_says_of_a_series_is_nothing_to_the_rows_of_another(world: curating.World) -> None:
    """A later row of another node names the same series and tells it falsely."""
    for hour in range(40):
        upload(world, hour)
        false = example(hour + 5000, node="south", series_unix_ms=START_MS + hour * HOUR_MS)
        world.upload(false, model="load")
        world.upload(truth(false, [-7.0, -7.0], node="south"), kind="truth", about=false, model="load")
    world.work(rounds=200)
    _, rows = published(world)
    of_north = [some.naive[some.node == b"north"] for some in rows.values()]
    told = np.concatenate([values[~np.isnan(values)] for values in of_north])
    assert len(told) and (told > 0).all()


def test_one_window_at_two_times_is_two_rows(world: curating.World) -> None:
    """The same readings may be followed by anything: both are learned from, each with its own truth."""
    for hour, came in ((50, 1.0), (80, 9.0)):
        data = example(50, request_id=f"r{hour}", series_unix_ms=START_MS + hour * HOUR_MS)
        world.upload(data, model="load")
        world.upload(truth(data, [came, came]), kind="truth", about=data, model="load")
    world.work()
    assert sorted(row.label.values for row in world.labeling.models["load"].captured_rows.rows) == [(1, 1), (9, 9)]


def test_a_value_is_no_truth_of_a_class(world: curating.World) -> None:
    data = curating.example(4)
    said = fleet_pb2.Truth(model="digits", node="north", example_id=digests.sha256(data), values=[1.0])
    world.upload(data)
    world.upload(bytes(said.SerializeToString()), kind="truth", about=data)
    world.work()
    assert world.state.dropped == {"truthOutOfRange": 1} and len(world.labels) == 1, "the teacher labels it"
