"""A table with a column of times as the rows of a forecaster. What times, readings and windows mean is decided in
`core.series`; here the table is read, and what the person says is held against the model and the table."""

import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.cli.importing import columns, tables
from skerry.core import errors
from skerry.core.datasets import Input
from skerry.core.series import cleaning, clock, conversion, splitting, timestamps, windows
from skerry.core.series.conversion import ForecastRows, Rules, Splitter
from skerry.core.series.timestamps import Stamps
from skerry.core.series.windows import Recipe
from skerry.core.tasks.forecast import Forecast

MAX_SERIES = 10_000
MAX_NAME = 120  # characters of a series' name, as in requests, and bytes, as in datasets
_EXACT = Input("", "FP64", (1,))  # numbers as the table has them; a row rounds them to its FP32
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Choices:
    """What the person who imports says. `target`, `unit`, `horizon` and `seasons`: as the model has them, or empty;
    `window` 0: the model's. Everything counted is in steps of the series. `holdout_share` None: all of it is holdout,
    from `trained_until` on (empty: from its beginning), a time as the table writes them."""

    time_column: str = ""
    time_format: str = ""
    time_zone: str = ""
    midnight: clock.Midnight = ""
    sort: bool = False
    duplicates: cleaning.Duplicates = ""
    valid: tuple[str, ...] = ()
    target: str = ""
    unit: str = ""
    features: tuple[str, ...] = ()
    known_later: tuple[str, ...] = ()
    group: str = ""
    horizon: int = 0
    seasons: tuple[int, ...] = ()
    window: int = 0
    stride: int = 1
    lags: tuple[int, ...] = ()
    calendar: tuple[str, ...] = ()
    holdout_share: float | None = 0.3
    trained_until: str = ""


def read(path: Path, choices: Choices, forecast: Forecast, row: Input) -> ForecastRows:
    """Every row that the table gives, split by time. Raises InputError naming the table, the column or option and what
    to do, TooLargeError."""
    _check_meant(choices, forecast)
    features = tuple(name for name in choices.features if name != forecast.target)
    names = (forecast.target, *features)
    rules = _rules(choices, forecast, row)
    table = tables.load(path, [name for name in (choices.time_column, choices.group) if name], names, _EXACT)
    _check_columns(path, table.column_names, choices, forecast.target, features, rules)
    _check_row(rules.recipe.columns(names), rules.recipe.window, row)
    stamps = _stamps(path, table, choices)
    if stamps.has_offset and rules.reading.zone is None and choices.calendar:
        raise errors.InputError(
            f"{path}: its times say their offset from UTC, and not where its days begin: name the zone of --calendar "
            "with --time-zone (UTC, Europe/Berlin, …)"
        )
    values = _numbers(path, table, names)
    _check_possible(path, values[:, 0], forecast, rules)
    found, size = list[conversion.Converted](), 0
    for name, rows in _groups(path, table, choices.group):
        of_series = Stamps(stamps.ms[rows], stamps.has_offset)
        found.append(conversion.one(name, names, of_series, values[rows], rules, str(path)))
        size += found[-1].rows.x.size
        if size > windows.MAX_VALUES:
            raise errors.TooLargeError(
                f"{path}: its first {len(found)} series give more than {windows.MAX_VALUES} values: take a --stride, "
                "or import fewer series"
            )
    return conversion.together(found, names, rules, _splitter(choices, rules.reading), str(path))


def _check_possible(path: Path, target: NDArray[np.float64], forecast: Forecast, rules: Rules) -> None:
    """Raises InputError for values that the model says cannot be, unless --valid leaves them out."""
    low, high = rules.ranges.get(forecast.target, (-np.inf, np.inf))
    meant = np.isfinite(target) & (target >= low) & (target <= high)
    wrong = [at for at in np.flatnonzero(meant).tolist() if forecast.impossible(target[at])]
    if wrong:
        raise errors.InputError(
            f"{path}: {len(wrong):,} rows, the first is row {wrong[0] + 1:,}: {forecast.impossible(target[wrong[0]])}; "
            f"leave such rows out with --valid {forecast.target}=LOW:HIGH, or say in the EdgeModel what can be"
        )


def _splitter(choices: Choices, reading: clock.Reading) -> Splitter:
    if choices.holdout_share is not None:
        return partial(splitting.by_time, share=choices.holdout_share)
    if not choices.trained_until:
        return partial(splitting.after, until_ms=None)
    where, shown = "--trained-until", f"--trained-until {choices.trained_until[:_SHOWN]!r}"
    try:
        stamps = timestamps.parse(np.array([choices.trained_until]), choices.time_format, where)
    except errors.InputError as exc:  # it speaks of a table's rows
        form = f"in the form {choices.time_format!r}" if choices.time_format else "in ISO 8601 (2018-01-31 13:45)"
        raise errors.InputError(f"{shown} is no time: write it as the table does, {form} (--time-format)") from exc
    try:
        times = clock.read(stamps, reading, where)
    except errors.InputError as exc:
        raise errors.InputError(f"{shown} is an hour that {reading.zone} left out: give an hour after it") from exc
    if not times.kept.all():
        raise errors.InputError(f"{where}: the clock showed {choices.trained_until!r} twice: give an hour after it")
    return partial(splitting.after, until_ms=int(times.unix_ms[0]))


def _rules(choices: Choices, forecast: Forecast, row: Input) -> Rules:
    zone = _zone(choices.time_zone)
    recipe = Recipe(
        window=choices.window or row.shape[0],
        horizon=forecast.horizon,
        steps=forecast.steps,
        naive=forecast.naive,
        lags=choices.lags,
        calendar=choices.calendar,
        zone=zone,
        stride=choices.stride,
    )
    recipe.check()
    reading = clock.Reading(zone, choices.midnight, choices.sort)
    ranges = cleaning.parse_ranges(choices.valid)
    return Rules(reading, ranges, choices.duplicates, forecast.step_seconds * 1000, recipe)


