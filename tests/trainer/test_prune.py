"""A pruned network is smaller and keeps most of what it knew; one that cannot be pruned is refused in words."""

import numpy as np
import pytest
import torch

from skerry.core import errors
from skerry.core.tasks import Classification
from skerry.nets import cnn, training
from skerry.nets.training import Recipe, Samples
from skerry.trainer import measures, prune

TWO = measures.of(Classification(("upright", "lying")))


def bars(n: int, seed: int) -> Samples:
    """Images [n, 1, 18, 18] of a bar, upright or lying, in noise."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    x = rng.normal(0, 0.2, size=(n, 1, 18, 18)).astype(np.float32)
    for index, at in enumerate(rng.integers(4, 14, size=n)):
        bar = (slice(at, at + 2), slice(2, 16)) if y[index] else (slice(2, 16), slice(at, at + 2))
        x[index, 0][bar] += 1
    return Samples(x, y, np.full((n, 2), np.nan, np.float32), np.ones(n, np.float32))


def accuracy(network: torch.nn.Module, data: Samples) -> float:
    return float((training.predict(network, data.x).argmax(axis=1) == data.y).mean())


def test_half_of_the_units_can_go() -> None:
    recipe, data, held = Recipe(epochs=6, learning_rate=5e-3), bars(200, 0), bars(200, 1)
    training.prepare(0)
    whole = training.train(cnn.small(2, height=18, width=18), data, recipe, lambda _: None, TWO.objective)
    epochs: list[training.Epoch] = []
    slim = prune.prune(whole, data, recipe, 0.5, epochs.append, TWO)
    sizes = [sum(one.numel() for one in network.parameters()) for network in (whole, slim)]
    assert sizes[1] < 0.4 * sizes[0] and len(epochs) == 12
    assert accuracy(whole, held) > 0.95 and accuracy(slim, held) > 0.9


@pytest.mark.parametrize(
    ("whole", "pruned"),
    [
        pytest.param(1, 2, id="a trial stays short"),
        pytest.param(8, 14, id="the default is enough"),
        pytest.param(16, 16, id="never fewer than the whole network"),
    ],
)
def test_a_pruned_network_learns_for_longer_where_the_whole_one_learned_little(whole: int, pruned: int) -> None:
    assert prune.epochs_of(Recipe(epochs=whole)) == pruned


def test_a_network_that_cannot_become_narrower_is_refused() -> None:
    with pytest.raises(errors.InputError, match=r"Linear has no method slimmed"):
        prune.prune(torch.nn.Linear(3, 2), bars(4, 0), Recipe(), 0.5, lambda _: None, TWO)
