"""A forecaster learns quantiles that hold, from truths, in any unit; rows without a truth learn from a teacher."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from thread_workers import Member, together
from torch import nn

from skerry.core import errors
from skerry.nets import augment, forecasting, training
from skerry.nets.quantile_objective import QuantileObjective
from skerry.nets.training import Recipe, Samples
from skerry.nets.worker_group import SINGLE

LEVELS = (100, 500, 900)
OBJECTIVE = QuantileObjective(LEVELS, steps=2)


def samples(n: int, seed: int = 0, unit: float = 1000.0) -> Samples:
    """Windows [n, 12, 2] of a noisy wave and what comes in the next two steps; where the second column is high, the
    noise is three times as large."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 2 * np.pi, size=(n, 1))
    wave = np.sin(start + np.arange(14) / 3)
    loud = rng.random((n, 1)) < 0.5
    wave[:, 12:] += rng.normal(size=(n, 2)) * np.where(loud, 0.3, 0.1)
    x = np.stack([wave[:, :12], np.broadcast_to(loud, (n, 12))], axis=2) * [unit, 1]
    y = (wave[:, 12:] * unit + 5 * unit).astype(np.float32)
    return Samples(x.astype(np.float32), y, np.full((n, 6), np.nan, np.float32), np.ones(n, np.float32))


def train(data: Samples, epochs: int = 6, **recipe: object) -> tuple[nn.Module, list[training.Epoch]]:
    training.prepare(0)
    seen: list[training.Epoch] = []
    network = forecasting.gru(2, steps=2, hidden=12, dense=16)
    asked = Recipe(epochs=epochs, learning_rate=1e-2, **recipe)  # type: ignore[arg-type]  # of several types
    return training.train(network, data, asked, seen.append, OBJECTIVE), seen


def answers(network: nn.Module, data: Samples) -> np.ndarray:
    return training.predict(network, data.x).reshape(len(data.x), 2, 3)


def test_the_median_is_close_and_the_interval_covers_what_it_says_and_is_wide_where_it_should_be() -> None:
    network, epochs = train(samples(900))
    held = samples(600, seed=1)
    low, median, high = np.moveaxis(answers(network, held), 2, 0)
    assert np.abs(median - held.y).mean() < 200, "the noise alone has a mean of 160"
    assert 0.72 < ((low <= held.y) & (held.y <= high)).mean() < 0.88
    loud = held.x[:, 0, 1] > 0.5
    assert (high - low)[loud].mean() > 2 * (high - low)[~loud].mean()
    assert {one.measure for one in epochs} == {"coverage"} and 0.7 < epochs[-1].right < 0.9
    assert epochs[-1].loss < epochs[0].loss


def test_another_unit_of_the_series_is_another_unit_of_the_answer_and_nothing_else() -> None:
    held = samples(50, seed=1)
    large, small = train(samples(200), epochs=2)[0], train(samples(200, unit=0.001), epochs=2)[0]
    found = answers(small, samples(50, seed=1, unit=0.001)) * 1e6
    np.testing.assert_allclose(found, answers(large, held), rtol=0.02)


def test_rows_without_a_truth_learn_what_a_teacher_says_and_no_number_is_lost_among_them() -> None:
    data = samples(300)
    soft = (data.y[:, :, None] + np.float32([-400, 0, 400])).reshape(300, 6)
    soft[::2] = np.nan  # every second row has a truth alone, the others a teacher alone
    y = np.where(np.arange(300)[:, None] % 2, np.nan, data.y).astype(np.float32)
    network, epochs = train(replace(data, y=y, soft=soft))
    assert np.isfinite([one.loss for one in epochs]).all()
    assert np.abs(answers(network, data)[:, :, 1] - data.y).mean() < 300


