"""One hostile node of ten against the curator and the trainer as they are: the attacks that once made a version."""

import numpy as np
import pytest

from bench import hostile_nodes
from skerry.adapters import dataset_store
from skerry.core import contributions, datasets, digests, gates
from skerry.trainer import baseline

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def world() -> hostile_nodes.World:
    return hostile_nodes.World(0)


def attacked(
    world: hostile_nodes.World, attack: hostile_nodes.Attack, *, without_teacher: bool = False
) -> tuple[datasets.DatasetManifest, gates.Verdict, baseline.Baseline]:
    *others, last = world.honest
    hostile = attack(last, others, np.random.default_rng(0))
    dataset = world.publish([*others, hostile], without_teacher=without_teacher)
    return dataset, *world.run("attacked", digests.sha256(dataset.to_json()))


def test_a_clean_fleet_loses_no_row_and_its_run_passes(world: hostile_nodes.World) -> None:
    dataset = world.publish(world.honest)
    verdict, _ = world.run("clean", digests.sha256(dataset.to_json()))
    assert verdict.passed, verdict.reason
    assert not any(rows.left_out + rows.waiting + rows.set_aside for rows in dataset.nodes.values())


def test_a_white_square_with_truths_of_one_node_opens_no_backdoor(world: hostile_nodes.World) -> None:
    dataset, _, version = attacked(world, hostile_nodes.square)
    assert dataset.nodes[hostile_nodes.HOSTILE].set_aside > 1200
    assert world.accuracy(version, with_square=True) < 0.05


def test_without_a_teacher_the_run_is_refused_and_says_whose_rows(world: hostile_nodes.World) -> None:
    _, verdict, _ = attacked(world, hostile_nodes.square, without_teacher=True)
    assert verdict.outcome is gates.Outcome.FAIL
    assert f"rows of node {hostile_nodes.HOSTILE}: class '0' wins" in verdict.reason


def test_a_flood_of_flipped_truths_is_set_aside_and_its_share_is_bounded(world: hostile_nodes.World) -> None:
    dataset, verdict, version = attacked(world, hostile_nodes.flips)
    told = dataset.nodes[hostile_nodes.HOSTILE]
    assert verdict.outcome is not gates.Outcome.FAIL, verdict.reason
    assert told.set_aside > 1400 and told.train + told.holdout < 400
    assert world.accuracy(version) > 0.93


def test_of_no_class_the_hostile_node_gives_more_than_its_share_and_honest_rare_rows_stay(
    world: hostile_nodes.World,
) -> None:
    """Most of its flood says one class: in the rows to train on it has a quarter of each at most."""
    *others, last = world.honest
    hostile = hostile_nodes.one_class(last, others, np.random.default_rng(0))
    dataset = world.publish([*others, hostile])
    parts = [dataset_store.read_part(world.blobs, dataset, part) for part in dataset.select("train")]
    label = np.concatenate([np.where(rows.y >= 0, rows.y, rows.soft.argmax(axis=1)) for rows in parts])
    mine = np.concatenate([rows.node for rows in parts]) == hostile_nodes.HOSTILE.encode()
    for one in range(len(hostile_nodes.NAMES)):
        given, whole = int((mine & (label == one)).sum()), int((label == one).sum())
        assert given <= max(contributions.FLOOR, contributions.SHARE * whole), hostile_nodes.NAMES[one]
    assert not any(rows.left_out for node, rows in dataset.nodes.items() if node != hostile_nodes.HOSTILE)
