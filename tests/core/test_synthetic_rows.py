"""Noise in place of real rows: of their size, their datatype and their range, and none of them."""

import numpy as np
import pytest

from skerry.core import synthetic_rows


def test_each_feature_has_about_the_mean_and_spread_of_the_real_rows() -> None:
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(500, 24, 2)) * [1.0, 300.0] + [50.0, -2000.0]).astype(np.float32)
    made = synthetic_rows.like(rows, 200)
    assert (made.shape, made.dtype) == ((200, 24, 2), np.float32)
    np.testing.assert_allclose(made.mean(axis=(0, 1)), [50.0, -2000.0], rtol=0.05)
    np.testing.assert_allclose(made.std(axis=(0, 1)), [1.0, 300.0], rtol=0.05)


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "<i2", "<i8", "<u8", "<f2", "<f4", "<f8"])
def test_every_datatype_keeps_its_own_and_whole_numbers_their_range(dtype: str) -> None:
    rows = (np.arange(60).reshape(20, 3) % 7 + 1).astype(dtype)
    made = synthetic_rows.like(rows, 16)
    assert (made.shape, made.dtype) == ((16, 3), rows.dtype)
    if made.dtype.kind in "iu":
        assert made.min() >= rows.min() and made.max() <= rows.max()
    else:
        assert np.isfinite(made).all()


def test_numbers_that_a_float_does_not_hold_stay_in_their_range() -> None:
    rows = np.array([[2**63 - 1], [2**63 - 3]], dtype=np.int64)
    assert set(synthetic_rows.like(rows, 8).ravel().tolist()) <= {2**63 - 1, 2**63 - 2, 2**63 - 3}
    huge = np.full((3, 2), np.finfo(np.float32).max, dtype=np.float32)
    assert np.isfinite(synthetic_rows.like(huge, 8)).all()


def test_a_single_real_row_is_not_the_synthetic_one() -> None:
    """All its numbers but their mean and spread are gone; a place in the row has none of its own."""
    row = np.random.default_rng(1).normal(size=(1, 16, 16)).astype(np.float32)
    made = synthetic_rows.like(row, 16)
    assert max(abs(np.corrcoef(one.ravel(), row.ravel())[0, 1]) for one in made) < 0.5


def test_the_same_rows_give_the_same_noise() -> None:
    rows = np.arange(12, dtype=np.float64).reshape(4, 3)
    assert np.array_equal(synthetic_rows.like(rows, 5), synthetic_rows.like(rows, 5))
