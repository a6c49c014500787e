"""Rows of a forecaster: windows of a series by the clock, with what came after them.

A row at time T holds the readings of the `window` steps up to T, and as further columns, the same in every step, what
is known beforehand about the time of the forecast: its calendar, and the value one season before each step of it. Its
truth are the last `steps` of the `horizon` steps after T. No window has a missing step: rows that would are counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors, tensors
from skerry.core.series import calendar, clock
from skerry.core.series.grid import Grid

MAX_VALUES = 1 << 28
MAX_SEASONS = 16
# In what was dropped, with what it means to people.
REASONS: Mapping[str, str] = {
    "offStep": "rows beside the steps of the series",
    "gapInWindow": "windows with a missing step",
    "noTruth": "windows whose forecast has a missing step",
    "noSeason": "windows without a value a season ago (--lag)",
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How rows are cut, everything in steps of the series. `naive`: seasons of the naive forecasts; `lags`: seasons
    whose values are columns; `calendar`: parts as `calendar` has them, in the zone where the series' clock stands."""

    window: int
    horizon: int
    steps: int = 1
    naive: tuple[int, ...] = (1,)
    lags: tuple[int, ...] = ()
    calendar: tuple[str, ...] = ()
    zone: tzinfo | None = None
    stride: int = 1

    def columns(self, columns: Sequence[str]) -> tuple[str, ...]:
        """The names of a row's features: the series' own columns, the calendar, the values a season before."""
        lagged = [f"lag_{lag}+{lead}" for lag in self.lags for lead in self.leads.tolist()]
        return (*columns, *calendar.columns(self.calendar), *lagged)

    @property
    def leads(self) -> NDArray[np.int64]:
        """Steps from T to each step of the forecast."""
        return np.arange(self.horizon - self.steps + 1, self.horizon + 1)

    def check(self) -> None:
        """Raises InputError naming what is wrong."""
        if min(self.window, self.steps, self.stride) < 1 or self.steps > self.horizon:
            raise errors.InputError(
                f"a window of {self.window}, a stride of {self.stride} and {self.steps} steps of a horizon of "
                f"{self.horizon}: each must be at least 1, and the steps no more than the horizon"
            )
        if wrong := [season for season in (*self.naive, *self.lags) if season < 1]:
            raise errors.InputError(f"season {wrong[0]} must be at least 1 step")
        if max(len(self.naive), len(self.lags)) > MAX_SEASONS:
            raise errors.InputError(f"at most {MAX_SEASONS} seasons and {MAX_SEASONS} lags are taken")
        calendar.check(self.calendar)


@dataclass(frozen=True, slots=True)
class Windows:
    """`x` [n, window, features] float32, `y` [n, steps] float32, `naive` [n, len(naive), steps] float32 (NaN: no
    reading there), `time` [n] Unix ms of T, in order; `dropped` counts what gave no row."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    naive: NDArray[np.float32]
    time: NDArray[np.int64]
    dropped: Mapping[str, int] = field(default_factory=dict)


def cut(grid: Grid, recipe: Recipe, where: str) -> Windows:
    """Every row of one series that has all it needs; none where the series is too short. Raises InputError,
    TooLargeError."""
    recipe.check()
    ends = np.arange(recipe.window - 1, len(grid.values) - recipe.horizon, recipe.stride, dtype=np.int64)
    if len(ends) * recipe.steps * (1 + len(recipe.naive) + len(recipe.lags)) > MAX_VALUES:
        raise errors.TooLargeError(f"{where}: {len(ends)} windows of {recipe.steps} steps: take a --stride")
    before = np.concatenate([[0], np.cumsum(~grid.known)])
    ends, gaps = _keep(ends, before[ends + 1] == before[ends + 1 - recipe.window])
    target = grid.values[:, 0]
    ends, untold = _keep(ends, ~np.isnan(target[ends[:, None] + recipe.leads]).any(axis=1))
    lagged = _seasonal(target, ends, recipe.leads, recipe.lags).reshape(len(ends), len(recipe.lags) * recipe.steps)
    complete: NDArray[np.bool_] = np.all(~np.isnan(lagged), axis=1)
    ends, seasonless = _keep(ends, complete)
    return Windows(
        _inputs(grid, recipe, ends, lagged[complete], where),
        tensors.cast(target[ends[:, None] + recipe.leads], "FP32", where),
        tensors.cast(_seasonal(target, ends, recipe.leads, recipe.naive), "FP32", where),
        grid.times(ends),
        {
            reason: count
            for reason, count in (("gapInWindow", gaps), ("noTruth", untold), ("noSeason", seasonless))
            if count
        },
    )


def _keep(ends: NDArray[np.int64], good: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int]:
    return ends[good], int((~good).sum())


def _seasonal(
    target: NDArray[np.float64], ends: NDArray[np.int64], leads: NDArray[np.int64], seasons: Sequence[int]
) -> NDArray[np.float64]:
    """[n, seasons, steps] the seasonal naive forecasts (Hyndman and Athanasopoulos, "Forecasting: Principles and
    Practice", 5.2): for lead h the value at T + h - m·ceil(h/m), the newest that is whole seasons before. NaN: none."""
    back = np.array([[lead - season * -(-lead // season) for lead in leads.tolist()] for season in seasons], dtype=int)
    at = ends[:, None, None] + back.reshape(len(seasons), len(leads))
    return np.where(at >= 0, target[np.maximum(at, 0)], np.nan)


def _inputs(
    grid: Grid, recipe: Recipe, ends: NDArray[np.int64], lagged: NDArray[np.float64], where: str
) -> NDArray[np.float32]:
    ahead = calendar.values(clock.wall_ms(grid.times(ends + recipe.horizon), recipe.zone), recipe.calendar)
    known = np.concatenate([ahead, lagged], axis=1)
    own = grid.values.shape[1]
    shape = (len(ends), recipe.window, own + known.shape[1])
    if int(np.prod(shape)) > MAX_VALUES:
        raise errors.TooLargeError(f"{where}: rows of {list(shape)} are more than {MAX_VALUES} values: take a --stride")
    x = np.empty(shape, dtype=np.float32)
    if not len(ends):
        return x
    values = tensors.cast(grid.values, "FP32", where)
    view = np.lib.stride_tricks.sliding_window_view(values, recipe.window, axis=0)
    x[:, :, :own] = view[ends - recipe.window + 1].swapaxes(1, 2)
    x[:, :, own:] = tensors.cast(known, "FP32", where)[:, None, :]
    return x
