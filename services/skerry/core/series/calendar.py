"""What is known beforehand about the time of a forecast, as columns: the time of day, the day of the week and of the
year, where the series' clock stands.

A turn (a day, a year) is told by its sine and cosine, `hour`, and what is sharper than they are, as the beginning of a
shift, by its harmonics too: `hour:6` has the first six (Fourier terms: Hyndman and Athanasopoulos, "Forecasting:
Principles and Practice", 7.4).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors
from skerry.core.series import clock

MAX_HARMONICS = 12  # of a day: one of an hourly series has no more
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TURNS = ("hour", "yearday")
_YEAR_DAYS = 365.2425
_SHOWN = 40


def check(parts: Sequence[str]) -> None:
    """Raises InputError naming the part that there is not."""
    for part in parts:
        name, colon, count = part.partition(":")
        if name not in (*_TURNS, "weekday"):
            raise errors.InputError(f"calendar {name[:_SHOWN]!r} is none of hour, weekday, yearday")
        if colon and name not in _TURNS:
            raise errors.InputError(f"calendar {name}: a day of the week has no harmonics; hour and yearday do")
        if colon and count not in map(str, range(1, MAX_HARMONICS + 1)):
            raise errors.InputError(
                f"calendar {part[:_SHOWN]!r}: harmonics are a number from 1 to {MAX_HARMONICS}, as in hour:6"
            )
    names = [part.partition(":")[0] for part in parts]
    if twice := [name for name in names if names.count(name) > 1]:
        raise errors.InputError(f"calendar {twice[0]!r} is named twice")


def columns(parts: Sequence[str]) -> tuple[str, ...]:
    """The names of what `values` gives."""
    return tuple(name for part in parts for name in _columns(part))


def values(wall_ms: NDArray[np.int64], parts: Sequence[str]) -> NDArray[np.float64]:
    """[n, columns] in the order of `parts`, at what a clock on the wall shows (Unix ms, as if it stood in UTC)."""
    days = wall_ms // clock.DAY_MS
    made: list[NDArray[np.float64]] = []
    for part in parts:
        name = part.partition(":")[0]
        if name == "weekday":
            made += list(np.eye(7)[(days + 3) % 7].T)  # 1970-01-01 was a Thursday
        elif name == "hour":
            made += _turn(wall_ms % clock.DAY_MS / clock.DAY_MS, _harmonics(part))
        else:
            year = wall_ms.astype("datetime64[ms]").astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
            made += _turn((days - year) / _YEAR_DAYS, _harmonics(part))
    return np.stack(made, axis=1) if made else np.empty((len(wall_ms), 0))


def _harmonics(part: str) -> int:
    return int(part.partition(":")[2] or 1)


def _columns(part: str) -> Sequence[str]:
    name = part.partition(":")[0]
    if name == "weekday":
        return _DAYS
    counted = [name, *(f"{name}{count}" for count in range(2, _harmonics(part) + 1))]
    return [f"{one}_{wave}" for one in counted for wave in ("sin", "cos")]


def _turn(turn: NDArray[np.float64], harmonics: int) -> list[NDArray[np.float64]]:
    return [wave(2 * np.pi * count * turn) for count in range(1, harmonics + 1) for wave in (np.sin, np.cos)]
