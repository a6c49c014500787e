"""Several workers with rows of their own learn what one with all rows learns, whatever each of them has."""

import copy
import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from thread_workers import Member, together
from torch import nn

from skerry.core import errors
from skerry.nets import training
from skerry.nets.class_objective import ClassObjective
from skerry.nets.training import Epoch, Recipe, Samples
from skerry.nets.worker_group import SINGLE

CLASSES = 3


def samples(labels: Sequence[int], seed: int = 0) -> Samples:
    rng, y = np.random.default_rng(seed), np.array(labels, dtype=np.int64)
    x = (rng.normal(size=(len(y), 6)) + 2 * np.eye(6)[y]).astype(np.float32)
    weight = rng.uniform(0.5, 1.0, len(y)).astype(np.float32)
    return Samples(x, y, np.full((len(y), CLASSES), np.nan, np.float32), weight)


def take(whole: Samples, rows: slice | np.ndarray) -> Samples:
    return Samples(whole.x[rows], whole.y[rows], whole.soft[rows], whole.weight[rows])


def network(*, normalized: bool = False) -> nn.Module:
    torch.manual_seed(3)
    middle = [nn.BatchNorm1d(8)] if normalized else []
    return nn.Sequential(nn.Linear(6, 8), *middle, nn.ReLU(), nn.Linear(8, CLASSES))


def weights(made: nn.Module) -> np.ndarray:
    return np.concatenate(
        [one.detach().numpy().ravel() for one in made.state_dict().values() if one.is_floating_point()]
    )


def nothing(_: Epoch) -> None: ...


def train_all(shares: Sequence[Samples], recipe: Recipe, *, normalized: bool = False) -> list[np.ndarray]:
    made = network(normalized=normalized)

    def one(member: Member) -> np.ndarray:
        mine = copy.deepcopy(made)
        return weights(training.train(mine, shares[member.rank], recipe, nothing, ClassObjective(CLASSES), member))

    found = together(len(shares), one)
    for result in found:
        if isinstance(result, Exception):
            raise result
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("balance", ["none", "logits"])
@pytest.mark.parametrize("bounds", [(4,), (5,), (1,), (2, 3), (1, 2, 3)], ids=str)
def test_where_each_step_takes_all_rows_a_crew_does_what_one_worker_does(bounds: tuple[int, ...], balance: str) -> None:
    whole = samples([0, 0, 0, 0, 0, 0, 1, 2])
    recipe = Recipe(epochs=12, balance=balance)
    alone = weights(training.train(network(), whole, recipe, nothing, ClassObjective(CLASSES), SINGLE))
    edges = [0, *bounds, 8]
    shares = [take(whole, slice(low, high)) for low, high in itertools.pairwise(edges)]
    for found in train_all(shares, recipe):
        np.testing.assert_allclose(found, alone, rtol=1e-4, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=4),
    balance=st.sampled_from(["draws", "logits", "none"]),
    seed=st.integers(0, 9),
)
def test_all_workers_end_with_the_same_weights_and_batch_statistics(sizes: list[int], balance: str, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, CLASSES, sum(sizes))
    labels[:2] = 0, 1
    whole, edges = samples(labels.tolist()), np.cumsum([0, *sizes])
    shares = [take(whole, slice(low, high)) for low, high in itertools.pairwise(edges)]
    found = train_all(shares, Recipe(epochs=2, balance=balance, seed=seed), normalized=True)
    assert all(np.array_equal(one, found[0]) for one in found) and np.isfinite(found[0]).all()


def test_classes_are_balanced_over_all_workers_even_when_one_has_a_single_class() -> None:
    """Half of the rare class's draws come from the worker that has it, though it has a tenth of the rows."""
    whole = samples([0] * 90 + [1] * 10)
    shares = [take(whole, slice(0, 80)), take(whole, slice(80, 100))]
    seen: list[Epoch] = []

    def one(member: Member) -> np.ndarray:
        made = training.train(
            network(), shares[member.rank], Recipe(epochs=30), seen.append, ClassObjective(CLASSES), member
        )
        return training.predict(made, whole.x).argmax(axis=1)

    first, second = together(2, one)
    assert np.array_equal(first, second)
    assert (first[whole.y == 1] == 1).mean() >= 0.9 and (first == whole.y).mean() >= 0.9
    assert [epoch.epoch for epoch in seen] == list(range(1, 31)), "only the first worker tells"


@pytest.mark.parametrize(
    ("shares", "told"),
    [
        pytest.param([samples([0, 1, 2]), samples([])], "too few for 2 workers", id="a worker without rows"),
        pytest.param([samples([1, 1]), samples([1])], "at least two classes", id="one class in all"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_by_all(shares: list[Samples], told: str) -> None:
    def one(member: Member) -> None:
        training.train(network(), shares[member.rank], Recipe(epochs=1), nothing, ClassObjective(CLASSES), member)

    for found in together(2, one):
        assert isinstance(found, errors.InputError) and told in str(found)


def test_a_loss_that_is_no_number_ends_all_workers() -> None:
    shares = [samples([0, 1, 2] * 5), samples([0, 1, 2] * 5)]
    shares[1].x[3] = np.nan

    def one(member: Member) -> None:
        training.train(network(), shares[member.rank], Recipe(epochs=3), nothing, ClassObjective(CLASSES), member)

    found = together(2, one)
    assert all(isinstance(one, errors.InputError) for one in found), found
