"""What `skerry datasets import` asks of a time series: its options, and their values as the import takes them.

Light on purpose: `--help` loads none of what the import needs.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from skerry.core import errors

if TYPE_CHECKING:
    from skerry.cli.importing.series import Choices

_ROW_OPTIONS = (
    click.option(
        "--feature",
        "features",
        multiple=True,
        help="Tables: a feature column (repeat; default: all others; of series none beside the target's own past).",
    ),
    click.option(
        "--window",
        default=0,
        type=click.IntRange(0),
        help="Tables: rows per sample (default: each row is one; of series the model's).",
    ),
    click.option(
        "--stride", default=1, show_default=True, type=click.IntRange(1), help="Tables: rows between windows."
    ),
    click.option(
        "--group-column",
        "group",
        default="",
        help="Tables: the column that tells machines or series apart; no window holds two.",
    ),
)
_OPTIONS = (
    click.option("--time-column", default="", help="Series: the column with the time of each row."),
    click.option(
        "--time-format",
        default="",
        help="Series: how times are written, as strptime has it (%d/%m/%Y %H:%M), or unix-s, or unix-ms. Default: "
        "ISO 8601; nothing else is guessed.",
    ),
    click.option(
        "--time-zone",
        default="",
        help="Series: the zone of the clock that wrote the times, like Europe/Berlin. Default: a clock without summer "
        "time.",
    ),
    click.option(
        "--midnight",
        type=click.Choice(["end-of-day", "start-of-day"]),
        help="Series: the day that 00:00 belongs to, where the rows leave it open.",
    ),
    click.option("--sort", is_flag=True, help="Series: the rows stand in no order (default: times must not go back)."),
    click.option(
        "--duplicates",
        type=click.Choice(["first", "last", "mean"]),
        help="Series: which row of a time counts, where they differ (default: refuse; equal rows count once).",
    ),
    click.option(
        "--valid", multiple=True, metavar="COLUMN=LOW:HIGH", help="Series: the possible values of a column (repeat)."
    ),
    click.option("--target", default="", help="Series: the column to forecast (as the model has it)."),
    click.option("--unit", default="", help="Series: the unit of the target (as the model has it)."),
    click.option("--horizon", default=0, type=click.IntRange(0), help="Series: steps ahead (as the model has it)."),
    click.option(
        "--season",
        "seasons",
        multiple=True,
        type=click.IntRange(1),
        help="Series: steps back of a naive forecast (repeat; as the model has them).",
    ),
    click.option(
        "--lag",
        "lags",
        multiple=True,
        type=click.IntRange(1),
        help="Series: a feature with the target so many steps before the forecast (repeat).",
    ),
    click.option(
        "--calendar",
        default="",
        help="Series: features of the time that is forecast, of hour, weekday and yearday (comma separated). "
        "hour:6 has six harmonics of the day, for what changes within it.",
    ),
    click.option(
        "--known-later",
        multiple=True,
        help="Series: columns that nobody has in time; none may be a feature (repeat, or comma separated).",
    ),
)


_SPELLED = {"seasons": "season", "lags": "lag", "features": "feature", "group": "group-column"}
_NOT_GIVEN = {"stride": 1}


def series_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a series, for a command that takes them as keyword arguments."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def row_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that any table has: what a row is made of."""
    for option in reversed(_ROW_OPTIONS):
        command = option(command)
    return command


def refuse(given: Mapping[str, Any], model: str, what: str = "series") -> None:
    """Raises InputError when one of them is given for a model that forecasts nothing; `what` they are for."""
    if named := [name for name, value in given.items() if value and value != _NOT_GIVEN.get(name)]:
        option = _SPELLED.get(named[0], named[0].replace("_", "-"))
        raise errors.InputError(
            f"--{option} is for {what}, and EdgeModel {model} has classes, not a forecast (task): leave it out"
        )


def check(kind: str, given: Mapping[str, Any], model: str, of_labels: str | None) -> None:
    """Raises InputError for what is no series: another source than a table, `of_labels` (options of a classifier), no
    column of times."""
    if kind not in ("csv", "parquet"):
        raise errors.InputError(f"EdgeModel {model} forecasts a series: its data is a CSV or parquet table, not {kind}")
    if of_labels:
        raise errors.InputError(
            f"EdgeModel {model} forecasts a series and has no classes: leave --labels and --label-column out, its "
            "truth is the column forecast.target"
        )
    if not given["time_column"]:
        raise errors.InputError(
            f"EdgeModel {model} forecasts a series: name the column that holds the times with --time-column"
        )


def choices(given: Mapping[str, Any], **also: Any) -> "Choices":
    """The values of the options; `also`: the fields that the command has from options of other sources."""
    from skerry.cli.importing.series import Choices

    calendar = tuple(part.strip() for part in given["calendar"].split(",") if part.strip())
    said = {name: value for name, value in given.items() if value is not None and name != "holdout"}
    return Choices(**{**said, "calendar": calendar}, **also)
