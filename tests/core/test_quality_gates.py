"""Gates of what accuracy hides: each passes what is good, fails what surely is not, and stays open where few rows
cannot tell."""

import numpy as np
import pytest

from skerry.core import gates, quality_gates
from skerry.core.class_gates import Holdout
from skerry.core.gates import GatePolicy, Outcome

NAMES = ("a", "b", "c", "d")
PASS, FAIL, OPEN = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE


def answers(n: int, wrong: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(labels, answers of which the share `wrong` is wrong, in no order)"""
    y = np.arange(n, dtype=np.int64) % 4
    turned = np.random.default_rng(seed).permutation(n)[: round(wrong * n)]
    said = y.copy()
    said[turned] = (said[turned] + 1) % 4
    return y, said


def outcome(found: list[gates.Gate], name: str) -> Outcome | None:
    return {gate.name: gate.outcome for gate in found}.get(name)


def judge(held: Holdout, **policy: int) -> list[gates.Gate]:
    return quality_gates.judge(GatePolicy(**policy), held)


@pytest.mark.parametrize(
    ("sure", "n", "expected"),
    [
        pytest.param(0.9, 2000, PASS, id="right as often as it says"),
        pytest.param(0.95, 2000, PASS, id="five points too sure are within the limit"),
        pytest.param(0.999, 100, PASS, id="of few rows chance alone makes twelve points"),
        pytest.param(0.67, 100, OPEN, id="few rows cannot tell ten points from twenty"),
        pytest.param(0.6, 2000, FAIL, id="thirty points too modest"),
    ],
)
def test_confidence_is_held_to_what_it_says(sure: float, n: int, expected: Outcome) -> None:
    y, said = answers(n, 0.1 if n > 100 else 0.12)
    found = judge(Holdout("imported", NAMES, y, said, sure=np.full(n, sure)), max_label_error_permille=0)
    assert outcome(found, "imported-calibration") is expected


def test_perfect_confidence_is_surely_off_by_nothing() -> None:
    rng = np.random.default_rng(1)
    low = []
    for _ in range(200):
        sure = rng.uniform(0.3, 1.0, 400)
        low.append(quality_gates.calibration_error(rng.uniform(size=400) < sure, sure)[2])
    assert np.mean(np.array(low) > 0) < 0.1


@pytest.mark.parametrize(
    ("rows", "right", "expected"),
    [
        pytest.param(200, 150, PASS, id="recognized"),
        pytest.param(200, 0, FAIL, id="never answered"),
        pytest.param(6, 0, OPEN, id="six rows are too few to say so"),
    ],
)
def test_every_class_must_be_recognized(rows: int, right: int, expected: Outcome) -> None:
    y = np.concatenate([np.zeros(900, np.int64), np.full(rows, 1, np.int64)])
    said = y.copy()
    said[900 + right :] = 0
    assert outcome(judge(Holdout("imported", NAMES, y, said)), "imported-worst-class") is expected
    assert (
        outcome(judge(Holdout("imported", NAMES, y, said), min_class_recall_permille=0), "imported-worst-class") is None
    )


def test_wrong_labels_show_among_the_answers_that_it_is_surest_of() -> None:
    y, said = answers(2000, 0.10)
    flipped = Holdout("imported", NAMES, y, said, sure=np.full(2000, 0.9))
    assert outcome(judge(flipped), "imported-labels") is FAIL
    hard = np.where(said == y, 0.95, 0.4)  # as many are wrong, but it knows which are hard
    assert outcome(judge(Holdout("imported", NAMES, y, said, sure=hard)), "imported-labels") is PASS
    weak = np.where(np.arange(2000) % 4 == 0, 0.9, 0.5)  # four in ten are wrong, of the surest quarter one in seven
    y, said = answers(2000, 0.0)
    said[weak == 0.5] = np.where(np.arange(1500) < 725, 3 - y[weak == 0.5], y[weak == 0.5])
    said[np.flatnonzero(weak == 0.9)[:70]] = 3
    found = judge(Holdout("imported", NAMES, y, said, sure=weak), min_class_recall_permille=0)
    assert outcome(found, "imported-labels") is PASS
    few = Holdout("imported", NAMES, y[:40], y[:40], sure=np.full(40, 0.9))
    assert outcome(judge(few), "imported-labels") is PASS


@pytest.mark.parametrize(
    ("taught", "held", "n", "expected"),
    [
        pytest.param(0.02, 0.03, 2000, PASS, id="it errs less on what it learned"),
        pytest.param(0.22, 0.21, 2000, PASS, id="a hard problem is hard on both"),
        pytest.param(0.12, 0.02, 2000, FAIL, id="one label in ten was wrong in training"),
        pytest.param(0.10, 0.03, 100, OPEN, id="a hundred rows cannot tell"),
    ],
)
def test_labels_that_training_was_taught_are_compared_with_the_holdouts(
    taught: float, held: float, n: int, expected: Outcome
) -> None:
    found = quality_gates.training_labels(GatePolicy(), NAMES, answers(n, taught), answers(n, held, seed=1))
    assert outcome(found, "training-labels") is expected


@pytest.mark.parametrize(
    ("worse", "rows", "expected"),
    [
        pytest.param(0.0, 200, PASS, id="no node fares worse"),
        pytest.param(0.4, 200, FAIL, id="one node fares far worse"),
        pytest.param(0.12, 25, PASS, id="chance explains three rows"),
    ],
)
def test_no_single_node_may_fare_far_worse(worse: float, rows: int, expected: Outcome) -> None:
    y, _ = answers(4 * rows, 0)
    node = np.repeat(np.array([b"n1", b"n2", b"n3", b"n4"]), rows)
    said = y.copy()
    said[: round(worse * rows)] = (said[: round(worse * rows)] + 1) % 4
    found = judge(Holdout("captured", NAMES, y, said, y, node=node))
    assert outcome(found, "captured-per-node") is expected
    alone = judge(Holdout("captured", NAMES, y, said, y, node=np.full(len(y), b"n1")))
    assert outcome(alone, "captured-per-node") is None


def test_of_sixteen_golden_rows_a_few_may_be_fragile() -> None:
    def of(fragile: int) -> Outcome | None:
        return outcome(quality_gates.robustness(GatePolicy(), fragile, 16, "noise"), "robustness")

    assert [of(0), of(4), of(6), of(14)] == [PASS, PASS, OPEN, FAIL]
    assert quality_gates.robustness(GatePolicy(max_fragile_permille=0), 16, 16, "noise") == []


def test_a_row_that_stands_there_five_hundred_times_is_one_row() -> None:
    y, said = answers(600, 0.0)
    found = Holdout("imported", NAMES, y, said, distinct=4).judge(GatePolicy())
    assert outcome(found, "imported-holdout") is OPEN
    assert "of which 4 differ" in next(gate.reason for gate in found if gate.name == "imported-holdout")
