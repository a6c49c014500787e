"""What of the captured rows goes into a dataset, so that no node weighs too much there (`core.contributions`).

Truths that are set aside leave the teacher's label; rows beyond a node's share, and classes that one node alone has,
are left out and counted. The same rows and the same fleet give the same dataset.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from skerry.core import contributions, datasets
from skerry.core.contributions import Fleet
from skerry.core.series import splitting
from skerry.curator import forecast_rows
from skerry.curator.captured_rows import Row
from skerry.curator.label_task import LabelTask

OVER_SHARE, WAITING = "overShare", "soleContributor"  # in `dropped`


@dataclass(frozen=True, slots=True)
class Settled:
    """`rows` that go into the dataset; `nodes`: what each gave; `dropped` counts rows by reason."""

    rows: Sequence[Row]
    nodes: Mapping[str, datasets.NodeRows]
    dropped: Mapping[str, int]
    fleet: int


def settle(rows: Sequence[Row], task: LabelTask, base: NDArray[np.int64], fleet: Fleet) -> Settled:
    """`base` counts the imported training rows: [classes], or [1] of a forecast. Rows in an embargo are left out."""
    placed = forecast_rows.places(rows, task)
    apart = np.flatnonzero(placed != splitting.EMBARGO)
    embargoed, rows, placed = len(rows) - len(apart), [rows[index] for index in apart.tolist()], placed[apart]
    names = sorted({row.node for row in rows})
    fleet = replace(fleet, size=max(fleet.size, len(names)))
    position = {name: index for index, name in enumerate(names)}
    node = _indices(position[row.node] for row in rows)
    truths, aside = contributions.judge_truths(
        names, node, _indices(map(_teachers, rows)), _indices(map(_truth, rows)), task.class_names, fleet
    )
    rows = [_by_teacher(row) if is_aside else row for row, is_aside in zip(rows, aside.tolist(), strict=True)]
    classes = _indices(max(0, row.label.label) for row in rows)  # of a forecast all are of one class
    held = placed == "holdout"
    trusted = [index for index, name in enumerate(names) if name in fleet.trusted]
    waiting = np.isin(classes, list(contributions.alone(node, classes, base, trusted, fleet)))
    keep = ~waiting
    for role, imported in ((~held, base), (held, np.zeros_like(base))):
        which = np.flatnonzero(role & ~waiting)
        order = [rows[index].input_digest for index in which]
        keep[which] = contributions.within_share(node[which], classes[which], order, imported, trusted, fleet)
    left_out = ~keep & ~waiting

    def count(which: NDArray[np.bool_]) -> list[int]:
        counts: list[int] = np.bincount(node[which], minlength=len(names)).tolist()
        return counts

    train, holdout, out, waits, bad = map(count, (keep & ~held, keep & held, left_out, waiting, aside))
    given = {
        name: datasets.NodeRows(
            train=train[index],
            holdout=holdout[index],
            left_out=out[index],
            waiting=waits[index],
            truths=said.compared,
            contradicting=said.contradicting,
            set_aside=bad[index],
            outlier=said.outlier,
            trusted=name in fleet.trusted,
        )
        for index, name in enumerate(names)
        for said in [truths.get(name, contributions.Truths(0, 0))]
    }
    dropped = {OVER_SHARE: int(left_out.sum()), WAITING: int(waiting.sum()), splitting.EMBARGO: embargoed}
    return Settled([row for row, stays in zip(rows, keep.tolist(), strict=True) if stays], given, dropped, fleet.size)


def _indices(values: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(values, dtype=np.int64)


def _teachers(row: Row) -> int:
    said = row.label.of_teacher
    return -1 if said is None else said.label


def _truth(row: Row) -> int:
    """The true class; -1 where there is none."""
    return row.label.label if row.label.source == "GroundTruth" else -1


def _by_teacher(row: Row) -> Row:
    said = row.label.of_teacher
    return row if said is None else replace(row, label=said, mark=row.teachers_mark)
