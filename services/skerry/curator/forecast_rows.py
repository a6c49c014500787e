"""What captured rows of a forecaster have beyond others: a place in the series' own time, and naive forecasts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import dataset_parts, datasets
from skerry.core.series import naive, splitting
from skerry.core.tasks import Forecast
from skerry.curator.captured_rows import Row
from skerry.curator.label_task import LabelTask


def places(rows: Sequence[Row], task: LabelTask) -> NDArray[Any]:
    """[n] train, holdout or embargo; it never changes. Rows of classes are placed by their input, those of a forecast
    by blocks of their series, for neighbours share their steps."""
    answers = task.answers
    if not isinstance(answers, Forecast):
        held = (datasets.is_holdout(row.input_digest) for row in rows)
        return np.array(["holdout" if one else "train" for one in held], dtype="U8")
    reach = splitting.Reach.of(task.input.shape, answers)
    return np.array([splitting.of_captured(row.series, row.series_unix_ms, reach) for row in rows], dtype="U8")


def came_true(rows: Sequence[Row], task: LabelTask) -> naive.Truths:
    """What the truths of the rows tell of their series."""
    if not isinstance(task.answers, Forecast):
        return {}
    return naive.came_true(((_source(row), row.series_unix_ms, row.label.values) for row in rows), task.answers)


def columns(rows: Sequence[Row], task: LabelTask, known: naive.Truths) -> dict[str, NDArray[Any]]:
    """The columns that only parts of forecasts have."""
    if not isinstance(task.answers, Forecast):
        return {}
    return {
        "series": np.array([row.series.encode() for row in rows], dtype=dataset_parts.SERIES_DTYPE),
        "time": np.array([row.series_unix_ms for row in rows], dtype=np.int64),
        "naive": naive.seasonal([(_source(row), row.series_unix_ms) for row in rows], known, task.answers),
    }


def _source(row: Row) -> naive.Source:
    return row.node, row.series
