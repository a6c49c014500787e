"""Weights for unequal classes: always finite, equal mass per present class, an absent class left out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import imbalance

labels = st.lists(st.integers(0, 4), max_size=200).map(lambda found: np.array(found, dtype=np.int64))


@given(labels)
def test_every_present_class_is_drawn_equally_often(y: np.ndarray) -> None:
    weights = imbalance.sampling_weights(y, 5)
    assert np.isfinite(weights).all() and (weights >= 0).all()
    mass = np.bincount(y, weights=weights, minlength=5)
    present = imbalance.counts(y, 5) > 0
    assert mass[present] == pytest.approx(1 / max(1, present.sum()))


@given(labels)
def test_adjusted_logits_are_finite_and_order_classes_by_frequency(y: np.ndarray) -> None:
    per_class = imbalance.counts(y, 5)
    shift = imbalance.logit_adjustment(per_class)
    assert np.isfinite(shift).all()
    assert (np.diff(shift[np.argsort(per_class)]) >= -1e-6).all()


def test_one_to_a_thousand_is_balanced() -> None:
    y = np.array([0] * 1000 + [1])
    weights = imbalance.sampling_weights(y, 2)
    assert weights[-1] == pytest.approx(0.5) and weights[:1000].sum() == pytest.approx(0.5)
    assert imbalance.minority_mask(y, 2).tolist() == [False] * 1000 + [True]
    assert imbalance.is_skewed(imbalance.counts(y, 2))


def test_own_weights_keep_their_proportion_within_the_class() -> None:
    weights = imbalance.sampling_weights(np.array([0, 0, 1]), 2, np.float32([1, 3, 5]))
    assert weights == pytest.approx([0.125, 0.375, 0.5])


def test_a_class_without_weight_counts_as_absent() -> None:
    assert imbalance.sampling_weights(np.array([0, 1]), 2, np.float32([0, 1])) == pytest.approx([0, 1])
    assert imbalance.sampling_weights(np.array([0, 1]), 2, np.float32([0, 0])).tolist() == [0, 0]
    assert len(imbalance.sampling_weights(np.array([], np.int64), 2)) == 0


def test_equal_classes_have_no_minority() -> None:
    assert not imbalance.is_skewed(np.int64([10, 12, 9]))
    assert not imbalance.is_skewed(np.int64([0, 0, 0]))
    assert imbalance.minorities(np.int64([10, 0, 2]), 0.5).tolist() == [False, False, True]
