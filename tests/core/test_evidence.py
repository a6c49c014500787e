"""Canary against baseline: four outcomes, valid at every look, never decided by silence or by one node."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import arms, evidence
from skerry.core.arms import Arm, Count
from skerry.core.evidence import Evidence
from skerry.core.gates import Outcome
from skerry.core.specs import Analysis

NOW = 1_000_000
POLICY = Analysis(margin_permille=50, harm_permille=50, min_samples=200)


def arm(*counts: tuple[float, float], newest_ms: int = NOW) -> tuple[Count, ...]:
    return tuple(Count(f"n{index}", n, bad, newest_ms) for index, (n, bad) in enumerate(counts))


def given_(canary: tuple[Count, ...], baseline: tuple[Count, ...], read_ms: int = NOW, error: str = "") -> Evidence:
    return Evidence(canary, baseline, read_ms, error)


ROWS = [
    pytest.param(given_(arm((200, 20)), arm((200, 80))), Outcome.PASS, "NotWorse", id="clearly better passes at 200"),
    pytest.param(given_(arm((200, 80)), arm((400, 40))), Outcome.FAIL, "Worse", id="clearly worse fails at 200"),
    pytest.param(
        given_(arm((1200, 60)), arm((1200, 60))), Outcome.PASS, "NotWorse", id="equal passes when the bounds are narrow"
    ),
    pytest.param(
        given_(arm((300, 15)), arm((300, 15))),
        Outcome.INCONCLUSIVE,
        "NotYetSure",
        id="equal with wide bounds is not yet sure",
    ),
    pytest.param(
        given_(arm((199, 0)), arm((400, 200))),
        Outcome.INCONCLUSIVE,
        "TooFewSamples",
        id="one answer too few is too few",
    ),
    pytest.param(
        given_(arm((400, 0)), arm((199, 90))), Outcome.INCONCLUSIVE, "TooFewSamples", id="a small baseline is too few"
    ),
    pytest.param(None, Outcome.INCONCLUSIVE, "Missing", id="nothing measured is no pass"),
    pytest.param(given_((), arm((400, 40))), Outcome.INCONCLUSIVE, "Missing", id="a canary without answers is no pass"),
    pytest.param(
        given_(arm((400, 0)), ()), Outcome.INCONCLUSIVE, "Missing", id="a baseline without answers is no pass"
    ),
    pytest.param(
        given_(arm((0, 0)), arm((400, 40))), Outcome.INCONCLUSIVE, "Missing", id="zero answers are missing answers"
    ),
    pytest.param(given_(arm((math.nan, 0)), arm((400, 40))), Outcome.INCONCLUSIVE, "NotANumber", id="NaN is no pass"),
    pytest.param(
        given_(arm((400, math.inf)), arm((400, 40))), Outcome.INCONCLUSIVE, "NotANumber", id="infinity is no number"
    ),
    pytest.param(
        given_(arm((400, 401)), arm((400, 40))), Outcome.ERROR, "Impossible", id="more bad than all cannot be"
    ),
    pytest.param(given_(arm((400, -1)), arm((400, 40))), Outcome.ERROR, "Impossible", id="less than none cannot be"),
    pytest.param(
        given_(arm((400, 0)), arm((400, 200)), NOW - 61_000),
        Outcome.INCONCLUSIVE,
        "Stale",
        id="counters read long ago are stale",
    ),
    pytest.param(
        given_(arm((400, 0), newest_ms=0), arm((400, 200))),
        Outcome.INCONCLUSIVE,
        "Stale",
        id="answers of long ago are stale",
    ),
    pytest.param(
        given_((), (), error="no link"), Outcome.ERROR, "ProviderError", id="counters that cannot be read are an error"
    ),
    pytest.param(
        given_(arm((200, 200), (200, 10)), arm((400, 40))),
        Outcome.INCONCLUSIVE,
        "OneNodeDecides",
        id="one hostile node cannot fail a version",
    ),
    pytest.param(
        given_(arm((400, 40)), arm((300, 300), (300, 3))),
        Outcome.INCONCLUSIVE,
        "OneNodeDecides",
        id="one hostile baseline node cannot pass a version",
    ),
    pytest.param(
        given_(arm((200, 90), (200, 80)), arm((200, 20), (200, 20))),
        Outcome.FAIL,
        "Worse",
        id="two nodes that agree do fail it",
    ),
]


@pytest.mark.parametrize(("found", "outcome", "code"), ROWS)
def test_verdict(found: Evidence | None, outcome: Outcome, code: str) -> None:
    verdict = evidence.verdict(found, POLICY, now_ms=NOW)
    assert (verdict.outcome, verdict.code) == (outcome, code), verdict.reason


def test_a_loud_node_weighs_at_most_twice_the_median() -> None:
    """A million claimed answers count as two hundred beside two nodes with a hundred each."""
    assert arms.capped(arm((100, 10), (100, 10), (10**6, 0))) == Arm(400, 20)


def test_a_loud_hostile_node_cannot_hide_that_the_others_are_worse() -> None:
    canary = arm((300, 150), (300, 150), (300, 150), (10**7, 0))
    assert evidence.verdict(given_(canary, arm((400, 40), (400, 40))), POLICY, now_ms=NOW).outcome is not Outcome.PASS


@given(n=st.integers(1, 5000), share=st.floats(0, 1), alpha=st.sampled_from([0.5, 0.05, 0.001]))
def test_bounds_hold_the_observed_rate(n: int, share: float, alpha: float) -> None:
    found = Arm(n, round(n * share))
    low, high = arms.bounds(found, alpha)
    assert 0 <= low <= found.rate <= high <= 1
    wider = arms.bounds(found, alpha / 2)
    assert wider[0] <= low and high <= wider[1]


@given(n=st.integers(1, 2000), share=st.floats(0, 1))
def test_more_answers_of_the_same_kind_narrow_the_bounds(n: int, share: float) -> None:
    bad = round(n * share)
    low, high = arms.bounds(Arm(n, bad), 0.05)
    low4, high4 = arms.bounds(Arm(4 * n, 4 * bad), 0.05)
    assert high4 - low4 <= high - low + 1e-9


def test_the_bounds_are_where_the_mixture_says() -> None:
    """M(p) at both ends is 1/alpha: computed here once more, by products and not by logarithms of gamma functions."""
    n, bad, alpha = 40, 12, 0.05

    def mixture(p: float) -> float:
        value = 1.0
        for k in range(n):  # the sequential prediction of the Beta(1/2, 1/2) mixture, one answer at a time
            is_bad = k < bad
            seen_bad = min(k, bad)
            chance = (seen_bad + 0.5) / (k + 1)
            value *= (chance / p) if is_bad else ((1 - chance) / (1 - p))
        return value

    for edge in arms.bounds(Arm(n, bad), alpha):
        assert mixture(edge) == pytest.approx(1 / alpha, rel=1e-6)


def test_looking_at_every_answer_rarely_misses_the_truth() -> None:
    """A confidence sequence holds at all times at once: at most alpha (10 %) of 300 streams ever leave it."""
    rng = random.Random(7)
    left = 0
    for _ in range(300):
        bad = 0
        for n in range(1, 301):
            bad += rng.random() < 0.1
            if n % 10 == 0:
                low, high = arms.bounds(Arm(n, bad), 0.1)
                if not low <= 0.1 <= high:
                    left += 1
                    break
    assert left <= 300 * 0.1


def test_a_verdict_is_json_without_a_nan() -> None:
    found = evidence.verdict(given_(arm((200, 20)), arm((200, 80))), POLICY, now_ms=NOW).to_json()
    assert found["canary"] == {"n": 200, "bad": 20} and found["result"] == "Pass"
    assert all(isinstance(ppm, int) for pair in found["bounds"].values() for ppm in pair)


def requests(canary: tuple[Count, ...], before: tuple[Count, ...]) -> Evidence:
    return Evidence(read_ms=NOW, canary_requests=canary, baseline_requests=before)


@pytest.mark.parametrize(
    ("counted", "outcome", "code"),
    [
        pytest.param(requests(arm((30, 30)), arm((900, 1))), Outcome.FAIL, "RequestsFail", id="refused only now"),
        pytest.param(requests(arm((900, 150)), arm((900, 1))), Outcome.FAIL, "RequestsFail", id="a tenth fails now"),
        pytest.param(requests(arm((300, 60)), arm((900, 180))), None, "", id="as many were refused before"),
        pytest.param(requests(arm((300, 0)), arm((900, 180))), None, "", id="fewer are refused than before"),
        pytest.param(requests(arm((30, 30)), ()), None, "", id="nobody was answered before"),
        pytest.param(requests((), arm((900, 1))), None, "", id="nobody asks now"),
        pytest.param(requests(arm((2, 2)), arm((900, 0))), None, "", id="two requests hold no wave"),
        pytest.param(
            requests(arm((40, 5)), arm((30, 0))),
            Outcome.INCONCLUSIVE,
            "RequestsMayFail",
            id="not surely more",
        ),
        pytest.param(
            requests(arm((100, 100), (100, 0), (100, 0)), arm((900, 1))),
            Outcome.INCONCLUSIVE,
            "OneNodeDecides",
            id="one node of several is broken",
        ),
        pytest.param(
            requests(arm((30, 30), newest_ms=NOW - 1), arm((900, 1), newest_ms=NOW - 10**7)),
            Outcome.FAIL,
            "RequestsFail",
            id="the version before was asked long ago",
        ),
        pytest.param(requests(arm((30, 31)), arm((900, 1))), Outcome.ERROR, "Impossible", id="more than were sent"),
    ],
)
def test_requests_that_fail_now_and_did_not_before(counted: Evidence, outcome: Outcome | None, code: str) -> None:
    found = evidence.objection(counted, POLICY, now_ms=NOW)
    assert (None if found is None else found.outcome, "" if found is None else found.code) == (outcome, code)


def test_requests_that_cannot_be_read_are_no_objection_of_their_own() -> None:
    assert evidence.objection(None, POLICY, now_ms=NOW) is None
    assert evidence.objection(Evidence(read_ms=NOW, error="redis"), POLICY, now_ms=NOW) is None
