"""Drift: a shift of confidence or more hard answers than the version was set for; never from noise or nothing."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import drift
from skerry.core.drift import Outcome, Window
from skerry.core.specs import RetrainSpec

POLICY = RetrainSpec()
HOLDOUT = (0, 5, 10, 15, 30, 60, 180, 700)


def window(counts: tuple[int, ...] = HOLDOUT, hard: int | None = None) -> Window:
    return Window(counts, sum(counts), sum(counts) // 10 if hard is None else hard)


ROWS = [
    pytest.param(HOLDOUT, window(), Outcome.NO_DRIFT, "AsExpected", id="the same confidence is no drift"),
    pytest.param(
        HOLDOUT,
        window((100, 150, 200, 150, 100, 100, 100, 100)),
        Outcome.DRIFT,
        "ConfidenceShift",
        id="less confidence is drift",
    ),
    pytest.param(
        HOLDOUT,
        window((0, 0, 0, 0, 0, 0, 0, 1000)),
        Outcome.DRIFT,
        "ConfidenceShift",
        id="much more confidence is drift too",
    ),
    pytest.param(
        HOLDOUT,
        window((0, 6, 11, 16, 32, 63, 182, 690)),
        Outcome.NO_DRIFT,
        "AsExpected",
        id="a small difference is none",
    ),
    pytest.param(
        HOLDOUT, window(hard=400), Outcome.DRIFT, "OffloadRise", id="many more hard answers than the target are drift"
    ),
    pytest.param(HOLDOUT, window(hard=180), Outcome.NO_DRIFT, "AsExpected", id="some more hard answers are none"),
    pytest.param(
        HOLDOUT, window((1, 1, 1, 1, 1, 1, 1, 1)), Outcome.INCONCLUSIVE, "TooFewAnswers", id="eight answers say nothing"
    ),
    pytest.param((), window(), Outcome.INCONCLUSIVE, "NotComparable", id="a version without a reference cannot drift"),
    pytest.param((1, 2), window(), Outcome.INCONCLUSIVE, "NotComparable", id="other bins cannot be compared"),
    pytest.param(HOLDOUT, Window((), 0, 0), Outcome.INCONCLUSIVE, "BadCounts", id="no reading says nothing"),
    pytest.param(
        HOLDOUT, Window((-1, 200), 200, 0), Outcome.INCONCLUSIVE, "BadCounts", id="negative counts say nothing"
    ),
    pytest.param(
        HOLDOUT, Window(HOLDOUT, 10, 11), Outcome.INCONCLUSIVE, "BadCounts", id="more hard answers than all say nothing"
    ),
]


@pytest.mark.parametrize(("reference", "seen", "outcome", "code"), ROWS)
def test_drift(reference: tuple[int, ...], seen: Window, outcome: Outcome, code: str) -> None:
    found = drift.judge(reference, seen, 0.1, POLICY)
    assert (found.outcome, found.code) == (outcome, code), found.reason


def test_a_significant_but_tiny_distance_is_no_drift() -> None:
    """With a million answers chance explains nothing; the least distance does."""
    big = tuple(1000 * count for count in HOLDOUT)
    moved = (*big[:-2], big[-2] + 20_000, big[-1] - 20_000)
    found = drift.judge(big, window(moved), 0.1, POLICY)
    assert found.p_value < 1e-6 and found.outcome is Outcome.NO_DRIFT


def test_the_distance_is_the_largest_gap_of_the_distributions() -> None:
    assert drift.kolmogorov_smirnov((1, 1, 1, 1), (0, 0, 2, 2))[0] == pytest.approx(0.5)


def test_the_p_value_is_that_of_the_published_table() -> None:
    """Critical values of the Kolmogorov distribution: Q(1.3581) = 0.05, Q(1.6276) = 0.01 (Smirnov 1948)."""
    n = 10**8
    for critical, alpha in ((1.3581, 0.05), (1.6276, 0.01)):
        gap = round(critical / math.sqrt(n / 2) * n)
        _, p_value = drift.kolmogorov_smirnov((n // 2, n - n // 2), (n // 2 - gap, n - n // 2 + gap))
        assert p_value == pytest.approx(alpha, rel=0.01)


def test_samples_of_one_distribution_rarely_differ() -> None:
    rng = random.Random(3)
    alarms = 0
    for _ in range(200):
        first, second = ([0] * 20, [0] * 20)
        for counts in (first, second):
            for _ in range(300):
                counts[int(rng.random() * 20)] += 1
        alarms += drift.kolmogorov_smirnov(first, second)[1] < 0.05
    assert alarms <= 200 * 0.05 * 1.6


@given(st.lists(st.integers(0, 50), min_size=3, max_size=3), st.lists(st.integers(0, 50), min_size=3, max_size=3))
def test_windows_add_up(first: list[int], second: list[int]) -> None:
    both = Window(tuple(first), sum(first), 0).plus(Window(tuple(second), sum(second), 0))
    assert both.requests == sum(both.confidence_counts) == sum(first) + sum(second)


def test_windows_with_other_bins_do_not_add_up_to_nonsense() -> None:
    assert Window((1, 2), 3, 0).plus(Window((1, 2, 3), 6, 0)).confidence_counts == ()
    assert Window().plus(Window((1, 2), 3, 1)) == Window((1, 2), 3, 1)
