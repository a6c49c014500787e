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
MAX_NAMED, MAX_NUMBERS = 10, 100  # nodes that a verdict tells of, in words and in numbers


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
    supported = (answers.candidate == answers.teacher) & (answers.teacher >= 0)
    unsupported = (answers.candidate != answers.baseline) & ~supported
    rows = np.bincount(answers.node, minlength=len(answers.nodes))
    changed = np.bincount(answers.node[unsupported], minlength=len(rows))
    faults = _faults(answers, unsupported, rows, changed, class_names)
    named = {answers.nodes[index]: fault for index, fault in sorted(faults.items())}
    told = [f"rows of node {name}: {fault}" for name, fault in named.items() if name not in fleet.trusted]
    judged = np.flatnonzero(rows >= MIN_ROWS).tolist()
    shares = {answers.nodes[index]: float(changed[index] / rows[index]) for index in judged}
    most = sorted(shares, key=lambda name: (name not in named, -shares[name], name))[:MAX_NUMBERS]
    numbers = {f"changed:{name}": round(shares[name], 4) for name in most}
    if told:
        advice = "`skerry nodes forget` excludes a node, `skerry nodes trust` lets it teach"
        return [Gate(NAME, Outcome.FAIL, f"{first_of(told)}; {advice}", numbers)]
    return [Gate(NAME, Outcome.PASS, f"on no node's rows the answers change alone ({len(judged)} judged)", numbers)]


def first_of(texts: Sequence[str]) -> str:
    """The first of what is told of nodes, and how many more there are: a fleet is larger than an object may be."""
    more = f"; and {len(texts) - MAX_NAMED} more" if len(texts) > MAX_NAMED else ""
    return "; ".join(texts[:MAX_NAMED]) + more


def _faults(
    answers: Answers,
    unsupported: NDArray[np.bool_],
    rows: NDArray[np.int64],
    changed: NDArray[np.int64],
    class_names: Sequence[str],
) -> dict[int, str]:
    """What changed on one node's rows and hardly on the others', for people, by the node's index."""
    faults: dict[int, str] = {}
    for label in np.unique(answers.candidate[unsupported & (answers.candidate >= 0)]).tolist():
        won = np.bincount(answers.node[unsupported & (answers.candidate == label)], minlength=len(rows))
        for index in _standing_out(won, rows, CLASS_MARGIN):
            text = f"class {class_names[label]!r:.40} wins {won[index]} of {rows[index]} that it did not have before"
            faults.setdefault(index, text)
    for index in _standing_out(changed, rows, CHANGE_MARGIN):
        text = f"{changed[index]} of {rows[index]} answers change, and the teacher supports none of it"
        faults.setdefault(index, text)
    return faults


def _standing_out(counts: NDArray[np.int64], rows: NDArray[np.int64], margin: float) -> list[int]:
    """The nodes that have surely more of `counts` among their rows than the others, each of them counted alike."""
    gave = rows > 0
    rates = np.where(gave, (counts + PRIOR_RATE * PRIOR_ROWS) / (rows + PRIOR_ROWS), 0.0)
    others = gave.sum() - gave
    usual = np.where(others > 0, (rates.sum() - rates) / np.maximum(others, 1), PRIOR_RATE)
    limit = np.minimum(0.95, usual + margin)
    return [
        index
        for index in np.flatnonzero(rows >= MIN_ROWS).tolist()
        if contributions.exceeds(int(counts[index]), int(rows[index]), float(limit[index])) < ALPHA
    ]
