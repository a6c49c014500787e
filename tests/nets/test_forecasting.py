"""The forecaster computes what its formulas say, in the units of its series, and its quantiles never cross."""

import numpy as np
import onnx
import pytest
import torch
from recurrences import gru, numbers

from skerry.core import errors
from skerry.nets import export, forecasting, training
from skerry.nets.quantile_objective import QuantileObjective

FIVE = (50, 250, 500, 750, 950)


def series(n: int, features: int = 3, seed: int = 0) -> np.ndarray:
    """Windows [n, 12, features] of a series far from 0 and of very unequal columns."""
    steps = np.random.default_rng(seed).normal(size=(n, 12, features)) * [900, 20, 0.1][:features]
    return (steps + [3000, 280, 0.5][:features]).astype(np.float32)


def network(seed: int = 2, **options: object) -> forecasting.Forecaster:
    """Untrained, but at home in the units of `series`."""
    training.prepare(seed)
    made = forecasting.Forecaster(
        3, **({"steps": 1, "quantiles_permille": (100, 500, 900), "hidden": 5, "dense": 6} | options)
    )  # type: ignore[arg-type]  # of several types
    made.fit_scales([3000, 280, 0.5], [900, 20, 0.1], 3200.0, 800.0)
    return made.eval()


def test_it_is_the_formula() -> None:
    made, x = network(steps=2, quantiles_permille=FIVE), series(1)
    scaled = np.clip((x[0] - [3000, 280, 0.5]) / [900, 20, 0.1], -8, 8)
    state = gru(numbers(made.recurrence), scaled, 5)[-1]
    dense, head = numbers(made.dense), numbers(made.head)
    seen = np.maximum(dense["weight"] @ np.concatenate([state, scaled[-1]]) + dense["bias"], 0)
    expected = []
    for a, b, median, c, d in (head["weight"] @ seen + head["bias"]).reshape(2, 5):
        a, b, c, d = np.log1p(np.exp([a, b, c, d]))
        expected += [median - a - b, median - b, median, median + c, median + c + d]
    np.testing.assert_allclose(training.predict(made, x)[0], 3200 + 800 * np.array(expected), rtol=1e-5)


def test_from_the_last_value_a_network_of_nothing_answers_that_value_as_far_as_it_is_believed() -> None:
    made, x = network(steps=2, from_last=True), series(4)
    x[3, -1, 0] = 1e9  # a broken sensor: eight spreads from the mean at most
    with torch.no_grad():
        for weight in made.head.parameters():
            weight.zero_()
    medians = training.predict(made, x).reshape(4, 2, 3)[:, :, 1]
    np.testing.assert_allclose(medians, np.repeat([*x[:3, -1, 0], 3000 + 8 * 900], 2).reshape(4, 2), rtol=1e-5)


def test_a_change_is_learned_in_fewer_steps_when_it_is_told_from_the_last_value() -> None:
    """A random walk far from 0, two epochs."""
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(size=1400)).astype(np.float32) * 5 + 1000
    x = np.lib.stride_tricks.sliding_window_view(walk, 12)[:-1, :, None].copy()
    y = walk[12:, None]
    of_none = np.full((len(x), 3), np.nan, np.float32)
    samples = training.Samples(x, y, of_none, np.ones(len(x), np.float32))

    def missed(*, from_last: bool) -> float:
        training.prepare(0)
        made = forecasting.gru(1, hidden=8, dense=8, from_last=from_last)
        recipe = training.Recipe(epochs=2, learning_rate=4e-3)
        training.train(made, samples, recipe, lambda done: None, QuantileObjective((100, 500, 900), 1))
        return float(np.abs(training.predict(made, x)[:, 1] - y[:, 0]).mean())

    assert missed(from_last=True) < 0.8 * missed(from_last=False)


@pytest.mark.parametrize(
    "scale", [0.0, 1.0, 100.0], ids=["no weights", "as they start", "weights that are far too large"]
)
def test_no_weights_and_no_input_make_quantiles_cross(scale: float) -> None:
    made = network(steps=3, quantiles_permille=FIVE)
    with torch.no_grad():
        for weight in made.head.parameters():
            weight.mul_(scale)
    wild = series(200) * np.random.default_rng(1).choice([-1e6, 0, 1, 1e6], size=(200, 1, 3)).astype(np.float32)
    answers = training.predict(made, wild).reshape(200, 3, 5)
    assert np.isfinite(answers).all() and (np.diff(answers, axis=2) >= 0).all()


def test_it_answers_in_the_unit_of_the_target_and_a_change_of_units_changes_nothing_else() -> None:
    x = series(20)
    vehicles = training.predict(network(), x)
    thousands = network()
    thousands.fit_scales([3, 280, 0.5], [0.9, 20, 0.1], 3.2, 0.8)
    np.testing.assert_allclose(training.predict(thousands, x * np.float32([0.001, 1, 1])) * 1000, vehicles, rtol=1e-3)
    assert 2000 < vehicles.mean() < 4400


def test_a_column_that_never_varies_does_no_harm() -> None:
    made = network()
    made.fit_scales([3000, 280, 0.5], [900, 20, 0], 3200.0, 0.0)
    assert np.isfinite(training.predict(made, series(5))).all()


@pytest.mark.parametrize(
    "options",
    [{}, {"steps": 4, "quantiles_permille": FIVE}, {"quantiles_permille": (500,)}, {"steps": 2, "from_last": True}],
)
def test_it_exports_as_one_recurrent_node_and_answers_as_torch_does(options: dict[str, object]) -> None:
    made, x = network(**options), series(7)
    exported = export.export(made, x)
    kinds = [node.op_type for node in onnx.load_from_string(exported.data).graph.node]
    assert kinds.count("GRU") == 1 and len(kinds) < 100 and exported.input.shape == (12, 3)
    for batch in (1, 2, 7):
        (answers,) = export.run(exported.data, {export.INPUT: x[:batch]})
        np.testing.assert_allclose(answers, training.predict(made, x[:batch]), rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        pytest.param({"quantiles_permille": (100, 900)}, "median", id="no median"),
        pytest.param({"quantiles_permille": (900, 500, 100)}, "increase", id="falling quantiles"),
        pytest.param({"quantiles_permille": (0, 500)}, "1..999", id="a quantile that is no quantile"),
        pytest.param({"quantiles_permille": ()}, "median", id="no quantiles"),
        pytest.param({"steps": 0}, "0 steps", id="no step"),
    ],
)
def test_what_is_no_forecaster_is_refused_in_words(options: dict[str, object], word: str) -> None:
    with pytest.raises(errors.InputError, match=word):
        network(**options)


def test_a_streaming_one_answers_piece_by_piece_what_it_answers_to_the_whole() -> None:
    made, x = network(steps=2, streaming=True), series(5)
    exported = export.export(made, series(2), output="forecast")
    assert (exported.output, [state.input for state in exported.states]) == ("forecast", ["h1"])
    state = np.zeros((5, 5), np.float32)
    for piece in np.split(x, [1, 7], axis=1):
        answer, state = export.run(exported.data, {export.INPUT: piece, "h1": state})
    np.testing.assert_allclose(answer, training.predict(made, x), rtol=1e-5)
