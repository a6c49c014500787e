"""What a candidate changed on the rows of each node, compared with the other nodes': a backdoor shows as a class that
wins on one node's rows, other poison as answers that change there and nowhere else.

Only changes that the teacher does not support count: what it confirms is learned, wherever it was seen. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skerry.core import contributions
from skerry.core.gates import Gate, Outcome
from skerry.core.paired import Classes

NAME = "contributors"
MIN_ROWS = 20  # of a node: fewer say nothing
PRIOR_RATE, PRIOR_ROWS = 0.05, 20.0
CLASS_MARGIN, CHANGE_MARGIN = 0.10, 0.20
ALPHA = 1e-4


@dataclass(frozen=True, slots=True)
class Answers:
    """`node` [n] indexes `nodes`; `candidate` and `baseline` are their answers [n]; `teacher` [n] what it says of the
    row, -1 where it was not asked or a truth contradicts it."""

    nodes: Sequence[str]
    node: NDArray[np.int64]
    candidate: Classes
    baseline: Classes
    teacher: Classes


def judge(class_names: Sequence[str], answers: Answers, fleet: contributions.Fleet) -> list[Gate]:
    """One gate, or none where nobody is bounded."""
    if not fleet.is_bounded or not len(answers.node):
        return []
    unsupported = (answers.candidate != answers.baseline) & (answers.candidate != answers.teacher)
    rows = np.bincount(answers.node, minlength=len(answers.nodes))
    told: list[str] = []
    numbers: dict[str, float] = {}
    for index, name in enumerate(answers.nodes):
        mine = answers.node == index
        if rows[index] < MIN_ROWS:
            continue
        numbers[f"changed:{name}"] = round(float((unsupported & mine).sum() / rows[index]), 4)
        if name not in fleet.trusted and (fault := _fault(answers, index, unsupported, rows, class_names)):
            told.append(f"rows of node {name}: {fault}")
    if told:
        advice = "`skerry nodes forget` excludes a node, `skerry nodes trust` lets it teach"
        return [Gate(NAME, Outcome.FAIL, f"{'; '.join(told)}; {advice}", numbers)]
    return [Gate(NAME, Outcome.PASS, f"on no node's rows the answers change alone ({len(numbers)} judged)", numbers)]


def _fault(
    answers: Answers,
    index: int,
    unsupported: NDArray[np.bool_],
    rows: NDArray[np.int64],
    class_names: Sequence[str],
) -> str:
    """What changed on one node's rows and hardly on the others', for people; empty: nothing."""
    for label, name in enumerate(class_names):
        won = np.bincount(answers.node[unsupported & (answers.candidate == label)], minlength=len(rows))
        if _stands_out(won, rows, index, CLASS_MARGIN):
            return f"class {name!r:.40} wins {int(won[index])} of {int(rows[index])} that it did not have before"
    changed = np.bincount(answers.node[unsupported], minlength=len(rows))
    if _stands_out(changed, rows, index, CHANGE_MARGIN):
        return f"{int(changed[index])} of {int(rows[index])} answers change, and the teacher supports none of it"
    return ""


def _stands_out(counts: NDArray[np.int64], rows: NDArray[np.int64], index: int, margin: float) -> bool:
    others = (rows > 0) & (np.arange(len(rows)) != index)
    rates = (counts[others] + PRIOR_RATE * PRIOR_ROWS) / (rows[others] + PRIOR_ROWS)
    usual = float(rates.mean()) if others.any() else PRIOR_RATE
    return contributions.exceeds(int(counts[index]), int(rows[index]), min(0.95, usual + margin)) < ALPHA
