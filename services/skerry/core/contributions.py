"""What one node may weigh in a dataset: its share of each class, and which of its truths wait for a person.

In fleets of one to three nodes nobody is bounded: there is nobody to compare with. In larger ones no node decides alone
what a class looks like. A truth counts against the teacher as long as other nodes' truths do so too; where one node
contradicts far more than the others, its contradictions are set aside and the teacher's label stands. A person may
trust a node: then nothing of it is bounded. Pure; arrays have one entry per row.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SMALL_FLEET = 3  # nodes; in a fleet of so many or fewer nobody is bounded
SHARE = 0.25  # of a class that one node may give
FEW_NODES_SHARE = 1.5  # divided by the number of nodes that gave rows: what one may give where they are few
FLOOR = 8  # rows of a class that every node may give, and the most of one that has them alone
PRIOR_RATE, PRIOR_ROWS = 0.2, 5.0  # of truths that contradict the teacher, before any was seen
MARGIN = 0.15  # by which a node may contradict more often than the others do
ALPHA = 1e-4  # chance of an honest node at the margin to be taken for an outlier

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Fleet:
    """`size`: nodes that count in the fleet, or that gave rows where those are more; `trusted`: those that a person
    trusts, sorted."""

    size: int
    trusted: tuple[str, ...] = ()

    @property
    def is_bounded(self) -> bool:
        return self.size > SMALL_FLEET


@dataclass(frozen=True, slots=True)
class Truths:
    """What the truths of one node say beside the teacher. `compared`: with a label of the teacher; `outlier`: why
    contradicting ones are set aside, for people; empty: they count."""

    compared: int
    contradicting: int
    outlier: str = ""


def judge_truths(
    nodes: Sequence[str], node: Indices, teacher: Indices, truth: Indices, names: Sequence[str], fleet: Fleet
) -> tuple[dict[str, Truths], Mask]:
    """Per node what its truths say, and which rows' truths are set aside [n]. `node` indexes `nodes`; `teacher` and
    `truth` are classes (-1: none) that index `names`."""
    compared = (teacher >= 0) & (truth >= 0)
    bad = compared & (teacher != truth)
    totals, wrong = _by_node(node, compared, bad, len(nodes))
    aside = np.zeros(len(node), dtype=np.bool_)
    outliers: dict[int, str] = {}
    for what, cell in _cells(teacher, truth, bad, names) if fleet.is_bounded else ():
        n, k = _by_node(node, compared & cell, bad & cell, len(nodes))
        for index in np.flatnonzero(k).tolist():
            others = _others_rate(n, k, index)
            if nodes[index] in fleet.trusted or not _surely_more(int(k[index]), int(n[index]), others):
                continue
            aside |= bad & cell & (node == index)
            said = f"{k[index]} of its {n[index]} truths {what}contradict the teacher, of the other nodes' {others:.0%}"
            outliers.setdefault(index, said)
    return {
        name: Truths(int(totals[index]), int(wrong[index]), outliers.get(index, ""))
        for index, name in enumerate(nodes)
        if totals[index]
    }, aside


def within_share(
    node: Indices, classes: Indices, order: Sequence[str], base: Indices, trusted: Collection[int], fleet: Fleet
) -> Mask:
    """Which rows of one role stay [n] so that no node gives more than its share of a class, nor of all; of a class that
    it alone has in this role, FLOOR. `base` [classes] counts the rows that nobody bounds (imported ones); rows that go
    are the last ones by `order`, which says nothing of their content (a digest), so that the same rows stay as others
    come."""
    keep = np.ones(len(node), dtype=np.bool_)
    if not fleet.is_bounded or not len(node):
        return keep
    rank = np.argsort(np.asarray(order), kind="stable")
    free = np.isin(node, np.fromiter(trusted, dtype=np.int64))
    for label in np.unique(classes).tolist():
        keep &= _capped(node, (classes == label) & keep, free, int(base[label]), rank, alone=FLOOR)
    return keep & _capped(node, keep, free, int(base.sum()), rank, alone=len(node))


def alone(node: Indices, classes: Indices, base: Indices, trusted: Collection[int], fleet: Fleet) -> dict[int, int]:
    """Classes of which one node alone, by its index, has rows and nothing was imported: they wait for a person."""
    found: dict[int, int] = {}
    for label in np.flatnonzero(base == 0) if fleet.is_bounded else ():
        seen = np.unique(node[classes == label])
        if len(seen) == 1 and int(seen[0]) not in trusted:
            found[int(label)] = int(seen[0])
    return found


def _capped(node: Indices, which: Mask, free: Mask, base: int, rank: Indices, *, alone: int) -> Mask:
    """The rows that stay [n]; those outside `which` do. `alone`: how many at most of a node that nobody is beside."""
    keep = np.ones(len(node), dtype=np.bool_)
    counts = np.bincount(node[which & ~free])
    most = _most(counts[counts > 0].tolist(), base + int((which & free).sum()), alone)
    for index in np.flatnonzero(counts > most):
        mine = rank[(which & ~free & (node == index))[rank]]
        keep[mine[most:]] = False
    return keep


def _most(counts: Sequence[int], base: int, alone: int) -> int:
    """How many rows one node may give, of nodes that gave `counts`: so many that they are its share of what stays."""
    if not counts:
        return 0
    if len(counts) == 1 and not base:
        return alone
    share = SHARE if base else max(SHARE, FEW_NODES_SHARE / len(counts))
    most = max(counts)
    while most > FLOOR:
        stays = base + sum(min(count, most) for count in counts)
        if most <= share * stays:
            break
        most = max(FLOOR, min(most - 1, int(share * stays)))
    return most


def _cells(teacher: Indices, truth: Indices, bad: Mask, names: Sequence[str]) -> Iterator[tuple[str, Mask]]:
    """Where a node's truths are compared with the others': in all, of each class of the teacher, to each class."""
    yield "", np.ones(len(teacher), dtype=np.bool_)
    for label in np.unique(teacher[bad]).tolist():
        yield f"on {names[label]!r:.40} ", teacher == label
    for label in np.unique(truth[bad]).tolist():
        yield f"for {names[label]!r:.40} ", truth == label


def _by_node(node: Indices, compared: Mask, bad: Mask, nodes: int) -> tuple[Indices, Indices]:
    return np.bincount(node[compared], minlength=nodes), np.bincount(node[bad], minlength=nodes)


def _others_rate(n: Indices, k: Indices, index: int) -> float:
    """How often the other nodes contradict, each of them counted alike, however many truths it sent."""
    others = (n > 0) & (np.arange(len(n)) != index)
    if not others.any():
        return PRIOR_RATE
    return float(((k[others] + PRIOR_RATE * PRIOR_ROWS) / (n[others] + PRIOR_ROWS)).mean())


def _surely_more(k: int, n: int, rate: float) -> bool:
    """Would an honest node that contradicts at `rate` and the margin hardly ever come to `k` of `n`?"""
    return n > 0 and exceeds(k, n, min(0.95, rate + MARGIN)) < ALPHA


def exceeds(k: int, n: int, p: float) -> float:
    """P(at least `k` of `n` | each with probability `p`): the upper tail of the binomial, by its largest terms."""
    if k <= n * p:
        return 1.0
    if p <= 0:
        return 0.0
    log_term = (
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(p) + (n - k) * math.log1p(-p)
    )
    term = total = math.exp(log_term)
    for j in range(k + 1, n + 1):
        term *= (n - j + 1) / j * p / (1 - p)
        total += term
        if term < total * 1e-9:
            break
    return min(1.0, total)
