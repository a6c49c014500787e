"""From the clock on the wall of one series to Unix time: which day midnight belongs to, hours that a change to or from
summer time gives twice or never, a clock that goes back.

Rows come in the order of their file, which says what a time alone does not. What the order does not tell either is
refused with both readings, or left out and counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors
from skerry.core.series import timestamps
from skerry.core.series.timestamps import Stamps

DAY_MS = 86_400_000
REPEATED_HOUR = "repeatedHour"  # in what was dropped: times that the clock showed twice, and nothing tells which

Midnight = Literal["", "end-of-day", "start-of-day"]
_EPOCH = datetime(1970, 1, 1)  # a clock on the wall, in whatever zone
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Reading:
    """How a column of times is meant. `zone`: where the clock stands (None: it has no summer time, as UTC). `midnight`:
    the day that 00:00 belongs to. `sort`: the order of the rows means nothing."""

    zone: tzinfo | None = None
    midnight: Midnight = ""
    sort: bool = False


@dataclass(frozen=True, slots=True)
class Times:
    """`unix_ms` [n] and which rows are `kept` [n]; the others are counted in `dropped`."""

    unix_ms: NDArray[np.int64]
    kept: NDArray[np.bool_]
    dropped: Mapping[str, int] = field(default_factory=dict)


def read(stamps: Stamps, reading: Reading, where: str) -> Times:
    """Unix times of one series' rows, none before the row above it. Raises InputError naming `where`, the row, and the
    options that would name what is meant."""
    wall = _midnights(stamps.ms, reading, where)
    unknown = np.zeros(len(wall), dtype=np.bool_)
    unix_ms = wall
    if reading.zone is not None and not stamps.has_offset:
        unix_ms, unknown = _in_zone(wall, reading.zone, reading.sort, where)
    kept = ~unknown
    _check_order(unix_ms, kept, wall, reading, where)
    return Times(unix_ms, kept, {REPEATED_HOUR: int(unknown.sum())} if unknown.any() else {})


def wall_ms(unix_ms: NDArray[np.int64], zone: tzinfo | None) -> NDArray[np.int64]:
    """[n] what the clock on the wall shows at these times, as milliseconds of a clock in UTC."""
    if zone is None:
        return unix_ms
    distinct, inverse = np.unique(unix_ms, return_inverse=True)
    moments = (datetime.fromtimestamp(0, UTC) + ms * _MILLISECOND for ms in distinct.tolist())
    local = [(moment.astimezone(zone).replace(tzinfo=None) - _EPOCH) // _MILLISECOND for moment in moments]
    return np.array(local, dtype=np.int64)[inverse]


def changes(unix_ms: NDArray[np.int64], zone: tzinfo | None) -> bool:
    """Is the clock on the wall put forward or back between these times?"""
    return len(np.unique(wall_ms(unix_ms, zone) - unix_ms)) > 1


def _midnights(wall: NDArray[np.int64], reading: Reading, where: str) -> NDArray[np.int64]:
    """The times with 00:00 in the day that it belongs to. Files in which a day goes on to "00:00" of its own date end
    their days so: sorted as they stand, each would show a reading a day too early."""
    midnight = wall % DAY_MS == 0
    if reading.midnight == "end-of-day":
        _check_days_end(wall, midnight, reading, where)
        return np.where(midnight, wall + DAY_MS, wall)
    if not reading.midnight:
        _check_days_begin(wall, midnight, reading, where)
    return wall


def _check_days_end(wall: NDArray[np.int64], midnight: NDArray[np.bool_], reading: Reading, where: str) -> None:
    begins = np.flatnonzero(midnight[:-1] & ~midnight[1:] & _one_date(wall))
    if len(begins) and not reading.sort:
        row = int(begins[0])
        raise errors.InputError(
            f"{where}: --midnight end-of-day says that 00:00 ends its day, but row {row} "
            f"({timestamps.shown(int(wall[row]))}) begins it: row {row + 1} is {timestamps.shown(int(wall[row + 1]))}"
        )


def _check_days_begin(wall: NDArray[np.int64], midnight: NDArray[np.bool_], reading: Reading, where: str) -> None:
    ends = np.flatnonzero(midnight[1:] & ~midnight[:-1] & _one_date(wall)) + 1
    if reading.sort:  # rows in any order: where most midnights stand beside the end of their date, it is theirs
        beside = (midnight[1:] != midnight[:-1]) & _one_date(wall) & (np.abs(np.diff(wall)) >= DAY_MS // 2)
        ends = np.flatnonzero(beside) + 1 if 2 * int(beside.sum()) >= int(midnight.sum()) else ends[:0]
    if len(ends):
        row = int(ends[0])
        raise errors.InputError(
            f"{where}: row {row - 1} is {timestamps.shown(int(wall[row - 1]))} and row {row} is "
            f"{timestamps.shown(int(wall[row]))} of the same date ({len(ends)} such rows): if 00:00 ends its day say "
            "--midnight end-of-day; if it begins its day, and the rows stand in no order, say --midnight start-of-day "
            "--sort"
        )


def _one_date(wall: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[n-1] is a row of the date of the row before it?"""
    return np.asarray(np.diff(wall // DAY_MS) == 0)


def _in_zone(
    wall: NDArray[np.int64], zone: tzinfo, sort: bool, where: str
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(Unix times, which of them nothing tells). Raises InputError for a time that the zone's clock never showed."""
    distinct, inverse = np.unique(wall, return_inverse=True)
    first, second = (
        np.array([_offset_ms(ms, zone, fold) for ms in distinct.tolist()], dtype=np.int64)[inverse] for fold in (0, 1)
    )
    if (never := first < second).any():
        row = int(never.argmax())
        raise errors.InputError(
            f"{where}: row {row} is {timestamps.shown(int(wall[row]))}, an hour that {zone} left out when its clock "
            "went forward: name the zone that the column was written in with --time-zone (UTC for a clock without "
            "summer time)"
        )
    twice = first > second
    again, told = _second_pass(wall, twice) if not sort else (twice & False, twice & False)
    return np.where(again, wall - second, wall - first), twice & ~told


def _second_pass(wall: NDArray[np.int64], twice: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of the times that the clock showed twice: (which were the second, which are told at all). The order tells them
    where it goes back once among them: what stands before is the first pass, what follows the second."""
    again, told = np.zeros_like(twice), np.zeros_like(twice)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], twice, [False]])))
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        back = np.flatnonzero(np.diff(wall[start:stop]) < 0)
        if len(back) == 1:
            told[start:stop] = True
            again[start + int(back[0]) + 1 : stop] = True
    return again, told


def _check_order(
    unix_ms: NDArray[np.int64], kept: NDArray[np.bool_], wall: NDArray[np.int64], reading: Reading, where: str
) -> None:
    rows = np.flatnonzero(kept)
    back = np.flatnonzero(np.diff(unix_ms[rows]) < 0)
    if not len(back) or reading.sort:
        return
    before, row = int(rows[back[0]]), int(rows[back[0] + 1])
    raise errors.InputError(
        f"{where}: the clock goes back {len(back)} times, first from {timestamps.shown(int(wall[before]))} (row "
        f"{before}) to {timestamps.shown(int(wall[row]))} (row {row}): a clock that was set back gives wrong times, "
        "mend or leave out its rows; where the rows only stand in another order say --sort; for several machines "
        "name their column with --group-column; for summer time name the zone with --time-zone"
    )


def _offset_ms(ms: int, zone: tzinfo, fold: int) -> int:
    local = (_EPOCH + ms * _MILLISECOND).replace(tzinfo=zone, fold=fold)
    offset = local.utcoffset()
    return 0 if offset is None else offset // _MILLISECOND
