"""Small changes of rows as callers send them, and what a finished version's manifest says of its inputs."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from skerry.core import gates
from skerry.core.confidence import Calibration
from skerry.core.tasks import Classification
from skerry.trainer import quality


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.int16])
def test_changed_rows_are_near_and_of_the_same_kind(dtype: type) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 250, (16, 12, 12)).astype(dtype)
    made = quality.changed(x, quality.spread_of(x), rng)
    assert len(made) == 8
    for one in made:
        assert one.dtype == x.dtype and one.shape == x.shape
        assert np.abs(one.astype(float) - x.astype(float)).max() < 15
        assert (one != x).any()
    again = quality.changed(x, quality.spread_of(x), np.random.default_rng(1))
    assert (again[0] != made[0]).any()


def test_each_column_of_a_table_changes_by_its_own_range() -> None:
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(200, 2)) * [1, 1e6]).astype(np.float32)
    small, large = quality.spread_of(x)
    assert large / small == pytest.approx(1e6, rel=0.3)


def test_what_is_rarely_huge_makes_no_large_change_of_the_other_rows() -> None:
    """Areas of faults: most have some hundred pixels, one in fifty has a hundred thousand."""
    rng = np.random.default_rng(0)
    x = np.stack([rng.uniform(100, 300, 500), (rng.random(500) < 0.2) * 1.0], axis=1)
    x[::50, 0] = 1e5
    area, mark = quality.spread_of(x)
    assert 200 < area < 1000, "a hundredth of it is a few pixels"
    assert mark == 1.0, "a column of marks keeps its range"


class Version:
    """Answers by the sign of the sum of a row; `edge` rows lie at the border."""

    takes_ids = False

    def __init__(self) -> None:
        self.manifest: Any = SimpleNamespace(task=Classification(("low", "high")))

    def logits(self, x: np.ndarray) -> np.ndarray:
        total = x.astype(np.float64).reshape(len(x), -1).sum(axis=1)
        return np.stack([-total, total], axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ("border", "expected"),
    [
        pytest.param(0, gates.Outcome.PASS, id="rows far from the border"),
        pytest.param(16, gates.Outcome.FAIL, id="every golden row at the border"),
    ],
)
def test_rows_that_small_changes_turn_over_are_fragile(border: int, expected: gates.Outcome) -> None:
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], size=(300, 1)).astype(np.float32) * np.full((300, 6), 5, np.float32)
    x[:border] = np.float32([1e-4, -1e-4, 1e-4, -1e-4, 1e-4, 0])
    version: Any = Version()
    (gate,) = quality._robustness(gates.GatePolicy(), version, x, Calibration())
    assert gate.outcome is expected


def test_texts_and_ids_have_no_small_changes() -> None:
    version: Any = Version()
    assert quality._robustness(gates.GatePolicy(), version, np.array([[b"a"]], dtype=object), Calibration()) == []
    version.takes_ids = True
    assert quality._robustness(gates.GatePolicy(), version, np.ones((4, 3), np.int64), Calibration()) == []
