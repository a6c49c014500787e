"""The offload policy as sentences, and the budget and breaker as properties."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import errors, offload
from skerry.core.offload import Breaker, Circuit, Decision, OffloadPolicy, Question, Reason, Route, State, TokenBucket

POLICY = OffloadPolicy()
FRESH = State.start(POLICY, 0.0)
SURE = Question(confidence=0.9, threshold=0.6, rows=1, remaining_s=1.0, has_teacher=True)
UNSURE = replace(SURE, confidence=0.3)
OPEN = replace(FRESH, breaker=Breaker(Circuit.OPEN, 0, until_s=50.0))
EMPTY = replace(FRESH, budget=TokenBucket(20.0, 40.0, tokens=0.0, at_s=10.0))


def local(reason: Reason, *, degraded: bool) -> Decision:
    return Decision(Route.LOCAL, reason, degraded)


def cloud(timeout_s: float) -> Decision:
    return Decision(Route.CLOUD, Reason.LOW_CONFIDENCE, timeout_s=timeout_s)


@pytest.mark.parametrize(
    ("question", "policy", "state", "expected"),
    [
        pytest.param(SURE, POLICY, FRESH, local(Reason.CONFIDENT, degraded=False), id="a sure answer stays local"),
        pytest.param(
            replace(SURE, confidence=0.6),
            POLICY,
            FRESH,
            local(Reason.CONFIDENT, degraded=False),
            id="the threshold is sure",
        ),
        pytest.param(SURE, POLICY, OPEN, local(Reason.CONFIDENT, degraded=False), id="a sure answer needs no link"),
        pytest.param(UNSURE, POLICY, FRESH, cloud(0.3), id="an unsure one goes to the cloud"),
        pytest.param(
            replace(UNSURE, remaining_s=0.1), POLICY, FRESH, cloud(0.1), id="the call ends before the caller gives up"
        ),
        pytest.param(
            replace(UNSURE, remaining_s=None),
            POLICY,
            FRESH,
            cloud(0.3),
            id="a caller without deadline waits the timeout",
        ),
        pytest.param(
            UNSURE,
            replace(POLICY, enabled=False),
            FRESH,
            local(Reason.OFFLOAD_DISABLED, degraded=False),
            id="disabled: local is what was asked for",
        ),
        pytest.param(
            replace(UNSURE, is_step=True),
            POLICY,
            FRESH,
            local(Reason.STATEFUL, degraded=False),
            id="a step of a sequence stays where its state is",
        ),
        pytest.param(
            replace(UNSURE, has_teacher=False), POLICY, FRESH, local(Reason.NO_TEACHER, degraded=True), id="no teacher"
        ),
        pytest.param(
            replace(UNSURE, remaining_s=0.019),
            POLICY,
            FRESH,
            local(Reason.DEADLINE_TOO_SHORT, degraded=True),
            id="too little time left",
        ),
        pytest.param(
            replace(UNSURE, remaining_s=-1.0),
            POLICY,
            FRESH,
            local(Reason.DEADLINE_TOO_SHORT, degraded=True),
            id="a passed deadline is too little time",
        ),
        pytest.param(UNSURE, POLICY, OPEN, local(Reason.CIRCUIT_OPEN, degraded=True), id="the circuit is open"),
        pytest.param(UNSURE, POLICY, EMPTY, local(Reason.BUDGET_EXHAUSTED, degraded=True), id="the budget is spent"),
    ],
)
def test_decide(question: Question, policy: OffloadPolicy, state: State, expected: Decision) -> None:
    assert offload.decide(question, policy, state, now_s=10.0)[0] == expected


@given(
    st.floats(0, 1), st.floats(0, 1), st.integers(1, 64), st.floats(-1, 2) | st.none(), st.booleans(), st.floats(0, 100)
)
def test_local_costs_nothing_and_cloud_never_outlives_the_caller(
    sure: float, threshold: float, rows: int, remaining_s: float | None, has_teacher: bool, now_s: float
) -> None:
    decision, after = offload.decide(
        Question(sure, threshold, rows, remaining_s, has_teacher), POLICY, FRESH, now_s=now_s
    )
    if decision.route is Route.LOCAL:
        assert after == FRESH
    else:
        assert decision.timeout_s <= (POLICY.timeout_s if remaining_s is None else remaining_s)
        assert not decision.degraded


@given(st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 5)), max_size=200))
def test_the_budget_caps_what_passes_in_any_stretch_of_time(steps: list[tuple[float, int]]) -> None:
    bucket, now_s, taken = TokenBucket.full(20.0, 40.0, 0.0), 0.0, 0
    for gap_s, rows in steps:
        now_s += gap_s
        if (after := bucket.take(rows, now_s)) is not None:
            bucket, taken = after, taken + rows
    assert taken <= 40.0 + 20.0 * now_s + 1e-6


def test_a_batch_larger_than_the_burst_costs_the_whole_burst() -> None:
    bucket = TokenBucket.full(20.0, 40.0, 0.0).take(1000, 0.0)
    assert bucket is not None and bucket.tokens == 0


def test_a_budget_of_nothing_lets_nothing_pass() -> None:
    assert TokenBucket.full(0.0, 0.0, 0.0).take(1, 1000.0) is None


def test_a_clock_that_goes_back_adds_no_tokens() -> None:
    bucket = TokenBucket(20.0, 40.0, tokens=1.0, at_s=100.0)
    assert bucket.refilled(50.0) == bucket


def test_a_negative_budget_is_refused() -> None:
    with pytest.raises(errors.InputError, match="-1"):
        TokenBucket.full(-1.0, 40.0, 0.0)


def failures(breaker: Breaker, count: int, now_s: float) -> Breaker:
    for _ in range(count):
        breaker = breaker.failed(POLICY, now_s)
    return breaker


def test_failures_in_a_row_open_the_circuit_and_a_success_between_starts_the_count_again() -> None:
    assert failures(Breaker(), 4, 1.0).circuit is Circuit.CLOSED
    assert failures(failures(Breaker(), 4, 1.0).succeeded(), 4, 1.0).circuit is Circuit.CLOSED
    assert failures(Breaker(), 5, 1.0) == Breaker(Circuit.OPEN, 0, 3.0)


def test_an_open_circuit_refuses_until_its_time_then_lets_exactly_one_probe_through() -> None:
    opened = failures(Breaker(), 5, 1.0)
    assert opened.admit(POLICY, 2.9) is None
    probing = opened.admit(POLICY, 3.0)
    assert probing is not None and probing.circuit is Circuit.HALF_OPEN
    assert probing.admit(POLICY, 3.1) is None


def test_the_probe_decides() -> None:
    probing = failures(Breaker(), 5, 1.0).admit(POLICY, 3.0)
    assert probing is not None
    assert probing.succeeded() == Breaker()
    assert probing.failed(POLICY, 3.2) == Breaker(Circuit.OPEN, 0, 5.2)


def test_a_probe_that_never_reports_does_not_keep_the_circuit_shut_for_ever() -> None:
    probing = failures(Breaker(), 5, 1.0).admit(POLICY, 3.0)
    assert probing is not None
    assert probing.admit(POLICY, 3.0 + POLICY.breaker_open_s + POLICY.timeout_s) is not None


def test_late_results_of_calls_from_before_change_nothing_while_open() -> None:
    opened = failures(Breaker(), 5, 1.0)
    assert opened.succeeded() == opened
    assert opened.failed(POLICY, 2.5) == opened


@given(st.lists(st.sampled_from(["ask", "ok", "fail", "wait"]), max_size=100))
def test_after_the_cloud_returns_the_circuit_closes_within_two_rests(steps: list[str]) -> None:
    breaker, now_s = Breaker(), 0.0
    for step in steps:
        now_s += 0.05
        if step == "ask":
            breaker = breaker.admit(POLICY, now_s) or breaker
        elif step == "ok":
            breaker = breaker.succeeded()
        elif step == "fail":
            breaker = breaker.failed(POLICY, now_s)
        else:
            now_s += 1.0
    now_s += 2 * POLICY.breaker_open_s + POLICY.timeout_s
    admitted = breaker.admit(POLICY, now_s)
    assert admitted is not None and admitted.succeeded().circuit is Circuit.CLOSED


def test_a_failed_call_gives_the_local_answer_marked_degraded_and_counts() -> None:
    decision, after = offload.unanswered(POLICY, FRESH, now_s=1.0)
    assert decision == local(Reason.REMOTE_FAILED, degraded=True)
    assert after.breaker.failures == 1
    assert offload.answered(after).breaker.failures == 0


def test_a_new_policy_does_not_refill_a_spent_budget() -> None:
    spent = replace(FRESH, budget=replace(FRESH.budget, tokens=3.0))
    assert spent.under(replace(POLICY, burst=100.0), 0.0).budget == TokenBucket(20.0, 100.0, 3.0, 0.0)
    assert spent.under(replace(POLICY, burst=2.0), 0.0).budget.tokens == 2.0
