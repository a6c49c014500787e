"""A run on data of former classes: refused without a map, learned from and compared through one."""

import pytest
import training_runs
import training_world
from training_world import MODEL, NAMES, World

from skerry.core import errors, gates, writers
from skerry.trainer import data, main

ORDER = ["broken", "ok", "worn"]
MAP = [{"from": list(NAMES)}]


def numbers(world: World, run: str) -> dict[str, float]:
    found: dict[str, float] = training_runs.proposal(world, run)["report"]["holdouts"]["imported"]
    return found


def test_a_dataset_of_another_order_is_refused_without_a_map() -> None:
    world = World(classNames=ORDER)
    world.ask("a", world.standard())
    with pytest.raises(errors.InputError, match="its class 0 is 'ok'"):
        data.load(world.blobs, main.resolve(world.blobs, "a").model, world.standard())


def test_through_a_map_a_run_learns_and_the_version_before_is_judged_by_the_same_classes() -> None:
    world = World()
    dataset = world.standard()
    assert training_runs.play(world, "old", dataset).outcome is gates.Outcome.PASS
    training_runs.publish(world, "old", 1)
    changed = {"classNames": ORDER, "classMap": MAP}
    world.objects.patch("EdgeModel", MODEL, manager=writers.OPERATOR, spec=changed)
    verdict = training_runs.play(world, "new", dataset)
    # 120 rows are too few to be sure that nothing was lost.
    assert verdict.outcome in (gates.Outcome.PASS, gates.Outcome.INCONCLUSIVE)
    assert numbers(world, "new")["candidate"] > 0.9
    assert numbers(world, "new")["baseline"] == numbers(world, "old")["candidate"] > 0.9
    made = training_runs.shipped(world, "new").manifest
    assert made.class_names == tuple(ORDER) and made.task.to_json()["classMap"][0]["from"] == list(NAMES)


def test_rows_of_a_removed_class_are_left_out_and_counted() -> None:
    world = World(classNames=["broken", "ok"], classMap=[{"from": list(NAMES), "removed": ["worn"]}])
    world.ask("a", world.standard())
    loaded = data.load(world.blobs, main.resolve(world.blobs, "a").model, world.standard())
    assert loaded.dropped["removed-class"] == 60 + 40 and loaded.dropped["unlabelled"] == 0
    assert sorted(set(loaded.train["imported"].y.tolist())) == [0, 1]
    assert len(loaded.train["imported"]) == 120 and len(loaded.holdouts["imported"]) == 80
    assert training_world.TASK.digest.encode() not in loaded.train["imported"].label_map.tolist()
