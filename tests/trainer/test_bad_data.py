"""Training data that is wrong in one way: each ends in words or in a verdict that says so, and never in a version."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from training_runs import play, proposal
from training_world import TASK, World, rows

from skerry.core import dataset_parts, datasets, errors, gates
from skerry.core.dataset_parts import Rows

INPUT = datasets.Input("window", "FP32", (20, 4))
GOOD, HELD = [60, 60, 60], [40, 40, 40]


def dataset(world: World, train: Rows, held: Rows | None = None) -> str:
    parts = {("train", "imported"): train, ("holdout", "imported"): rows(HELD, seed=1) if held is None else held}
    return world.dataset(parts)  # type: ignore[arg-type]


def no_numbers(train: Rows) -> Rows:
    return replace(train, x=np.full_like(train.x, np.nan))


@pytest.mark.parametrize(
    ("train", "word"),
    [
        pytest.param(lambda: rows([0, 0, 0]), "no training samples", id="empty"),
        pytest.param(lambda: rows([0, 40, 0]), "one class only, 'worn'", id="one class"),
        pytest.param(lambda: rows([1, 0, 0]), "one class only, 'ok'", id="one sample"),
        pytest.param(lambda: no_numbers(rows(GOOD)), "180 non-finite rows were left out", id="all NaN"),
        pytest.param(lambda: rows(HELD, seed=1), "120 in-holdout rows were left out", id="nothing but the holdout"),
    ],
)
def test_what_cannot_be_learned_from_ends_the_run_in_words(train: Callable[[], Rows], word: str) -> None:
    world = World()
    with pytest.raises(errors.InputError, match=word):
        play(world, "bad", dataset(world, train()))


def test_a_holdout_row_in_training_is_refused_and_the_rest_is_learned() -> None:
    world, held = World(), rows(HELD, seed=1)
    leaking = dataset_parts.concatenate([rows(GOOD), held.take(np.arange(30))], INPUT, TASK)
    assert play(world, "leak", dataset(world, leaking, held)).passed
    report = proposal(world, "leak")["report"]["training"]
    assert report["dropped"]["in-holdout"] == 30 and report["trainedOn"]["imported"] == 180


def test_a_holdout_of_one_row_many_times_judges_nothing() -> None:
    world, one = World(), rows([1, 1, 1], seed=1)
    verdict = play(world, "copies", dataset(world, rows(GOOD), one.take(np.repeat(np.arange(3), 40))))
    assert verdict.outcome is gates.Outcome.INCONCLUSIVE and "of which 3 differ from each other" in verdict.reason


def flipped(whole: Rows, one_in: int = 10) -> Rows:
    y = whole.y.copy()
    y[::one_in] = (y[::one_in] + 1) % 3
    return replace(whole, y=y)


@pytest.mark.parametrize(
    ("in_holdout", "gate"),
    [
        pytest.param(False, "training-labels", id="in the training rows"),
        pytest.param(True, "imported-labels", id="in all rows"),
    ],
)
def test_one_flipped_label_in_ten_is_noticed(in_holdout: bool, gate: str) -> None:
    world, held = World(gates={"minHoldout": 60}), rows([160] * 3, seed=1)
    wrong = dataset(world, flipped(rows([200] * 3)), flipped(held) if in_holdout else held)
    verdict = play(world, "wrong", wrong, overrides={"epochs": 4})
    assert not verdict.passed
    assert {one.name: one.outcome for one in verdict.gates}[gate] is not gates.Outcome.PASS


def test_a_huge_finite_row_poisons_neither_training_nor_int8_nor_the_calibration() -> None:
    clean, poisoned = World(), World()
    train, held = rows(GOOD), rows(HELD, seed=1)
    assert play(clean, "run", dataset(clean, train, held)).passed
    train.x[5], held.x[7, 0, 0] = 1e20, 3e30
    assert play(poisoned, "run", dataset(poisoned, train, held)).passed
    reports = [proposal(world, "run")["report"] for world in (clean, poisoned)]
    assert reports[1]["training"]["dropped"]["impossible"] == 2
    assert reports[1]["compression"]["int8"] == reports[0]["compression"]["int8"] is True
