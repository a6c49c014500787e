"""The training loop learns, is deterministic, stands odd sizes and classes, and never hands out a diverged network."""

import numpy as np
import pytest
import torch
from torch import nn

from skerry.core import errors
from skerry.nets import training
from skerry.nets.class_objective import ClassObjective
from skerry.nets.training import Recipe, Samples

DIMS = 6


def samples(per_class: list[int], seed: int = 0, noise: float = 0.3) -> Samples:
    """One cluster per class in DIMS dimensions."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(per_class)), per_class)
    centers = np.random.default_rng(99).normal(size=(len(per_class), DIMS)) * 2
    x = (centers[y] + rng.normal(size=(len(y), DIMS)) * noise).astype(np.float32)
    nothing = np.full((len(y), len(per_class)), np.nan, np.float32)
    return Samples(x, y.astype(np.int64), nothing, np.ones(len(y), np.float32))


def network(classes: int, normalize: bool = False) -> nn.Module:
    middle = [nn.BatchNorm1d(16)] if normalize else []
    return nn.Sequential(nn.Linear(DIMS, 16), *middle, nn.ReLU(), nn.Linear(16, classes))


def train(data: Samples, recipe: Recipe = Recipe(), normalize: bool = False) -> tuple[nn.Module, list[training.Epoch]]:  # noqa: B008 — frozen
    classes = data.soft.shape[1]
    training.prepare(recipe.seed)
    epochs: list[training.Epoch] = []
    return training.train(network(classes, normalize), data, recipe, epochs.append, ClassObjective(classes)), epochs


def recall(trained: nn.Module, data: Samples) -> list[float]:
    answers = training.predict(trained, data.x).argmax(axis=1)
    return [float((answers[data.y == k] == k).mean()) for k in np.unique(data.y)]


def test_it_learns_and_says_so_after_each_epoch() -> None:
    trained, epochs = train(samples([60, 60, 60]), Recipe(epochs=20))
    assert min(recall(trained, samples([50, 50, 50], seed=1))) > 0.95
    assert [one.epoch for one in epochs] == list(range(1, 21)) and epochs[-1].loss < epochs[0].loss


def test_one_seed_gives_the_same_weights_bit_by_bit_and_another_others() -> None:
    def weights(seed: int) -> bytes:
        trained, _ = train(samples([30, 30]), Recipe(epochs=2, seed=seed))
        return b"".join(one.detach().numpy().tobytes() for one in trained.parameters())

    assert weights(5) == weights(5) != weights(6)


@pytest.mark.parametrize("balance", ["draws", "logits"])
def test_one_to_a_thousand_keeps_the_rare_class(balance: str) -> None:
    trained, epochs = train(samples([1000, 1]), Recipe(epochs=6, balance=balance))
    assert np.isfinite([one.loss for one in epochs]).all()
    assert recall(trained, samples([50, 50], seed=1))[1] > 0.9


def test_both_ways_of_balancing_help_a_rare_class_that_overlaps() -> None:
    def rare_recall(balance: str) -> float:
        trained, _ = train(samples([600, 12], noise=2.5), Recipe(epochs=6, balance=balance))
        return recall(trained, samples([200, 200], seed=1, noise=2.5))[1]

    plain = rare_recall("none")
    assert rare_recall("draws") > plain + 0.1 and rare_recall("logits") > plain + 0.1


def test_an_absent_class_does_no_harm() -> None:
    trained, epochs = train(samples([50, 0, 50]), Recipe(epochs=20))
    assert np.isfinite([one.loss for one in epochs]).all()
    assert min(recall(trained, samples([20, 0, 20], seed=1))) > 0.95


@pytest.mark.parametrize("counts", [[0, 0], [9, 0], [1, 0]], ids=["no samples", "one class", "one sample"])
def test_nothing_to_tell_apart_is_refused_in_words(counts: list[int]) -> None:
    with pytest.raises(errors.InputError, match="at least two classes"):
        train(samples(counts))


@pytest.mark.parametrize("n", [2, 3, 9, 33])
def test_every_number_of_samples_trains_with_batch_normalization(n: int) -> None:
    trained, epochs = train(samples([n - n // 2, n // 2]), Recipe(epochs=2), normalize=True)
    assert np.isfinite(epochs[-1].loss) and len(training.predict(trained, samples([3, 3]).x)) == 6


def test_a_diverged_network_is_never_handed_out() -> None:
    data = samples([30, 30])
    data.x[3, 2] = np.nan
    with pytest.raises(errors.InputError, match="loss is no number"):
        train(data)


def test_soft_labels_teach_where_there_are_no_hard_ones() -> None:
    data = samples([60, 60])
    soft = np.where(data.y[:, None] == np.arange(2), 0.9, 0.1).astype(np.float32)
    trained, _ = train(Samples(data.x, np.full(120, -1), soft, data.weight), Recipe(epochs=20))
    assert min(recall(trained, samples([50, 50], seed=1))) > 0.95


def test_the_truth_wins_over_a_teacher_that_is_wrong() -> None:
    data = samples([60, 60])
    wrong = np.where(data.y[:, None] == np.arange(2), 0.0, 1.0).astype(np.float32)
    trained, _ = train(Samples(data.x, data.y, wrong, data.weight), Recipe(epochs=20))
    assert min(recall(trained, samples([50, 50], seed=1))) > 0.95


def test_a_row_without_any_label_is_refused() -> None:
    data = samples([3, 3])
    with pytest.raises(errors.InputError, match="no label of any kind"):
        train(Samples(data.x, np.full(6, -1), data.soft, data.weight), Recipe(epochs=20))


def test_weights_count() -> None:
    """The same inputs with contradicting labels: the heavier side wins."""
    x = np.random.default_rng(0).normal(size=(40, DIMS)).astype(np.float32)
    both = np.concatenate([x, x])
    y = np.repeat(np.int64([0, 1]), 40)
    nothing = np.full((80, 2), np.nan, np.float32)
    trained, _ = train(Samples(both, y, nothing, np.repeat(np.float32([5, 1]), 40)), Recipe(epochs=60))
    assert (training.predict(trained, x).argmax(axis=1) == 0).mean() > 0.9


@pytest.mark.parametrize(("n", "batch"), [(0, 8), (2, 8), (120, 8), (1800, 32), (2800, 64), (10**6, 128)])
def test_few_samples_get_small_batches(n: int, batch: int) -> None:
    assert training.batch_size(n) == batch


def test_the_learning_rate_warms_up_and_fades_out_for_any_number_of_steps() -> None:
    for total in (2, 5, 1000):
        shares = [training.pace(step, total) for step in range(total + 1)]
        assert max(shares) == pytest.approx(1.0) and min(shares) >= 0 and shares[-1] < 1e-9
    assert training.pace(0, 1000) < 0.01 and training.pace(200, 1000) == 1.0


def test_predicting_nothing_gives_nothing() -> None:
    assert len(training.predict(network(2), np.empty((0, DIMS), np.float32))) == 0
    assert torch.get_num_threads() >= 1
