"""A run does something about unequal classes, says which and why, and what it brought against what was before."""

import numpy as np
import pytest
from training_runs import play, proposal, publish
from training_world import World, rows

from skerry.core import gates, imbalance
from skerry.nets import augment, training
from skerry.nets.class_objective import ClassObjective
from skerry.nets.training import Recipe, Samples
from skerry.nets.worker_group import SINGLE
from skerry.trainer import synthetic


def samples(per_class: list[int], seed: int = 0) -> Samples:
    made = rows(per_class, seed)
    return Samples(made.x, made.y, made.soft, made.weight)


def test_rows_between_neighbours_bring_rare_classes_up_to_the_mean() -> None:
    few = samples([90, 60, 12])
    more = synthetic.extend(few, few.y, 3, seed=0)
    assert np.bincount(more.y).tolist() == [90, 60, 54]
    assert (more.x[: len(few.x)] == few.x).all() and more.x.dtype == few.x.dtype
    rare = few.x[few.y == 2]
    made = more.x[len(few.x) :]
    assert (made >= rare.min(axis=0) - 1e-4).all() and (made <= rare.max(axis=0) + 1e-4).all()
    assert np.isnan(more.soft[len(few.x) :]).all()
    assert (synthetic.extend(few, few.y, 3, seed=0).x == more.x).all()  # the seed decides
    equal = samples([30, 30, 30])
    assert synthetic.extend(equal, equal.y, 3, seed=0) is equal
    tiny = samples([90, 60, 5])
    assert synthetic.extend(tiny, tiny.y, 3, seed=0) is tiny  # no five neighbours


def test_weights_make_every_present_class_count_as_much() -> None:
    weights = imbalance.class_weights(np.array([90.0, 10.0, 0.0]))
    assert weights[0] * 90 == pytest.approx(weights[1] * 10) and weights[2] == 0
    assert weights[0] * 90 + weights[1] * 10 == pytest.approx(100)


@pytest.mark.parametrize("way", ["weights", "mixup", "logits", "draws", "none"])
def test_each_way_trains_and_the_same_seed_makes_the_same_network(way: str) -> None:
    import own_networks

    def trained() -> np.ndarray:
        training.prepare(3)
        network = own_networks.press(width=8)
        recipe = Recipe(epochs=2, balance=way, seed=3)
        training.train(network, samples([60, 40, 6]), recipe, lambda _: None, ClassObjective(3))
        return training.predict(network, samples([5, 5, 5], seed=1).x)

    assert np.isfinite(trained()).all() and (trained() == trained()).all()


def test_only_rare_classes_are_blended_into_what_is_drawn() -> None:
    goal = ClassObjective(3).goal(None, samples([60, 40, 6]), Recipe(balance="mixup"), SINGLE)  # type: ignore[arg-type]
    assert goal.mixes and goal.chances is not None
    equal = ClassObjective(3).goal(None, samples([40, 40, 40]), Recipe(balance="mixup"), SINGLE)  # type: ignore[arg-type]
    assert not equal.mixes and equal.chances is None


def test_tokens_are_forgotten_and_change_places_but_padding_stays() -> None:
    import torch

    ids = torch.zeros(400, 12, dtype=torch.int64)
    ids[:, 5:] = torch.arange(2, 9)
    operations = augment.LISTS["tokens"]
    done = augment.apply(operations, ids, augment.Range(0, 9), torch.Generator().manual_seed(0))
    assert (done[:, :5] == 0).all() and ((done[:, 5:] > 0).all()) and (done != ids).any()
    changed = done[(done != ids).any(dim=1)]
    assert (changed == 1).any() and 0 < (done == 1).float().mean() < 0.1
    one = torch.zeros(50, 4, dtype=torch.int64)
    one[:, 3] = 7
    assert (augment.apply(operations, one, augment.Range(0, 9), torch.Generator().manual_seed(0)) == one).all()


def test_a_run_says_which_way_it_took_and_what_that_brought() -> None:
    world = World()
    skewed = world.dataset(
        {("train", "imported"): rows([150, 150, 12]), ("holdout", "imported"): rows([40] * 3, seed=1)}
    )
    first = of(play(world, "first", skewed))
    assert first.outcome is gates.Outcome.PASS
    assert first.reason.startswith("synthetic: 'broken' has 12 rows, 'ok' has 150")
    assert "the same training without it" in first.reason
    assert set(first.numbers) == {"macroRecall", "worstRecall", "macroRecallBefore", "worstRecallBefore"}
    assert proposal(world, "first")["report"]["training"]["balance"]["way"] == "synthetic"
    publish(world, "first", 1)
    second = of(play(world, "second", skewed, overrides={"seed": 1, "balance": "weights"}))
    assert second.reason.startswith("weights: asked for") and "(before: the stable version)" in second.reason


def of(verdict: gates.Verdict) -> gates.Gate:
    return next(gate for gate in verdict.gates if gate.name == "balance")