def _check_meant(choices: Choices, forecast: Forecast) -> None:
    """Raises InputError for an option that means another forecast than the model's."""
    for option, given, field, has in (
        ("--target", choices.target, "forecast.target", forecast.target),
        ("--unit", choices.unit, "forecast.unit", forecast.unit),
        ("--horizon", choices.horizon, "forecast.horizon", forecast.horizon),
        ("--season", tuple(sorted(choices.seasons)), "forecast.naive", tuple(sorted(forecast.naive))),
    ):
        if given and given != has:
            shown, meant = (_listed(value) for value in (given, has))
            raise errors.InputError(
                f"{option} says {shown}, and the model has {meant} ({field}): leave {option} out, or change the model"
            )


def _check_row(names: tuple[str, ...], window: int, row: Input) -> None:
    if row.datatype != "FP32" or len(row.shape) != 2:
        raise errors.InputError(
            f"the model's input {row.name!r} is {row.datatype} {list(row.shape)}: rows of a series are FP32 [window, "
            f"features], here [{window}, {len(names)}]"
        )
    if (window, len(names)) != row.shape:
        raise errors.InputError(
            f"a row has {window} steps of {len(names)} features ({_listed(names)}), and the model's input {row.name!r} "
            f"is {list(row.shape)}: name what else it takes (--feature, --calendar, --lag, --window), or change the "
            "model"
        )


def _check_columns(
    path: Path, names: list[str], choices: Choices, target: str, features: tuple[str, ...], rules: Rules
) -> None:
    named = {
        "--time-column": [choices.time_column],
        "forecast.target of the model": [target],
        "--feature": features,
        "--group-column": [choices.group],
        "--known-later": (known_later := _known_later(choices, names)),
        "--valid": list(rules.ranges),
    }
    tables.check_columns(path, names, named)
    if late := [name for name in features if name in known_later]:
        raise errors.InputError(
            f"{path}: column {late[0]!r} is known later only (--known-later), so no forecast can have it as a feature: "
            "leave one of the two out"
        )
    if twice := [name for name in (choices.time_column, choices.group) if name in (target, *features)]:
        raise errors.InputError(f"{path}: column {twice[0]!r} cannot be a feature or the target too")
    if unused := [name for name in rules.ranges if name not in (target, *features)]:
        raise errors.InputError(f"{path}: column {unused[0]!r} (--valid) is neither the target nor a --feature")


def _known_later(choices: Choices, names: list[str]) -> list[str]:
    """Each is a column as it stands, or several with commas between them."""
    parts = ([text] if text in names else text.split(",") for text in choices.known_later)
    return [name.strip() for several in parts for name in several if name.strip()]


def _stamps(path: Path, table: Any, choices: Choices) -> Stamps:
    import pyarrow as pa

    column, where = table.column(choices.time_column), f"{path}, column {choices.time_column!r}"
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        if column.null_count:
            raise errors.InputError(f"{where}: row {column.is_null().index(True).as_py()} has no time")
        zone = getattr(column.type, "tz", None)
        ms = column.cast(pa.timestamp("ms", zone), safe=False).cast(pa.int64()).to_numpy()
        return timestamps.check_range(Stamps(np.asarray(ms, dtype=np.int64), zone is not None), where)
    return timestamps.parse(columns.texts(path, table, choices.time_column), choices.time_format, where)


def _numbers(path: Path, table: Any, names: tuple[str, ...]) -> NDArray[np.float64]:
    """[rows, columns] float64, an empty cell NaN. Raises InputError naming the first cell that holds a text."""
    import pyarrow as pa

    for name in names:
        kind = table.column(name).type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
            cells = columns.texts(path, table, name).tolist()
            row = next((at for at, cell in enumerate(cells) if cell and not _is_number(cell)), 0)
            raise errors.InputError(
                f"{path}: row {row} of column {name!r} is the text {cells[row][:_SHOWN]!r}, and a number is needed: "
                "mend it, or leave the cell empty, and the row is left out and counted"
            )
    return columns.numbers(path, table, names, _EXACT)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _groups(path: Path, table: Any, column: str) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """(name, its rows in order) of each series as they appear; one without a name if none is told."""
    if not column:
        yield "", np.arange(table.num_rows)
        return
    cells = columns.texts(path, table, column)
    names, first, codes, counts = np.unique(cells, return_index=True, return_inverse=True, return_counts=True)
    if len(names) > MAX_SERIES:
        raise errors.TooLargeError(
            f"{path}: column {column!r} (--group-column) tells {len(names)} series apart, at most {MAX_SERIES} are read"
        )
    rows = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
    for at in np.argsort(first).tolist():
        name = str(names[at])
        if not (0 < len(name.encode()) <= MAX_NAME and name.isprintable()):
            raise errors.InputError(
                f"{path}: row {int(first[at])} has series {name[:_SHOWN]!r} (column {column!r}): a name has 1 to "
                f"{MAX_NAME} printable characters (as many bytes in UTF-8)"
            )
        yield name, rows[at]


def _zone(name: str) -> zoneinfo.ZoneInfo | None:
    if not name:
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise errors.InputError(
            f"--time-zone {name!r} is no zone that this machine knows: take one like Europe/Berlin or UTC (without a "
            "zone database, as in slim containers, `pip install tzdata`)"
        ) from exc


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
