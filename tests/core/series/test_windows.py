"""Rows by the clock: what stands in them, what came after them, which are left out."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from skerry.core import errors
from skerry.core.series import windows
from skerry.core.series.grid import Grid
from skerry.core.series.windows import Recipe

HOUR = 3_600_000
FRIDAY = 1_514_764_800_000 + 4 * 24 * HOUR  # 2018-01-05 00:00 UTC


def series(slots: int, lacking: tuple[int, ...] = (), columns: int = 1) -> Grid:
    """The target is the number of the slot; each further column a thousand more."""
    values = np.arange(slots, dtype=float)[:, None] + 1000.0 * np.arange(columns)
    values[list(lacking)] = np.nan
    return Grid("", tuple("abc"[:columns]), FRIDAY, HOUR, values)


def test_a_row_is_the_window_up_to_its_time_and_its_truth_the_last_steps_of_the_horizon() -> None:
    rows = windows.cut(series(12, columns=2), Recipe(window=3, horizon=4, steps=2, naive=(1, 3)), "t.csv")
    assert rows.x.shape == (6, 3, 2)
    assert rows.x[0].tolist() == [[0, 1000], [1, 1001], [2, 1002]]
    assert rows.y[0].tolist() == [5, 6]  # leads 3 and 4 of T = 2
    assert rows.time[0] == FRIDAY + 2 * HOUR
    assert rows.naive[0].tolist() == [[2, 2], [2, 0]]  # the last value; three steps before 5, six before 6
    assert rows.x.dtype == rows.y.dtype == rows.naive.dtype == np.float32


def test_last_week_is_168_hours_ago_by_the_clock_whatever_rows_are_missing() -> None:
    lacking = (5, 6, 7, 100, 101)
    rows = windows.cut(series(400, lacking), Recipe(window=2, horizon=1, naive=(1, 168), lags=(168,)), "t.csv")
    assert (rows.naive[:, 1] == rows.y - 168).all()
    assert (rows.x[:, 0, 1] == rows.y[:, 0] - 168).all()
    assert (rows.x[:, 0, 1] == rows.x[:, 1, 1]).all()
    lost = {slot + 168 for slot in lacking}
    assert not lost & set(rows.y[:, 0].astype(int).tolist())


def test_no_window_crosses_a_gap_and_what_that_cost_is_counted() -> None:
    rows = windows.cut(series(20, lacking=(8,)), Recipe(window=3, horizon=2, steps=1, naive=(1,)), "t.csv")
    assert not np.isnan(rows.x).any()
    assert ((rows.time - FRIDAY) // HOUR).tolist() == [2, 3, 4, 5, 7, *range(11, 18)]
    assert rows.dropped == {"gapInWindow": 3, "noTruth": 1}


def test_a_naive_forecast_that_nobody_can_know_is_nan_and_the_row_stays() -> None:
    rows = windows.cut(series(10), Recipe(window=1, horizon=1, naive=(1, 4)), "t.csv")
    assert np.isnan(rows.naive[:, 1, 0]).tolist() == [True] * 3 + [False] * 6


def test_rows_without_the_value_a_season_ago_are_left_out_where_it_is_an_input() -> None:
    rows = windows.cut(series(10), Recipe(window=1, horizon=1, lags=(4,)), "t.csv")
    assert rows.dropped == {"noSeason": 3}
    assert rows.x[0].tolist() == [[3, 0]]


def test_the_calendar_is_that_of_the_hour_that_is_forecast_where_the_clock_stands() -> None:
    recipe = Recipe(window=1, horizon=5, calendar=("hour", "weekday"), zone=ZoneInfo("America/Chicago"))
    rows = windows.cut(series(48), recipe, "t.csv")
    named = dict(zip(recipe.columns(("a",)), rows.x[0, 0].tolist(), strict=True))
    assert named["hour_sin"] == pytest.approx(np.sin(2 * np.pi * 23 / 24))  # 05:00 in UTC is 23:00 of Thursday there
    assert named["hour_cos"] == pytest.approx(np.cos(2 * np.pi * 23 / 24))
    assert (named["thursday"], named["friday"]) == (1, 0)
    assert rows.x[1, 0, recipe.columns(("a",)).index("friday")] == 1


def test_the_day_of_the_year_goes_once_around_in_a_year() -> None:
    recipe = Recipe(window=1, horizon=1, calendar=("yearday",))
    rows = windows.cut(series(365 * 24), recipe, "t.csv")
    assert rows.x[0, 0, 1] == pytest.approx(np.sin(2 * np.pi * 4 / 365.2425), abs=1e-6)
    assert (rows.x[:, 0, 2] > 0.999).sum() == pytest.approx(24 * 5, abs=30)  # early January on both ends


def test_a_stride_takes_every_so_many_windows() -> None:
    rows = windows.cut(series(20), Recipe(window=3, horizon=1, stride=5), "t.csv")
    assert rows.y[:, 0].tolist() == [3, 8, 13, 18]


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_series_that_is_too_short_gives_no_row(rows: int) -> None:
    assert len(windows.cut(series(rows), Recipe(window=3, horizon=3), "t.csv").x) == 0


def test_more_values_than_memory_holds_are_refused_before_any_is_made() -> None:
    steps = 1000
    with pytest.raises(errors.TooLargeError, match="of 1000 steps: take a --stride"):
        windows.cut(series(windows.MAX_VALUES // steps), Recipe(window=1, horizon=steps, steps=steps), "t.csv")


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        pytest.param(Recipe(window=0, horizon=1), "a window of 0", id="no window"),
        pytest.param(Recipe(window=1, horizon=1, steps=2), "no more than the horizon", id="more steps than horizon"),
        pytest.param(Recipe(window=1, horizon=1, lags=(0,)), "season 0", id="a season of nothing"),
        pytest.param(Recipe(window=1, horizon=1, calendar=("moon",)), "calendar 'moon' is none of hour", id="calendar"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(recipe: Recipe, said: str) -> None:
    with pytest.raises(errors.InputError, match=said):
        windows.cut(series(20), recipe, "t.csv")


def test_a_number_that_a_row_cannot_hold_is_refused() -> None:
    grid = series(20)
    grid.values[3] = 1e39
    with pytest.raises(errors.InputError, match="which FP32"):
        windows.cut(grid, Recipe(window=3, horizon=1), "t.csv")
