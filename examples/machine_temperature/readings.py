"""The readings, the windows in which something was wrong, and what a list of warnings was worth. Pure but for `read`.

NAB gives each known failure a window, and puts its label in the middle: that is what a warning's lead is measured
against. Of the four windows the first lies in NAB's probation (the first 15 % of the readings) and is not judged.
"""

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors, warnings
from skerry.core.warnings import WarnPolicy

PROBATION = 0.15
_KEY = "realKnownCause/machine_temperature_system_failure.csv"
_HOUR_MS, _WEEK_MS = 3_600_000, 7 * 86_400_000


@dataclass(frozen=True, slots=True)
class Window:
    """Unix ms; `label` is its middle."""

    start: int
    end: int

    @property
    def label(self) -> int:
        return (self.start + self.end) // 2


@dataclass(frozen=True, slots=True)
class Readings:
    """`time` [n] Unix ms and `value` [n]; `judged` are the windows after the probation, in order."""

    time: NDArray[np.int64]
    value: NDArray[np.float64]
    judged: Sequence[Window]

    @property
    def first_judged(self) -> int:
        """The index of the first reading of the first judged window."""
        return int(np.argmax(self.time >= self.judged[0].start))


@dataclass(frozen=True, slots=True)
class Score:
    """`first` has for each judged window the time of the first warning in it, None: none came."""

    first: Sequence[int | None]
    false: int
    weeks: float

    @property
    def found(self) -> int:
        return sum(one is not None for one in self.first)

    @property
    def false_per_week(self) -> float:
        return self.false / self.weeks


def read(table: Path, windows: Path) -> Readings:
    """Raises InputError where the files are not what they are taken for."""
    try:
        with table.open(newline="") as file:
            rows = list(csv.reader(file))[1:]
        time = np.array([row[0] for row in rows], dtype="datetime64[ms]").astype(np.int64)
        pairs = json.loads(windows.read_text())[_KEY]
        spans = [Window(*np.array(pair, dtype="datetime64[ms]").astype(np.int64).tolist()) for pair in pairs]
        value = np.array([float(row[1]) for row in rows])
    except (ValueError, KeyError, IndexError) as exc:
        raise errors.InputError(f"{table.name} and {windows.name} are not NAB's: {exc}") from exc
    start = int(time[int(len(time) * PROBATION)])
    return Readings(time, value, [span for span in spans if span.start >= start])


def level(residuals: Iterable[float], readings: int) -> float:
    """The largest level that so many residuals in a row were at or above; 0 for fewer residuals."""
    runs = np.lib.stride_tricks.sliding_window_view(np.fromiter(residuals, dtype=np.float64), readings)
    return float(runs.min(axis=1).max(initial=0.0))


def score(readings: Readings, raised: Iterable[int]) -> Score:
    """What warnings at these times were worth, of those from the first judged window on. A warning in no judged window
    is false; weeks are those outside of them."""
    start, end = readings.judged[0].start, int(readings.time[-1])
    times = sorted(at for at in raised if at >= start)
    inside = [[at for at in times if window.start <= at <= window.end] for window in readings.judged]
    quiet_ms = end - start - sum(window.end - window.start for window in readings.judged)
    false = len(times) - sum(map(len, inside))
    return Score([min(one, default=None) for one in inside], false, quiet_ms / _WEEK_MS)


def three_sigma(readings: Readings) -> list[int]:
    """When a plain level warns: beyond three standard deviations of the readings before the first judged window, until
    it is within half of that again."""
    known = readings.value[: readings.first_judged]
    policy = WarnPolicy(above=3 * float(known.std()), over_at=1.5 * float(known.std()), readings=1)
    state, raised = warnings.QUIET, list[int]()
    for at, off in zip(readings.time.tolist(), np.abs(readings.value - known.mean()).tolist(), strict=True):
        state, change = warnings.step(state, off, policy)
        if change is warnings.Change.RAISED:
            raised.append(at)
    return raised


def lead_hours(window: Window, warned: int) -> float:
    """Hours from a warning to the label; negative: it came after."""
    return (window.label - warned) / _HOUR_MS
