"""Which rows of series are for training, which are holdout, and which are neither, because they stand too near.

Rows of a series overlap: the window of one holds the truth of another. A holdout by hash would put neighbours on both
sides, and a network that only remembers would look good. Imported series are split once, by time. Captured rows come
one by one, so blocks of the series' own time are chosen by hash, for ever.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from skerry.core import datasets, errors
from skerry.core.series.clock import DAY_MS
from skerry.core.tasks import Forecast

WEEK_MS = 7 * DAY_MS
_PARTS_OF_A_DAY = (1, 2, 3, 4, 6, 8, 12, 24, 48, 72, 96, 144, 288, 720, 1440)  # each a whole number of minutes
EMBARGO = "embargo"  # in what was dropped: rows between training and holdout

Place = Literal["train", "holdout", "embargo"]


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a row at time T reaches: `window` steps back (T is the last of them) and `horizon` steps ahead."""

    window: int
    horizon: int
    step_ms: int

    @classmethod
    def of(cls, row: Sequence[int], task: Forecast) -> "Reach":
        """Of rows of this shape: [window, features], or [features] of one step."""
        return cls(row[0] if len(row) > 1 else 1, task.horizon, task.step_seconds * 1000)

    @property
    def embargo_ms(self) -> int:
        return (self.window + self.horizon) * self.step_ms


@dataclass(frozen=True, slots=True)
class Split:
    """`holdout` and `train` [n]; rows that are neither are in the embargo."""

    train: NDArray[np.bool_]
    holdout: NDArray[np.bool_]

    @property
    def embargoed(self) -> int:
        return int((~self.train & ~self.holdout).sum())


def by_time(time: NDArray[np.int64], reach: Reach, where: str, *, share: float) -> Split:
    """The last `share` of the rows at `time` [n] (of all series together) is holdout. The latest truth of training and
    the embargo end before the first window of the holdout begins. Raises InputError when either side has no row."""
    if not 0.0 < share < 1.0:
        raise errors.InputError(f"the holdout must be a share between 0 and 1, not {share:g}")
    if not len(time):
        raise errors.InputError(f"{where}: no row is left to split")
    ordered = np.sort(time)
    first = int(ordered[min(len(ordered) - 1, round(len(ordered) * (1 - share)))])
    begins = first - (reach.window - 1) * reach.step_ms
    train = time + reach.horizon * reach.step_ms + reach.embargo_ms < begins
    holdout = time >= first
    if not train.any():
        raise errors.InputError(
            f"{where}: its {len(time)} rows are too few for an embargo of {reach.window + reach.horizon} steps (window "
            f"+ horizon) before a holdout of {int(holdout.sum())} rows: nothing is left to train on; bring a longer "
            "series, or take a smaller --holdout or --window"
        )
    return Split(train, holdout)


def after(time: NDArray[np.int64], reach: Reach, where: str, *, until_ms: int | None) -> Split:
    """All rows at `time` [n] are holdout, for a network that was trained elsewhere, on nothing of them: those whose
    window begins after `until_ms`, the last moment that its training knew, and the embargo (None: every row). Raises
    InputError when none is left."""
    if not len(time):
        raise errors.InputError(f"{where}: no row is left to hold out")
    begins = time - (reach.window - 1) * reach.step_ms
    held = np.full(len(time), True) if until_ms is None else begins > until_ms + reach.embargo_ms
    if not held.any():
        raise errors.InputError(
            f"{where}: its holdout is empty: no window of its {len(time)} rows begins after the training and an "
            f"embargo of {reach.window + reach.horizon} steps (window + horizon); bring a table that goes on longer"
        )
    return Split(np.zeros(len(time), dtype=np.bool_), held)


def of_captured(series: str, time_ms: int, reach: Reach) -> Place:
    """Where a captured row of `series` at its own time T belongs; the answer never changes. One block in
    `datasets.HOLDOUT_ONE_IN` is holdout; rows of other blocks that stand within window + horizon of one are in the
    embargo, so that no step of a training row (window or truth) is a step of a holdout row."""
    length = block_ms(reach)
    if _is_holdout(series, time_ms // length):
        return "holdout"
    near = range((time_ms - reach.embargo_ms) // length, (time_ms + reach.embargo_ms) // length + 1)
    return "embargo" if any(_is_holdout(series, block) for block in near) else "train"


def block_ms(reach: Reach) -> int:
    """The length of a captured row's block: a week, doubled until the embargo is at most a quarter of it."""
    length = WEEK_MS
    while length < 4 * reach.embargo_ms:
        length *= 2
    return length


def judged_ms(time: NDArray[np.int64], reach: Reach, wanted: int) -> int:
    """The length of the blocks of a series' own time by which losses are averaged when versions are judged, for
    neighbouring hours are not independent: a day. Where rows at `time` [n] lie in fewer than `wanted` days, the longest
    even part of a day that gives so many; never one shorter than a row reaches (window and horizon), so that only
    neighbours share steps. Where there is none: a day."""
    for parts in _PARTS_OF_A_DAY:
        length = DAY_MS // parts
        if parts > 1 and length < reach.embargo_ms:
            break
        if len(np.unique(time // length)) >= wanted:
            return length
    return DAY_MS


def _is_holdout(series: str, block: int) -> bool:
    digest = hashlib.sha256(f"{block}\0{series}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % datasets.HOLDOUT_ONE_IN == 0
