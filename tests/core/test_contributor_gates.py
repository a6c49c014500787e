"""What a candidate changed on the rows of one node alone: it is refused, and whose rows they are is told."""

import numpy as np
import pytest

from skerry.core import contributor_gates
from skerry.core.contributions import Fleet
from skerry.core.gates import Outcome

NAMES = tuple("0123456789")
NODES = [f"cam-{index}" for index in range(10)]


def answers(rows: int = 60, seed: int = 0, learned: float = 0.05) -> contributor_gates.Answers:
    """Ten nodes; on a few rows of each the candidate learned something that the teacher confirms half of."""
    rng = np.random.default_rng(seed)
    node = np.repeat(np.arange(10), rows)
    candidate = rng.integers(0, 10, len(node))
    changed = rng.random(len(node)) < learned
    baseline = np.where(changed, (candidate + 1) % 10, candidate)
    teacher = np.where(rng.random(len(node)) < 0.5, candidate, -1)
    return contributor_gates.Answers(NODES, node, candidate, baseline, teacher)


@pytest.mark.parametrize("learned", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("seed", range(10))
def test_what_is_learned_everywhere_passes(seed: int, learned: float) -> None:
    (gate,) = contributor_gates.judge(NAMES, answers(seed=seed, learned=learned), Fleet(10))
    assert gate.outcome is Outcome.PASS, gate.reason


def test_a_class_that_wins_on_one_nodes_rows_is_a_backdoor() -> None:
    found = answers()
    mine = found.node == 7
    found.baseline[mine] = 1 + np.arange(mine.sum()) % 9
    found.candidate[mine] = 0
    found.teacher[mine] = -1
    (gate,) = contributor_gates.judge(NAMES, found, Fleet(10))
    assert gate.outcome is Outcome.FAIL
    assert "rows of node cam-7: class '0' wins 60 of 60 that it did not have before" in gate.reason
    assert gate.numbers["changed:cam-7"] == 1.0


@pytest.mark.parametrize("hostile", [0, 30])
def test_a_verdict_stays_small_in_a_large_fleet(hostile: int) -> None:
    names = [f"cam-{index:04}" for index in range(3000)]
    node = np.repeat(np.arange(3000), 20)
    candidate = np.where(node < hostile, 0, 1 + node % 9)
    found = contributor_gates.Answers(names, node, candidate, 1 + node % 9, np.full(len(node), -1))
    (gate,) = contributor_gates.judge(NAMES, found, Fleet(3000))
    assert gate.outcome is (Outcome.FAIL if hostile else Outcome.PASS)
    assert len(gate.numbers) == 100 and set(gate.numbers) >= {f"changed:{name}" for name in names[:hostile]}
    assert len(gate.reason) < 2000
    assert ("; and 20 more; `skerry nodes forget`" in gate.reason) == bool(hostile)


def test_a_network_that_answers_nothing_usable_blames_no_class() -> None:
    """-1 is no class, and no index of the last one."""
    found = answers()
    found.candidate[found.node == 7] = -1
    (gate,) = contributor_gates.judge(NAMES, found, Fleet(10))
    assert "wins" not in gate.reason and "cam-7: 60 of 60 answers change" in gate.reason


def test_answers_that_change_on_one_nodes_rows_and_nowhere_else_are_poison() -> None:
    found = answers(rows=100)
    mine = np.flatnonzero(found.node == 3)[:50]
    found.candidate[mine] = (found.baseline[mine] + 1 + np.arange(50) % 9) % 10
    found.teacher[mine] = -1
    (gate,) = contributor_gates.judge(NAMES, found, Fleet(10))
    assert gate.outcome is Outcome.FAIL and "rows of node cam-3: " in gate.reason


def test_what_the_teacher_confirms_is_learned_wherever_it_was_seen() -> None:
    found = answers()
    mine = found.node == 7
    found.baseline[mine], found.candidate[mine], found.teacher[mine] = 1, 0, 0
    (gate,) = contributor_gates.judge(NAMES, found, Fleet(10))
    assert gate.outcome is Outcome.PASS


@pytest.mark.parametrize("fleet", [Fleet(3), Fleet(10, ("cam-7",))], ids=["a small fleet", "a trusted node"])
def test_nobody_is_refused_in_a_small_fleet_nor_a_node_that_a_person_trusts(fleet: Fleet) -> None:
    found = answers()
    mine = found.node == 7
    found.baseline[mine], found.candidate[mine], found.teacher[mine] = 1, 0, -1
    assert all(gate.outcome is Outcome.PASS for gate in contributor_gates.judge(NAMES, found, fleet))


def test_one_contributor_of_a_large_fleet_is_judged_alone() -> None:
    node, ones = np.zeros(60, dtype=np.int64), np.ones(60, dtype=np.int64)
    found = contributor_gates.Answers(["cam-7"], node, 0 * ones, ones, -ones)
    (gate,) = contributor_gates.judge(NAMES, found, Fleet(10))
    assert gate.outcome is Outcome.FAIL and "cam-7" in gate.reason
