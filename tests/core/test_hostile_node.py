"""One hostile node of twenty: whatever it has counted, the verdict is that of the honest nodes, in both directions."""

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skerry.core import arms, evidence
from skerry.core.arms import Count
from skerry.core.gates import Outcome
from skerry.core.specs import Analysis

NOW = 1_000_000
JUDGES, CANARIES, NODES = 3, 4, 20
POLICY = Analysis()  # the defaults: 2 % are still the same, 5 % are harm
ANSWERS = 4500  # of each node: without a hostile one 1,500 are enough

COUNTS = st.tuples(
    st.one_of(st.integers(0, 50), st.integers(0, 10**4), st.integers(0, 10**8)).map(float), st.floats(0, 1)
)
SIDES = st.sampled_from(["canary", "baseline"])


def counts(first: int, nodes: int, rate: float, n: int = ANSWERS) -> list[Count]:
    """Honest nodes that differ a little, as chance makes them: by half a standard deviation this way and that."""
    sway = 0.5 * math.sqrt(rate * (1 - rate) / n)
    return [
        Count(f"e{index}", n, round(n * (rate + sway * (-1) ** index)), NOW) for index in range(first, first + nodes)
    ]


def judged(worse: float, side: str, claim: tuple[float, float]) -> evidence.Verdict:
    n, share = claim
    arms_of = {"canary": counts(0, CANARIES, 0.05 + worse), "baseline": counts(CANARIES, NODES - CANARIES, 0.05)}
    arms_of[side][0] = Count("hostile", n, math.floor(n * share), NOW)
    found = evidence.Evidence(tuple(arms_of["canary"]), tuple(arms_of["baseline"]), NOW)
    return evidence.verdict(found, POLICY, now_ms=NOW, judges=JUDGES)


@settings(deadline=None, max_examples=60)
@given(side=SIDES, claim=COUNTS)
@example(side="canary", claim=(float(ANSWERS), 1.0))
@example(side="canary", claim=(2.0 * ANSWERS, 0.075))
@example(side="baseline", claim=(1e8, 0.0))
def test_it_neither_fails_nor_holds_up_a_version_that_is_as_good(side: str, claim: tuple[float, float]) -> None:
    found = judged(0.0, side, claim)
    assert found.outcome is Outcome.PASS, found.reason


@settings(deadline=None, max_examples=60)
@given(side=SIDES, claim=COUNTS)
@example(side="canary", claim=(1e8, 0.0))
@example(side="baseline", claim=(1e8, 1.0))
def test_it_neither_passes_nor_holds_up_a_version_that_is_worse(side: str, claim: tuple[float, float]) -> None:
    found = judged(0.15, side, claim)
    assert found.outcome is Outcome.FAIL, found.reason


def test_without_a_hostile_node_a_third_of_the_answers_is_enough() -> None:
    """What one hostile node costs at most: three times the answers, where it lies as far off as chance explains."""
    few = ANSWERS // 3
    canary, baseline = counts(0, CANARIES, 0.05, few), counts(CANARIES, NODES - CANARIES, 0.05, few)
    found = evidence.Evidence(tuple(canary), tuple(baseline), NOW)
    assert evidence.verdict(found, POLICY, now_ms=NOW, judges=JUDGES).outcome is Outcome.PASS


@pytest.mark.parametrize("claim", [(10, 11), (math.nan, 0), (10, -1), (math.inf, 0)])
def test_a_count_that_cannot_be_is_set_aside(claim: tuple[float, float]) -> None:
    canary = [*counts(0, CANARIES - 1, 0.05), Count("hostile", *claim, NOW)]
    found = evidence.Evidence(tuple(canary), tuple(counts(CANARIES, 16, 0.05)), NOW)
    judged = evidence.verdict(found, POLICY, now_ms=NOW, judges=JUDGES)
    assert (judged.outcome, judged.set_aside) == (Outcome.PASS, ("hostile",))


@settings(deadline=None, max_examples=30)
@given(n=st.integers(0, 10**6), share=st.floats(0, 1))
def test_requests_that_one_node_says_failed_are_no_objection(n: int, share: float) -> None:
    canary = [*(Count(f"e{index}", 400, 2, NOW) for index in range(3)), Count("hostile", n, math.floor(n * share), NOW)]
    before = tuple(Count(f"e{index}", 400, 2, NOW) for index in range(16))
    found = evidence.Evidence(read_ms=NOW, canary_requests=tuple(canary), baseline_requests=before)
    assert evidence.objection(found, POLICY, now_ms=NOW, judges=JUDGES) is None


def test_answers_of_two_nodes_decide_nothing_where_three_are_asked_for() -> None:
    found = evidence.Evidence(tuple(counts(0, 2, 0.9)), tuple(counts(2, 18, 0.05)), NOW)
    verdict = evidence.verdict(found, POLICY, now_ms=NOW, judges=JUDGES)
    assert (verdict.outcome, verdict.code) == (Outcome.INCONCLUSIVE, "TooFewNodes")


def test_the_one_that_lies_apart_is_found_though_it_weighs_most() -> None:
    honest = counts(0, 3, 0.05)
    for claim in ((20.0, 20.0), (10.0**7, 10.0**7)):
        hostile = Count("hostile", *claim, NOW)
        assert arms.outlier([*honest, hostile], ANSWERS, alpha=0.025, gap=0.01) == hostile
    assert arms.outlier(honest, ANSWERS, alpha=0.025, gap=0.01) is None
