"""Texts of a time column as milliseconds. What can be read in two ways is refused with both readings.

ISO 8601 is read as it stands; every other form has to be named, for 02/01/2018 is two days. Left out: which zone a
clock stands in, and whether it goes back (`clock`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors

UNIX_S, UNIX_MS = "unix-s", "unix-ms"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST_MS = (datetime(1800, 1, 1, tzinfo=UTC) - _EPOCH) // _MILLISECOND
_LAST_MS = (datetime(2200, 1, 1, tzinfo=UTC) - _EPOCH) // _MILLISECOND
_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?( ?(Z|[+-]\d\d(:?\d\d)?))?)?")
_WHOLE = re.compile(r"[+-]?\d{1,18}")
_DAYS = ("%d{0}%m{0}%Y", "%m{0}%d{0}%Y", "%Y{0}%m{0}%d", "%Y{0}%d{0}%m", "%d{0}%m{0}%y", "%m{0}%d{0}%y", "%y{0}%m{0}%d")
_HOURS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "T%H:%M", "T%H:%M:%S")
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Stamps:
    """`ms` [n] int64: Unix time where the texts say their offset from UTC (`has_offset`), else what the clock on the
    wall showed, as if it stood in UTC."""

    ms: NDArray[np.int64]
    has_offset: bool


def parse(texts: NDArray[np.str_], time_format: str, where: str) -> Stamps:
    """`texts` [n] by `time_format`: empty for ISO 8601, UNIX_S, UNIX_MS, or a format of strptime. Raises InputError
    naming `where` (file and column), the row and its text; for a form that is not ISO, how it could be read."""
    distinct, inverse = np.unique(texts, return_inverse=True)
    stripped = [text.strip() for text in distinct.tolist()]
    if "" in stripped:
        raise errors.InputError(f"{where}: row {_row(inverse, stripped.index(''))} has no time")
    if time_format in (UNIX_S, UNIX_MS):
        read, offsets = [_unix(text, time_format) for text in stripped], [True] * len(stripped)
    else:
        moments = [_iso(text) if not time_format else _strptime(text, time_format) for text in stripped]
        read = [None if moment is None else _ms(moment) for moment in moments]
        offsets = [moment is not None and moment.tzinfo is not None for moment in moments]
    if None in read:
        raise errors.InputError(_unread(read.index(None), stripped, inverse, time_format, where))
    if len(set(offsets)) > 1:
        with_it, without = stripped[offsets.index(True)], stripped[offsets.index(False)]
        raise errors.InputError(
            f"{where}: {with_it!r} says its offset from UTC and {without!r} does not: write all of them alike"
        )
    ms = np.array(read, dtype=np.int64)
    return check_range(Stamps(ms[inverse], bool(offsets) and offsets[0]), where)


def check_range(stamps: Stamps, where: str) -> Stamps:
    """Raises InputError for a year outside 1800..2199: seconds that were read as milliseconds, a clock never set."""
    wrong = (stamps.ms < _FIRST_MS) | (stamps.ms >= _LAST_MS)
    if wrong.any():
        at = int(wrong.argmax())
        raise errors.InputError(f"{where}: row {at} is {shown(int(stamps.ms[at]))}, outside of the years 1800 to 2199")
    return stamps


def shown(ms: int) -> str:
    """A time for people, in UTC or as the clock on the wall showed it."""
    try:
        return (_EPOCH + ms * _MILLISECOND).strftime("%Y-%m-%d %H:%M:%S").removesuffix(":00")
    except OverflowError:
        return f"{ms} ms"


def _ms(moment: datetime) -> int:
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND


def _iso(text: str) -> datetime | None:
    if not _ISO.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.replace(",", ".").replace(" +", "+").replace(" -", "-").replace(" Z", "Z"))
    except ValueError:
        return None


def _strptime(text: str, time_format: str) -> datetime | None:
    try:
        return datetime.strptime(text, time_format)  # its zone is named apart, by the caller
    except (ValueError, re.error):  # a directive twice
        return None


def _unix(text: str, time_format: str) -> int | None:
    if not _WHOLE.fullmatch(text):
        return None
    ms = int(text) * (1000 if time_format == UNIX_S else 1)
    return max(_FIRST_MS - 1, min(ms, _LAST_MS))  # beyond these it is told with its row


def _row(inverse: NDArray[np.intp], distinct: int) -> int:
    return int((inverse == distinct).argmax())


def _unread(at: int, texts: Sequence[str], inverse: NDArray[np.intp], time_format: str, where: str) -> str:
    text, row = texts[at], _row(inverse, at)
    head = f"{where}: row {row} is {text[:60]!r}"
    if time_format:
        return f"{head}, which is not of the form {time_format!r} (--time-format)"
    if _ISO.fullmatch(text):
        return f"{head}: there is no such day or hour"
    if _WHOLE.fullmatch(text):
        return f"{head}, a number: name it with --time-format {UNIX_S} (seconds since 1970) or {UNIX_MS} (milliseconds)"
    if any(_iso(other) for other in texts):
        return f"{head}, while other rows are ISO 8601 (2018-01-31 13:45): write all of them alike"
    if not (readings := _readings(texts)):
        return f"{head}, which is not ISO 8601 (2018-01-31 13:45): name its form with --time-format, as strptime has it"
    two_ways = _two_ways(texts, readings)
    named = " or ".join(f"{form!r} ({moment:%d %B %Y})" for form, moment in two_ways[1])
    fits = ", the one form that fits all rows" if len(readings) == 1 else ", which can be read in more than one way"
    return f"{where}: row {_row(inverse, two_ways[0])} is {texts[two_ways[0]]!r}{fits}: name it, --time-format {named}"


def _readings(texts: Sequence[str]) -> list[str]:
    """The usual forms that fit all of the texts."""
    forms = (day.format(sign) + hour for sign in "/.-" for day in _DAYS for hour in _HOURS)
    return [form for form in forms if all(_strptime(text, form) for text in texts)]


def _two_ways(texts: Sequence[str], forms: Sequence[str]) -> tuple[int, list[tuple[str, datetime]]]:
    """The first text that the forms read as different times (else the first of all), and how each reads it."""
    best: tuple[int, list[tuple[str, datetime]]] = (0, [])
    for at, text in enumerate(texts):
        read = [(form, moment) for form in forms if (moment := _strptime(text, form)) is not None]
        if len({moment for _, moment in read}) > 1:
            return at, read[:_SHOWN]
        best = best if best[1] else (at, read[:_SHOWN])
    return best
