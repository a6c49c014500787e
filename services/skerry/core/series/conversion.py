"""From the rows of a table to the rows of a forecaster, one series after the other, and all of them split by time."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors
from skerry.core.series import cleaning, clock, grid, splitting, windows
from skerry.core.series.cleaning import Readings
from skerry.core.series.timestamps import Stamps
from skerry.core.series.windows import Recipe, Windows

# Times [n], how far a row reaches, and where they come from, for messages.
Splitter = Callable[[NDArray[np.int64], splitting.Reach, str], splitting.Split]
# What was dropped, with what it means to people.
REASONS: Mapping[str, str] = {
    clock.REPEATED_HOUR: "rows of an hour that the clock showed twice, which nothing tells apart",
    **cleaning.REASONS,
    **windows.REASONS,
    splitting.EMBARGO: "windows between training and holdout",
}


@dataclass(frozen=True, slots=True)
class Rules:
    """How the rows of a table are meant. `ranges`: the possible values of a column."""

    reading: clock.Reading
    ranges: Mapping[str, cleaning.Range]
    duplicates: cleaning.Duplicates
    step_ms: int
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class Summary:
    """One series, for people: `rows` of it in the table, its first and last reading (Unix ms), `lacking` steps between
    them in `gaps`, its longest `stretch` of steps without a gap, and the `windows` that it gave."""

    name: str
    rows: int
    first_ms: int
    last_ms: int
    lacking: int
    gaps: int
    stretch: int
    windows: int


@dataclass(frozen=True, slots=True)
class Converted:
    """One series as rows."""

    rows: Windows
    summary: Summary
    dropped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ForecastRows:
    """`x` [n, window, columns] float32, `y` [n, steps], `naive` [n, seasons, steps] (NaN: not known), `time` [n] Unix
    ms of T, `series` [n] names; `split` says which rows are what. `columns`: the names of a row's features."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    naive: NDArray[np.float32]
    time: NDArray[np.int64]
    series: NDArray[np.str_]
    split: splitting.Split
    columns: tuple[str, ...]
    dropped: Mapping[str, int]
    summaries: tuple[Summary, ...]


def one(
    name: str, columns: tuple[str, ...], stamps: Stamps, values: NDArray[np.float64], rules: Rules, where: str
) -> Converted:
    """Rows of one series, of its `stamps` and `values` [n, columns] in the order of the table, the target's column
    first. Raises InputError naming `where` and what to do, TooLargeError."""
    where = f"{where}, series {name!r}" if name else where
    times = clock.read(stamps, rules.reading, where)
    readings = Readings(name, columns, times.unix_ms[times.kept], values[times.kept])
    readings = cleaning.clean(readings, rules.ranges, rules.duplicates, where)
    laid, beside = grid.lay(readings, rules.step_ms, where)
    if beside and clock.changes(readings.unix_ms, rules.reading.zone):
        raise errors.InputError(
            f"{where}: its {rules.step_ms / 3_600_000:g}-hour steps follow a clock with summer time "
            f"({rules.reading.zone}), so that {beside} rows of one half of the year are beside the steps of the other: "
            "leave --time-zone out, and the steps are those of the clock as it is written"
        )
    rows = windows.cut(laid, rules.recipe, where)
    beside_it = {"offStep": beside} if beside else {}
    last = laid.start_ms + (len(laid.values) - 1) * laid.step_ms
    summary = Summary(
        name, len(values), laid.start_ms, last, laid.lacking, laid.gaps, laid.stretch, windows=len(rows.time)
    )
    return Converted(rows, summary, {**times.dropped, **readings.dropped, **beside_it, **rows.dropped})


def together(
    found: Sequence[Converted], columns: Sequence[str], rules: Rules, split_by: Splitter, where: str
) -> ForecastRows:
    """All series of a table, split by time. Raises InputError where no row is left, and as `split_by`."""
    recipe = rules.recipe
    time = np.concatenate([one.rows.time for one in found])
    if not len(time):
        raise errors.InputError(_no_row(recipe, max(one.summary.stretch for one in found), where))
    split = split_by(time, splitting.Reach(recipe.window, recipe.horizon, rules.step_ms), where)
    dropped: Counter[str] = Counter()
    for one in found:
        dropped.update(one.dropped)
    if split.embargoed:
        dropped[splitting.EMBARGO] = split.embargoed
    summaries = tuple(one.summary for one in found)
    return ForecastRows(
        x=np.concatenate([one.rows.x for one in found]),
        y=np.concatenate([one.rows.y for one in found]),
        naive=np.concatenate([one.rows.naive for one in found]),
        time=time,
        series=np.repeat([summary.name for summary in summaries], [summary.windows for summary in summaries]),
        split=split,
        columns=recipe.columns(columns),
        dropped=dict(dropped),
        summaries=summaries,
    )


def _no_row(recipe: Recipe, stretch: int, where: str) -> str:
    season = max(recipe.lags, default=0)
    needs = f"a window of {recipe.window} steps and the {recipe.horizon} steps of the horizon"
    also = f", and the values {season} steps before them (--lag)" if season else ""
    return (
        f"{where}: no row is left. A row needs {needs}{also}, and the longest stretch without a missing step has "
        f"{stretch}: bring a longer series, fill its gaps, or take a shorter window or horizon"
    )
