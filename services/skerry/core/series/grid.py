"""One series on its own steps: a slot for each, NaN where no reading is. After this, "a week ago" is 168 slots ago and
so 168 hours ago by the clock, whatever rows are missing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors
from skerry.core.series import timestamps
from skerry.core.series.cleaning import Readings

MAX_VALUES = 1 << 24


@dataclass(frozen=True, slots=True)
class Grid:
    """`values` [slots, columns], the target first; a slot without a reading is NaN in all of them."""

    name: str
    columns: tuple[str, ...]
    start_ms: int
    step_ms: int
    values: NDArray[np.float64]

    @property
    def known(self) -> NDArray[np.bool_]:
        return np.asarray(~np.isnan(self.values[:, 0]))

    @property
    def lacking(self) -> int:
        """Slots without a reading between the first and the last."""
        return int((~self.known).sum())

    @property
    def gaps(self) -> int:
        """How many times readings are missing, however many in a row."""
        return int(np.count_nonzero(np.diff(self.known.astype(np.int8)) < 0))

    @property
    def stretch(self) -> int:
        """The most steps in a row without a gap."""
        ends = np.flatnonzero(np.concatenate([[True], ~self.known, [True]]))
        return int(np.diff(ends).max()) - 1

    def times(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.start_ms + slots * self.step_ms


def lay(readings: Readings, step_ms: int, where: str) -> tuple[Grid, int]:
    """(the grid, how many rows stand beside its steps and were left out). Needs readings in order of time, one for
    each. Raises InputError when most do, or there is no reading; TooLargeError."""
    times = readings.unix_ms
    if not len(times):
        raise errors.InputError(f"{where}: no row is left{_of(readings.name)}")
    phases, counts = np.unique(times % step_ms, return_counts=True)
    on_step = times % step_ms == phases[counts.argmax()]
    if 2 * int(on_step.sum()) <= len(times):
        usual, beside = int(np.median(np.diff(times))) / 1000, len(times) - int(on_step.sum())
        raise errors.InputError(
            f"{where}: {beside} of {len(times)} rows{_of(readings.name)} are beside the steps of "
            f"{step_ms / 1000:g} s; most rows are {usual:g} s apart: set forecast.stepSeconds, or resample the table"
        )
    times, values = times[on_step], readings.values[on_step]
    slots = int((times[-1] - times[0]) // step_ms) + 1
    if slots * values.shape[1] > MAX_VALUES:
        first, last = timestamps.shown(int(times[0])), timestamps.shown(int(times[-1]))
        raise errors.TooLargeError(
            f"{where}: from {first} to {last} are {slots} steps of "
            f"{step_ms / 1000:g} s{_of(readings.name)}, with {len(times)} rows: more than {MAX_VALUES} values"
        )
    laid = np.full((slots, values.shape[1]), np.nan)
    laid[(times - times[0]) // step_ms] = values
    return Grid(readings.name, readings.columns, int(times[0]), step_ms, laid), int((~on_step).sum())


def _of(name: str) -> str:
    return f" of series {name!r}" if name else ""