@pytest.mark.parametrize(
    ("y", "word"),
    [
        pytest.param([[1.0, np.nan]], "neither truth nor soft", id="a step without truth"),
        pytest.param([[1.0, np.inf]], "infinite", id="an infinite truth"),
        pytest.param(np.empty((0, 2)), "no training samples", id="no samples"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_in_words(y: object, word: str) -> None:
    truth = np.asarray(y, np.float32)
    some = samples(4)
    data = Samples(some.x[: len(truth)], truth, some.soft[: len(truth)], some.weight[: len(truth)])
    with pytest.raises(errors.InputError, match=word):
        train(data, epochs=1)


def test_a_target_that_never_varies_is_learned_as_it_is() -> None:
    data = samples(60)
    network, epochs = train(replace(data, y=np.full((60, 2), 7, np.float32)), epochs=2)
    assert np.isfinite(epochs[-1].loss) and np.abs(answers(network, data)[:, :, 1] - 7).max() < 5


def test_the_loss_is_the_pinball_loss_by_its_formula() -> None:
    data = samples(5)
    goal = OBJECTIVE.goal(nn.Identity(), data, Recipe(), SINGLE)
    said = np.random.default_rng(3).normal(size=(5, 2, 3)) * 1000 + 5000
    missed = data.y[:, :, None] - said
    levels = np.array(LEVELS) / 1000
    expected = np.where(missed > 0, levels * missed, (levels - 1) * missed).mean() / data.y.std()
    found = goal.loss(torch.from_numpy(said.reshape(5, 6)), torch.arange(5))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_workers_know_one_scale_which_is_that_of_all_their_samples() -> None:
    whole = samples(90)
    parts = [slice(0, 20), slice(20, 90)]

    def scales(member: Member) -> list[float]:
        mine = parts[member.rank]
        network = forecasting.Forecaster(2, steps=2, quantiles_permille=LEVELS, hidden=4, dense=4)
        share = Samples(whole.x[mine], whole.y[mine], whole.soft[mine], whole.weight[mine])
        OBJECTIVE.goal(network, share, Recipe(), member)
        return [float(network.target_mean), float(network.target_spread), *network.input_mean.tolist()]

    first, second = np.array(together(2, scales))
    np.testing.assert_allclose(first, second)
    np.testing.assert_allclose(first[:2], [whole.y.mean(), whole.y.std()], rtol=1e-5)


@pytest.mark.parametrize("false", [1e6, 1e12])
def test_one_false_truth_or_broken_sensor_does_not_decide_what_is_far_for_all(false: float) -> None:
    data, held = samples(300), samples(100, seed=1)
    data.y[7, 0] = data.x[8, 3, 0] = false
    found = np.abs(answers(train(data)[0], held)[:, :, 1] - held.y).mean()
    assert found < 300, "the noise alone has a mean of 160; without a bound all windows look alike"


def test_of_a_column_with_nearly_always_one_value_everything_is_believed() -> None:
    data = samples(300)
    data.x[:, :, 1] = 0
    data.x[5, 2, 1] = 40
    network = forecasting.gru(2, steps=2, hidden=4, dense=4)
    OBJECTIVE.goal(network, data, Recipe(), SINGLE)
    assert float(network.input_spread[1]) == pytest.approx(data.x[:, :, 1].std(), rel=1e-3)


def test_a_series_is_never_moved_against_its_truth() -> None:
    x, network = samples(3).x, nn.Identity()
    assert [one.__name__ for one in augment.resolve("generic", network, x, "series")] == ["_jitter_past"]
    assert augment.resolve("none", network, x, "series") == ()
    with pytest.raises(errors.InputError, match="against its truth"):
        augment.resolve("shift", network, x, "series")


def test_noise_leaves_what_a_forecast_starts_from_as_it_was() -> None:
    x = torch.from_numpy(samples(64).x)
    operations = augment.resolve("generic", nn.Identity(), x.numpy(), "series")
    noisy = augment.apply(operations, x.clone(), augment.Range(0.0, 1.0), torch.Generator().manual_seed(0))
    assert torch.equal(noisy[:, -1], x[:, -1]), "noise here would be learned as uncertainty of the truth"
    assert float((noisy[:, :-1, 0] != x[:, :-1, 0]).float().mean()) > 0.5
