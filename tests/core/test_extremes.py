"""Numbers that cannot be are found wherever they stand; heavy tails, sparse columns and few rows are let be."""

import numpy as np
import pytest

from skerry.core import extremes
from skerry.core.tasks import Classification


def table(n: int = 300) -> np.ndarray:
    rng = np.random.default_rng(0)
    sparse = np.where(rng.uniform(size=n) < 0.02, 40.0, 0.0)
    columns = [rng.normal(size=n), 1e7 * rng.lognormal(size=n), rng.lognormal(sigma=2, size=n), sparse, np.zeros(n)]
    return np.stack(columns, axis=1).astype(np.float32)


@pytest.mark.parametrize("column", range(5))
@pytest.mark.parametrize("value", [1e30, -1e30])
def test_a_huge_finite_number_is_impossible_in_any_column(column: int, value: float) -> None:
    x = table()
    x[7, column] = value
    assert np.flatnonzero(extremes.impossible(x)).tolist() == [7]


def test_what_a_table_usually_holds_is_possible() -> None:
    assert not extremes.impossible(table()).any()
    assert not extremes.impossible(np.zeros((50, 3), np.float32)).any()
    assert not extremes.impossible(np.full((50, 3), 200, np.uint8)).any()
    assert not extremes.impossible(np.array([[1.0], [1e30]])).any()  # of two rows none can say which is usual
    assert not extremes.impossible(np.empty((0, 3), np.float32)).any()


def test_one_huge_number_is_unusual_and_others_are_not() -> None:
    x = table()[:, :1]
    assert not extremes.unusual(x).any()
    x[3] = 1e6
    assert np.flatnonzero(extremes.unusual(x)).tolist() == [3]


def test_a_huge_row_of_the_holdout_does_not_poison_the_calibration() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 400)
    logits = (rng.normal(size=(400, 3)) + 3 * np.eye(3)[truth]).astype(np.float32)
    clean = Classification(("a", "b", "c")).calibrate(logits, truth, 0.1, "logits")
    logits[5] = np.eye(3, dtype=np.float32)[(truth[5] + 1) % 3] * 1e8  # sure, and wrong
    poisoned = Classification(("a", "b", "c")).calibrate(logits, truth, 0.1, "logits")
    assert poisoned.temperature == pytest.approx(clean.temperature, rel=0.05)
