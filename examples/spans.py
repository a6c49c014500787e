"""The times of a series in three spans: the base, which is imported; the replay, which is asked hour by hour; and the
final, which is asked and never trained on.

Windows come from the same code as an import, so what is asked has the form of what was trained on. Every moment of the
final that is not asked is counted, with the reason.
"""

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from examples.scenario import Scenario
from skerry.cli.importing import series
from skerry.core import errors, specs
from skerry.core.datasets import Input
from skerry.core.series import clock, timestamps
from skerry.core.tasks import Forecast


@dataclass(frozen=True, slots=True)
class Asked:
    """Rows of one span in order of time: `x` [n, window, features] float32, `y` [n, steps], `naive` [n, seasons, steps]
    and `time` [n] Unix ms of the last reading in each window; a truth is known `horizon_ms` after it."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    naive: NDArray[np.float32]
    time: NDArray[np.int64]
    horizon_ms: int

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True, slots=True)
class Spans:
    """`base` and what lies `between` it and the final are tables of their own. `moments` counts the readings of the
    final, `left_out` those that no row asks for, by reason."""

    base: Path
    between: Path
    replay: Asked
    final: Asked
    moments: int
    left_out: Mapping[str, int]


def cut(scenario: Scenario, table: Path, model: specs.EdgeModel, folder: Path) -> Spans:
    """The spans of `table`; the base is written into `folder`. Raises InputError."""
    task = model.task
    if not isinstance(task, Forecast):
        raise errors.InputError(f"{scenario.model_file}: an example forecasts, and its model answers {task}")
    head, rows, times = _rows(scenario, table)
    moments = np.unique(times)
    base_end = int(moments[int(len(moments) * scenario.base_share)])
    final_start = int(moments[-round(len(moments) * scenario.final_share)])
    base, between, whole = (folder / f"{name}.csv" for name in ("base", "between", "whole"))
    _write(base, head, [row for row, at in zip(rows, times.tolist(), strict=True) if at < base_end])
    _write(between, head, [row for row, at in zip(rows, times.tolist(), strict=True) if base_end <= at < final_start])
    _write(whole, head, rows)
    row = Input(model.input.name, model.input.datatype, model.input.shape)
    found = series.read(whole, scenario.choices, task, row)
    step = task.step_seconds * 1000
    horizon_ms = task.horizon * step
    asked = Asked(found.x, found.y, found.naive, found.time, horizon_ms)
    lead = (task.horizon - task.steps + 1) * step  # until the first value of an answer
    in_replay = (asked.time >= base_end) & (asked.time + horizon_ms < final_start)
    in_final = asked.time + lead >= final_start
    expected = moments[moments >= final_start]
    reasons = _left_out(expected, asked.time[in_final] + lead, set(moments.tolist()), scenario, task, model)
    return Spans(base, between, _of(asked, in_replay), _of(asked, in_final), len(expected), reasons)


def _rows(scenario: Scenario, table: Path) -> tuple[list[str], list[list[str]], NDArray[np.int64]]:
    """(heads, rows, Unix ms of each row), without what lies before the scenario's first time."""
    with table.open(newline="") as file:
        reader = csv.reader(file)
        head = next(reader)
        at = head.index(scenario.choices.time_column)
        rows = [row for row in reader if row[at] >= scenario.first]
    stamps = timestamps.parse(np.array([row[at] for row in rows]), scenario.choices.time_format, str(table))
    reading = clock.Reading(None, scenario.choices.midnight, scenario.choices.sort)
    return head, rows, clock.read(stamps, reading, str(table)).unix_ms


def _write(path: Path, head: list[str], rows: list[list[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])


def _of(rows: Asked, which: NDArray[np.bool_]) -> Asked:
    return Asked(rows.x[which], rows.y[which], rows.naive[which], rows.time[which], rows.horizon_ms)


def _left_out(
    expected: NDArray[np.int64],
    answered: NDArray[np.int64],
    known: set[int],
    scenario: Scenario,
    task: Forecast,
    model: specs.EdgeModel,
) -> dict[str, int]:
    """Why moments of the final have no row, in the words of the import. Where several hold, the first counts."""
    step, window = task.step_seconds * 1000, model.input.shape[0]
    counts: Counter[str] = Counter()
    for moment in np.setdiff1d(expected, answered).tolist():
        at = moment - (task.horizon - task.steps + 1) * step
        if any(at - back * step not in known for back in range(window)):
            counts["gapInWindow"] += 1
        elif any(at + (task.horizon - ahead) * step not in known for ahead in range(task.steps)):
            counts["noTruth"] += 1
        else:
            counts["noSeason" if scenario.choices.lags else "other"] += 1
    return dict(counts)
