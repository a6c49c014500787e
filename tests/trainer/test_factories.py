"""A user's network by name, or an error that says what to mend and where."""

import numpy as np
import pytest
import torch
from own_networks import Press
from training_world import TASK, windows

from skerry.core import errors, specs
from skerry.nets import cnn
from skerry.trainer import factories, measures

WHERE = "EdgeModel press spec.network"
MEASURE = measures.of(TASK)


def test_a_network_from_a_module_on_the_path() -> None:
    made = factories.build(specs.Network("own_networks:press", {"width": 8}), WHERE)
    assert isinstance(made, Press)
    factories.check_fit(made, np.zeros((1, 20, 4), np.float32), MEASURE, WHERE)


@pytest.mark.parametrize(
    ("factory", "options", "word"),
    [
        pytest.param("no_such_module:press", {}, "PYTHONPATH", id="a module that is not there"),
        pytest.param("own_networks:pres", {}, "no function 'pres'", id="a function that is not there"),
        pytest.param("own_networks:press", {"widht": 8}, "widht", id="an option with a typo"),
        pytest.param("own_networks:not_a_network", {}, "returned str", id="no network"),
        pytest.param("own_networks:breaks", {}, "width must be odd", id="a factory that breaks"),
    ],
)
def test_what_is_wrong_is_said_with_the_field(factory: str, options: dict[str, int], word: str) -> None:
    with pytest.raises(errors.InputError, match=word) as caught:
        factories.build(specs.Network(factory, options), WHERE)
    assert WHERE in str(caught.value)


@pytest.mark.parametrize(
    ("factory", "shape", "word"),
    [
        pytest.param("own_networks:press", (1, 28, 28), "does not take inputs", id="inputs of another shape"),
        pytest.param("own_networks:wrong_answers", (20, 4), r"should be \[2, 3\]", id="too many answers"),
    ],
)
def test_a_network_that_does_not_fit_its_data_is_refused(factory: str, shape: tuple[int, ...], word: str) -> None:
    made = factories.build(specs.Network(factory, {}), WHERE)
    with pytest.raises(errors.InputError, match=word):
        factories.check_fit(made, np.zeros((4, *shape), np.float32), MEASURE, WHERE)


def test_our_own_networks_come_in_by_the_same_door() -> None:
    made = factories.build(specs.Network("skerry.nets.cnn:reference", {"classes": 10}), WHERE)
    assert isinstance(made, cnn.Cnn)


@pytest.mark.parametrize(
    ("factory", "options", "word"),
    [
        pytest.param("softmaxed", {"dim": 0}, "its rows influence one another", id="a softmax over the batch"),
        pytest.param("batch_statistics", {}, "1 has track_running_stats=False", id="statistics of the batch"),
        pytest.param("always_drops", {}, "answers the same row differently each time", id="dropout that is never off"),
        pytest.param("softmaxed", {}, "leave its last softmax out", id="probabilities where the loss takes logits"),
    ],
)
def test_a_network_that_cannot_be_served_or_trained_is_refused_before_it_is_trained(
    factory: str, options: dict[str, int], word: str
) -> None:
    torch.manual_seed(0)
    network = factories.build(specs.Network(f"own_networks:{factory}", options), WHERE)
    with pytest.raises(errors.InputError, match=word) as caught:
        factories.check_fit(network, windows([3, 3, 3])[0], MEASURE, WHERE)
    assert WHERE in str(caught.value)


def test_a_network_that_is_looked_at_is_as_it_was() -> None:
    """The look in training mode leaves no trace in running statistics."""
    network = cnn.large(3)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    factories.check_fit(network, np.random.default_rng(0).normal(size=(4, 28, 28)).astype(np.float32), MEASURE, WHERE)
    assert not network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
