"""Which readings of one series count: possible values, one reading for each time. Everything left out is counted.

Equal rows of one time are one reading. Rows of one time that contradict one another are refused until somebody says
which of them counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors
from skerry.core.series import timestamps

Duplicates = Literal["", "first", "last", "mean"]
Range = tuple[float, float]
# In what was dropped, with what it means to people.
REASONS: Mapping[str, str] = {
    "emptyTarget": "rows without a value of the target",
    "emptyFeature": "rows without a value of a feature",
    "outOfRange": "rows with an impossible value",
    "duplicateRow": "rows that repeat another one",
    "contradictingRow": "rows that contradict another one of their time",
}


@dataclass(frozen=True, slots=True)
class Readings:
    """`values` [n, columns] of one series at `unix_ms` [n], the target's column first; `columns` are their names."""

    name: str
    columns: tuple[str, ...]
    unix_ms: NDArray[np.int64]
    values: NDArray[np.float64]
    dropped: Mapping[str, int] = field(default_factory=dict)

    def keep(self, which: NDArray[np.bool_], reason: str) -> "Readings":
        """The rows of a mask; the others are counted."""
        lost = int((~which).sum())
        if not lost:
            return self
        dropped = {**self.dropped, reason: self.dropped.get(reason, 0) + lost}
        return replace(self, unix_ms=self.unix_ms[which], values=self.values[which], dropped=dropped)


def clean(readings: Readings, valid: Mapping[str, Range], duplicates: Duplicates, where: str) -> Readings:
    """In order of time, one row for each. `valid`: the possible values of a column, both ends included. Raises
    InputError for rows of one time that contradict one another, unless `duplicates` says what counts."""
    readings = readings.keep(np.isfinite(readings.values[:, 0]), "emptyTarget")
    readings = readings.keep(np.asarray(np.isfinite(readings.values[:, 1:]).all(axis=1)), "emptyFeature")
    possible = np.ones(len(readings.unix_ms), dtype=np.bool_)
    for column, (low, high) in valid.items():
        values = readings.values[:, readings.columns.index(column)]
        possible &= (values >= low) & (values <= high)
    return _one_each(readings.keep(possible, "outOfRange"), duplicates, where)


def parse_ranges(texts: Sequence[str]) -> dict[str, Range]:
    """`COLUMN=LOW:HIGH` each, where an end may be empty: temp=200:340, load=0:. Raises InputError."""
    ranges: dict[str, Range] = {}
    for text in texts:
        column, equals, ends = text.rpartition("=")
        low, colon, high = ends.partition(":")
        try:
            if not (equals and colon and column and column not in ranges):
                raise ValueError
            ranges[column] = float(low or "-inf"), float(high or "inf")
            if not ranges[column][0] <= ranges[column][1]:
                raise ValueError
        except ValueError:
            raise errors.InputError(
                f"--valid {text!r} must be COLUMN=LOW:HIGH, once for a column and the smaller number first, as "
                "temp=200:340 or load=0:"
            ) from None
    return ranges


def _one_each(readings: Readings, duplicates: Duplicates, where: str) -> Readings:
    order = np.argsort(readings.unix_ms, kind="stable")
    times, values = readings.unix_ms[order], readings.values[order]
    readings = replace(readings, unix_ms=times, values=values)
    readings = readings.keep(_one_of_equals(times, values, last=duplicates == "last"), "duplicateRow")
    times, values = readings.unix_ms, readings.values
    fresh = np.concatenate([[True], times[1:] != times[:-1]])[: len(times)]
    if fresh.all():
        return readings
    if not duplicates:
        raise errors.InputError(_contradiction(readings, fresh, where))
    if duplicates == "last":
        return readings.keep(np.concatenate([fresh[1:], [True]]), "contradictingRow")
    if duplicates == "mean":
        starts = np.flatnonzero(fresh)
        sizes = np.diff(np.concatenate([starts, [len(times)]]))
        means = np.add.reduceat(values, starts, axis=0) / sizes[:, None]
        readings = replace(readings, values=np.repeat(means, sizes, axis=0))
    return readings.keep(fresh, "contradictingRow")


def _one_of_equals(times: NDArray[np.int64], values: NDArray[np.float64], *, last: bool) -> NDArray[np.bool_]:
    """[n] True for one of the rows that equal one another in their time and all values: the first, or the last."""
    if last:
        return _one_of_equals(times[::-1], values[::-1], last=False)[::-1]
    keys = np.column_stack([times.astype(np.float64), values + 0.0])  # + 0.0: -0.0 is 0.0
    as_bytes = np.ascontiguousarray(keys).view(np.dtype((np.void, 8 * keys.shape[1]))).ravel()
    _, first = np.unique(as_bytes, return_index=True)
    which = np.zeros(len(times), dtype=np.bool_)
    which[first] = True
    return which


def _contradiction(readings: Readings, fresh: NDArray[np.bool_], where: str) -> str:
    row = int((~fresh).argmax())
    here, before = readings.values[row], readings.values[row - 1]
    at = int((here != before).argmax())
    times, when = len(np.unique(readings.unix_ms[~fresh])), timestamps.shown(int(readings.unix_ms[row]))
    return (
        f"{where}: {times} times have rows that contradict one another, first {when} UTC, where "
        f"{readings.columns[at]} is {before[at]:g} and {here[at]:g}: say which counts with --duplicates first, last or "
        "mean; rows of several machines are told apart by --group-column"
    )
