"""What earlier truths of a series forecast: the same in whatever order the rows come."""

import itertools

from skerry.core.series import naive
from skerry.core.tasks import Forecast

TASK = Forecast("load", "kWh", (100, 500, 900), 3600, horizon=2, steps=2, naive=(1,))
HOUR_MS = 3_600_000
NORTH = ("north", "plant")


def test_of_contradicting_truths_the_same_counts_in_any_order() -> None:
    rows = [
        (NORTH, 0, (1.0, 2.0)),
        (NORTH, HOUR_MS, (3.0, 4.0)),  # says again what came at 2 h
        (NORTH, HOUR_MS, (3.5, 4.5)),
        (("south", "plant"), 0, (9.0, 9.0)),
    ]
    told = [naive.came_true(order, TASK)[NORTH] for order in itertools.permutations(rows)]
    assert all(one == {HOUR_MS: 1.0, 2 * HOUR_MS: 3.5, 3 * HOUR_MS: 4.5} for one in told)


def test_a_truth_as_large_as_a_float_is_a_forecast_as_any() -> None:
    known = naive.came_true([(NORTH, 0, (1e30, 1e30))], TASK)
    assert naive.seasonal([(NORTH, 2 * HOUR_MS)], known, TASK).tolist()[0][0][0] > 9e29
