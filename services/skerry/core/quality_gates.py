"""Gates of what accuracy hides: the worst class, how honest the confidence is, wrong labels, the worst node, and
answers that small changes of the input turn over.

Each has a limit in EdgeModel.spec.gates (0: not asked) and says its numbers. What exceeds a limit fails only where
chance does not explain it; where chance may, it stays open on the imported holdout. Pure: `core.gates` explains the
outcomes, the trainer measures.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from skerry.core import contributions, paired
from skerry.core.gates import ALPHA, Gate, GatePolicy, Outcome
from skerry.core.paired import Classes

BINS = 10  # of the confidence, each with as many rows as the others
SUREST_ONE_IN = 4
HARD_SHARE = 0.5  # of the error on all rows, that the surest answers may have where it is the problem that is hard
CHANCE_ROWS = 2  # of few rows one or two are chance and no share
MIN_NODE_ROWS = 20  # fewer of a node say nothing
MAX_NODES = 100  # whose numbers are told


class Answered(Protocol):
    """A holdout of classes, see `class_gates.Holdout`."""

    @property
    def origin(self) -> str: ...
    @property
    def class_names(self) -> Sequence[str]: ...
    @property
    def labels(self) -> Classes: ...
    @property
    def candidate(self) -> Classes: ...
    @property
    def baseline(self) -> Classes | None: ...
    @property
    def sure(self) -> NDArray[np.float64] | None: ...
    @property
    def node(self) -> NDArray[np.bytes_] | None: ...


def judge(policy: GatePolicy, held: Answered) -> list[Gate]:
    """The gates that are asked of this holdout of n ≥ 1 rows. Captured rows are the hard ones, and not all of them were
    labelled by truth: of them only the nodes are compared."""
    if held.origin != "imported":
        return _worst_node(policy, held)
    gates = [_worst_class(policy, held)] if policy.min_class_recall_permille else []
    if held.sure is not None and policy.max_calibration_error_permille:
        gates.append(_calibration(policy, held, held.sure))
    if held.sure is not None and policy.max_label_error_permille:
        gates.append(_labels(policy, held, held.sure))
    return gates


def robustness(policy: GatePolicy, fragile: int, rows: int, changes: str) -> list[Gate]:
    """`fragile` of `rows` rows of the golden set are answered otherwise after one of the small `changes`."""
    limit = policy.max_fragile_permille / 1000
    if not limit or not rows:
        return []
    text = f"{fragile} of {rows} golden rows get another answer after {changes}; at most {limit:.1%} may"
    numbers = {"fragile": fragile / rows, "rows": float(rows), "limit": limit}
    return [Gate("robustness", _beyond(fragile, rows, limit), text, numbers)]


def training_labels(
    policy: GatePolicy, names: Sequence[str], taught: tuple[Classes, Classes], held: tuple[Classes, Classes]
) -> list[Gate]:
    """Are the labels of the imported training rows as good as those of the imported holdout? (labels, answers) of
    either. A network errs less on rows that it learned than on others: where it contradicts their labels more often,
    these are wrong, or of another population. The mean over classes that both have, each with as much weight."""
    limit = policy.max_label_error_permille / 1000
    if not limit or not len(taught[0]) or not len(held[0]):
        return []
    rows = [np.bincount(labels, minlength=len(names)) for labels, _ in (taught, held)]
    both = (rows[0] > 0) & (rows[1] > 0)
    if not both.any():
        return []
    wrong = [1 - paired.recalls(labels, answers, len(names))[both] for labels, answers in (taught, held)]
    error = math.sqrt(sum(_variance(share, count[both]) for share, count in zip(wrong, rows, strict=True)))
    of_taught, of_held = float(wrong[0].mean()), float(wrong[1].mean())
    more = of_taught - of_held
    low = more - paired.Z_ONE_SIDED_95 * error
    text = (
        f"it contradicts {of_taught:.2%} of the labels that it learned and {of_held:.2%} of the holdout's; of those "
        f"that it learned at most {limit:.1%} more may be (surely {low:+.2%})"
    )
    numbers = {"taught": of_taught, "held": of_held, "low": low, "limit": limit}
    if more <= limit or low <= 0:
        return [Gate("training-labels", Outcome.PASS, text, numbers)]
    outcome = Outcome.FAIL if low > limit else Outcome.INCONCLUSIVE
    return [Gate("training-labels", outcome, f"{text}: look at the labels of the training rows", numbers)]


def calibration_error(right: NDArray[np.bool_], sure: NDArray[np.float64]) -> tuple[float, float, float]:
    """(expected calibration error, the same without what chance makes of it, what it is surely) of n ≥ 1 answers, in
    bins of equally many by confidence (Nguyen & O'Connor, "Posterior calibration and exploratory analysis for natural
    language processing models", EMNLP 2015).

    Of perfect confidence chance alone makes it more than 0: by E|N(0, s)| = s √(2/π) in a bin whose share of right
    answers has the standard error s. That is taken off, and for the last number 1.645 standard errors of the sum, too.
    """
    order = np.argsort(sure, kind="stable")
    error = by_chance = variance = 0.0
    for rows in np.array_split(order, min(BINS, len(order))):
        weight, smoothed = len(rows) / len(order), (float(right[rows].sum()) + 1) / (len(rows) + 2)
        spread = smoothed * (1 - smoothed) / len(rows)
        error += weight * abs(float(right[rows].mean()) - float(sure[rows].mean()))
        by_chance += weight * math.sqrt(spread * 2 / math.pi)
        variance += weight**2 * spread * (1 - 2 / math.pi)
    return error, error - by_chance, error - by_chance - paired.Z_ONE_SIDED_95 * math.sqrt(variance)


def _calibration(policy: GatePolicy, held: Answered, sure: NDArray[np.float64]) -> Gate:
    """By the calibration that is served. Its temperature was fitted on these rows, one number for all of them."""
    error, beyond_chance, low = calibration_error(held.candidate == held.labels, sure)
    limit, name = policy.max_calibration_error_permille / 1000, f"{held.origin}-calibration"
    text = (
        f"confidence and share of right answers differ by {error:.4f}, by {max(0.0, beyond_chance):.4f} more than "
        f"chance explains (surely {max(0.0, low):.4f}); at most {limit:.3f} is allowed"
    )
    numbers = {"error": error, "beyondChance": beyond_chance, "low": low, "limit": limit}
    if beyond_chance <= limit:
        return Gate(name, Outcome.PASS, text, numbers)
    return Gate(name, Outcome.FAIL if low > limit else Outcome.INCONCLUSIVE, text, numbers)


def _worst_class(policy: GatePolicy, held: Answered) -> Gate:
    limit, name = policy.min_class_recall_permille / 1000, f"{held.origin}-worst-class"
    recalls = paired.recalls(held.labels, held.candidate, len(held.class_names))
    rows = np.bincount(held.labels, minlength=len(recalls))
    worst = int(np.nanargmin(recalls))
    numbers = {"recall": float(recalls[worst]), "rows": float(rows[worst]), "limit": limit}
    text = f"class {held.class_names[worst]!r}: {recalls[worst]:.4f} on {rows[worst]} rows; {limit:.3f} is asked for"
    short = [k for k in np.flatnonzero(rows).tolist() if recalls[k] < limit]
    if not short:
        return Gate(name, Outcome.PASS, f"the worst recall is of {text}", numbers)
    wrong = {k: round((1 - recalls[k]) * rows[k]) for k in short}
    sure = [k for k in short if contributions.exceeds(wrong[k], int(rows[k]), 1 - limit) < ALPHA / len(recalls)]
    more = f" (and {len(short) - 1} more classes)" if len(short) > 1 else ""
    return Gate(name, Outcome.FAIL if sure else Outcome.INCONCLUSIVE, f"hardly recognized: {text}{more}", numbers)


def _labels(policy: GatePolicy, held: Answered, sure: NDArray[np.float64]) -> Gate:
    """Wrong answers among those that it is surest of. What is hard is hardly among them; a wrong label is, as often as
    among all rows. So half of the error on all rows is let pass, too: a hard problem is no wrong label."""
    name, contradicts = f"{held.origin}-labels", held.candidate != held.labels
    limit = max(policy.max_label_error_permille / 1000, HARD_SHARE * float(contradicts.mean()))
    surest = np.argsort(-sure, kind="stable")[: max(1, len(sure) // SUREST_ONE_IN)]
    wrong = int(contradicts[surest].sum())
    text = f"of the {len(surest)} answers that it is surest of {wrong} contradict their label; at most {limit:.1%} may"
    numbers = {"contradicted": wrong / len(surest), "rows": float(len(surest)), "limit": limit}
    outcome = _beyond(wrong, len(surest), limit)
    if outcome is Outcome.PASS:
        return Gate(name, outcome, text, numbers)
    return Gate(name, outcome, f"{text}: look at the holdout's labels; or it is sure of what it does not know", numbers)


def _worst_node(policy: GatePolicy, held: Answered) -> list[Gate]:
    """No node's rows may fare far worse than with the version before, whatever all rows together do. A loss that
    chance explains is let pass; of many nodes one is always unlucky, so they share the error."""
    limit, name = policy.node_margin_permille / 1000, f"{held.origin}-per-node"
    if not limit or held.baseline is None or held.node is None:
        return []
    nodes, node, rows = np.unique(held.node, return_inverse=True, return_counts=True)
    judged = [k for k in np.flatnonzero(rows >= MIN_NODE_ROWS).tolist() if nodes[k]]
    if len(judged) < 2:
        return []  # one node is the whole holdout, which is judged beside
    right, was = held.candidate == held.labels, held.baseline == held.labels
    lost = np.bincount(node[~right & was], minlength=len(nodes))
    won = np.bincount(node[right & ~was], minlength=len(nodes))
    delta = (won - lost) / rows
    order = sorted(judged, key=lambda k: (delta[k], nodes[k]))
    numbers = {f"delta:{nodes[k].decode()}": round(float(delta[k]), 6) for k in order[:MAX_NODES]} | {"margin": limit}
    short = [k for k in order if delta[k] < -limit]
    sure = [k for k in short if paired.worse_by_chance(int(lost[k]), int(won[k])) < ALPHA / len(judged)]
    worst = order[0]
    text = f"{nodes[worst].decode()} {delta[worst]:+.4f} on {rows[worst]} rows, margin {limit:.3f}, {len(judged)} nodes"
    if sure:
        return [Gate(name, Outcome.FAIL, f"{len(sure)} nodes fare worse: {text}", numbers)]
    said = "; chance explains it" if short else ""
    fared = "lost most" if delta[worst] < 0 else "gained least"
    return [Gate(name, Outcome.PASS, f"the node that {fared} is {text}{said}", numbers)]


def _beyond(count: int, rows: int, limit: float) -> Outcome:
    """Is `count` of `rows` more than the share `limit`?"""
    if count <= max(limit * rows, CHANCE_ROWS):
        return Outcome.PASS
    return Outcome.FAIL if contributions.exceeds(count, rows, limit) < ALPHA else Outcome.INCONCLUSIVE


def _variance(shares: NDArray[np.float64], rows: NDArray[np.int64]) -> float:
    """Of the mean of these shares, each of so many rows."""
    smoothed = (shares * rows + 1) / (rows + 2)
    return float((smoothed * (1 - smoothed) / rows).sum()) / len(rows) ** 2
