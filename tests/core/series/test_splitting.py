"""Time does not leak: nothing that a training row saw or was told is part of a holdout row."""

import numpy as np
import pytest
from numpy.typing import NDArray

from skerry.core import errors
from skerry.core.series import splitting, windows
from skerry.core.series.grid import Grid
from skerry.core.series.splitting import Reach
from skerry.core.series.windows import Recipe

HOUR = 3_600_000
START = 1_514_764_800_000


@pytest.mark.parametrize(("window", "horizon", "share"), [(1, 1, 0.5), (24, 1, 0.2), (24, 24, 0.3), (168, 24, 0.2)])
def test_the_latest_truth_of_training_and_the_embargo_end_before_the_first_window_of_the_holdout(
    window: int, horizon: int, share: float
) -> None:
    rng = np.random.default_rng(window)
    time = START + np.sort(rng.choice(8000, 5000, replace=False)) * HOUR
    reach = Reach(window, horizon, HOUR)
    split = splitting.by_time(time, reach, "t.csv", share=share)
    latest = time[split.train].max() + horizon * HOUR
    assert latest + reach.embargo_ms < time[split.holdout].min() - (window - 1) * HOUR
    assert int(split.holdout.sum()) == pytest.approx(share * 5000, abs=1)
    assert split.embargoed + int(split.train.sum()) + int(split.holdout.sum()) == 5000
    assert 0 < split.embargoed <= 2 * (window + horizon)


def test_series_are_split_at_one_time() -> None:
    time = np.concatenate([START + np.arange(300) * HOUR, START + np.arange(200, 500) * HOUR])
    split = splitting.by_time(time, Reach(4, 2, HOUR), "t.csv", share=0.3)
    assert time[split.train].max() < time[split.holdout].min()


@pytest.mark.parametrize(
    ("rows", "share", "said"),
    [
        pytest.param(40, 0.3, "an embargo of 25 steps", id="nothing is left to train on"),
        pytest.param(0, 0.3, "no row is left", id="no rows"),
        pytest.param(500, 0.0, "a share between 0 and 1", id="no share"),
        pytest.param(500, 1.0, "a share between 0 and 1", id="all of it"),
    ],
)
def test_a_split_that_leaves_one_side_empty_is_refused(rows: int, share: float, said: str) -> None:
    with pytest.raises(errors.InputError, match=said):
        splitting.by_time(START + np.arange(rows) * HOUR, Reach(24, 1, HOUR), "t.csv", share=share)


@pytest.mark.parametrize(("window", "horizon"), [(1, 1), (24, 1), (96, 24), (672, 96)])
def test_no_step_of_a_captured_training_row_is_a_step_of_a_captured_holdout_row(window: int, horizon: int) -> None:
    reach = Reach(window, horizon, HOUR)
    hours = np.arange(0, 60 * splitting.block_ms(reach) // HOUR, 1 + window // 24)
    places = np.array([splitting.of_captured("north", START + int(hour) * HOUR, reach) for hour in hours])
    held = np.zeros(hours[-1] + window + horizon + 1, dtype=bool)
    for hour in hours[places == "holdout"]:
        held[hour : hour + window + horizon] = True  # the hours of its window and its truth, all later by window - 1
    assert not any(held[hour : hour + window + horizon].any() for hour in hours[places == "train"])
    shares = {place: float((places == place).mean()) for place in ("train", "holdout", "embargo")}
    assert 0.08 < shares["holdout"] < 0.35
    assert shares["train"] > 0.5


def test_where_a_captured_row_belongs_is_told_by_its_series_and_time_alone() -> None:
    reach = Reach(24, 1, HOUR)
    middles = [week * splitting.WEEK_MS + splitting.WEEK_MS // 2 for week in range(2500, 2900)]
    places = {
        name: "".join(splitting.of_captured(name, middle, reach)[0] for middle in middles)
        for name in ("north", "south")
    }
    assert places["north"] != places["south"]
    assert places["north"][:24] == "tthttththttttththhtthhtt"  # the answer never changes, in no release
    assert all(0.1 < found.count("h") / 400 < 0.3 for found in places.values())


def test_of_a_network_trained_elsewhere_every_row_after_its_training_and_the_embargo_is_held_out() -> None:
    time, reach = START + np.arange(100) * HOUR, Reach(4, 2, HOUR)
    assert splitting.after(time, reach, "t.csv", until_ms=None).holdout.all()
    until = START + 10 * HOUR
    split = splitting.after(time, reach, "t.csv", until_ms=until)
    assert not split.train.any()
    assert time[split.holdout].min() == until + (6 + 1 + 3) * HOUR  # the embargo, a step, the window before T
    for rows, last in ((time, START + 95 * HOUR), (time[:0], None)):
        with pytest.raises(errors.InputError, match=r"its holdout is empty|no row is left"):
            splitting.after(rows, reach, "t.csv", until_ms=last)


def memory_gain(rows: windows.Windows, train: NDArray[np.bool_], holdout: NDArray[np.bool_]) -> float:
    """How much smaller the error of a forecaster is that only remembers (the truth of the nearest training window)
    than that of the last value, as a share."""
    seen, asked = rows.x[train, :, 0], rows.x[holdout, :, 0]
    distance = (seen**2).sum(axis=1)[None] - 2 * asked @ seen.T
    remembered = rows.y[train][distance.argmin(axis=1)]
    mistakes = np.abs(remembered - rows.y[holdout]).mean(), np.abs(rows.naive[holdout, 0] - rows.y[holdout]).mean()
    return 1 - float(mistakes[0] / mistakes[1])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_forecaster_that_only_remembers_gains_nothing_on_the_holdout(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hours = np.arange(4000)
    values = np.cumsum(rng.normal(size=4000)) + 2 * np.sin(2 * np.pi * hours / 24)
    recipe = Recipe(window=24, horizon=24)
    rows = windows.cut(Grid("", ("load",), START, HOUR, values[:, None]), recipe, "walk")
    split = splitting.by_time(rows.time, Reach(24, 24, HOUR), "walk", share=0.25)
    hashed = rng.random(len(rows.time)) < 0.25
    assert memory_gain(rows, ~hashed, hashed) > 0.5
    assert memory_gain(rows, split.train, split.holdout) < 0.0
