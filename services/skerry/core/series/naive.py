"""Naive forecasts of rows that came one by one: from the truths of other rows of the same series.

Imported rows have theirs from the series itself (`windows`); of captured rows only the truths are known.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from skerry.core.tasks import Forecast

Source = tuple[str, str]  # the node, and its series: what one node says of a series is nothing to the rows of another
Truths = Mapping[Source, Mapping[int, float]]  # by the series' own time in Unix ms


def came_true(rows: Iterable[tuple[Source, int, Sequence[float]]], task: Forecast) -> Truths:
    """What (source, time, truth [steps]) of rows tell of their series, in whatever order they are. Of two truths of one
    moment that of the later row counts; of two rows of one time, the greater."""
    known: dict[Source, dict[int, float]] = defaultdict(dict)
    for source, time, truth in sorted(rows, key=lambda row: (row[1], tuple(row[2]))):
        moments = [time + lead * task.step_seconds * 1000 for lead in _leads(task)]
        known[source].update(zip(moments, truth, strict=True))
    return known


def seasonal(places: Sequence[tuple[Source, int]], known: Truths, task: Forecast) -> NDArray[np.float32]:
    """float32 [n, seasons, steps], NaN where the value is not known: the seasonal naive forecasts of rows at (source,
    time). Of step h and season m it is the value at h - m · ceil(h / m), the last one of that season that was there."""
    step_ms = task.step_seconds * 1000
    back = [[(lead - season * -(-lead // season)) * step_ms for lead in _leads(task)] for season in task.naive]
    values = [[[known.get(source, {}).get(time + ms, np.nan) for ms in row] for row in back] for source, time in places]
    return np.array(values, dtype=np.float32).reshape(len(places), len(task.naive), task.steps)


def _leads(task: Forecast) -> range:
    return range(task.horizon - task.steps + 1, task.horizon + 1)
