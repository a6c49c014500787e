"""The smallest form that passes its gates is shipped; each other one has its reason."""

import pytest

from skerry.core import compression
from skerry.core.compression import Candidate, Limits, Loss, Refused
from skerry.core.gates import Outcome

PASS, FAIL, OPEN, ERROR = Outcome


def form(scheme: str, size: int, outcome: Outcome = PASS, fault: str = "") -> Candidate:
    return Candidate(scheme, size, outcome, f"{outcome.value} said", {"accuracy": 0.98}, 40.0, fault)


@pytest.mark.parametrize(
    ("forms", "taken"),
    [
        pytest.param([form("float32", 400), form("int8", 100)], "int8", id="a smaller one that passes"),
        pytest.param([form("float32", 400), form("int8", 100), form("pruned", 36)], "pruned", id="the smallest of all"),
        pytest.param([form("float32", 400), form("int8", 100, FAIL)], "float32", id="a smaller one that fails"),
        pytest.param([form("float32", 400), form("int8", 100, OPEN)], "float32", id="a smaller one that is undecided"),
        pytest.param([form("float32", 400), form("int8", 100, fault="loses")], "float32", id="one that loses too much"),
        pytest.param([form("float32", 400, FAIL), form("int8", 100)], "int8", id="float misses a size that int8 keeps"),
        pytest.param([form("float32", 400, OPEN), form("int8", 100, OPEN)], "int8", id="none passes: the smallest"),
        pytest.param([form("float32", 400, OPEN), form("int8", 100, ERROR)], "float32", id="none passes: the nearest"),
        pytest.param([form("float32", 400), form("a", 100), form("b", 100)], "a", id="of equal ones the cheaper"),
    ],
)
def test_the_smallest_that_passes_its_gates_is_taken(forms: list[Candidate], taken: str) -> None:
    decision = compression.choose(forms)
    assert forms[decision.chosen].scheme == taken
    assert decision.reason.startswith(f"{taken}, ") and all(decision.reasons)


def test_each_form_is_told_with_why_it_was_or_was_not_taken() -> None:
    forms = [form("float32", 400), form("int8", 100), form("pruned", 36, FAIL), form("half", 50, fault="it loses more")]
    decision = compression.choose(forms)
    told = compression.tried(forms, decision, [Refused("QAT", "the network cannot be captured")])
    assert [(one["scheme"], one["passed"]) for one in told] == [
        ("float32", True), ("int8", True), ("pruned", False), ("half", False), ("QAT", False),
    ]  # fmt: skip
    assert [one["reason"] for one in told] == [
        "it passes, and takes 400 bytes where int8 takes 100",
        "shipped",
        "its gates: Fail said",
        "it loses more",
        "the network cannot be captured",
    ]
    assert told[1] == {
        "scheme": "int8", "bytes": 100, "accuracy": 0.98, "latency_us": 40.0, "passed": True, "reason": "shipped",
    }  # fmt: skip


def test_float_that_is_kept_says_why_each_other_one_is_not() -> None:
    forms = [form("float32", 400), form("int8", 100, fault="it loses more"), form("pruned", 36, OPEN)]
    reason = compression.choose(forms).reason
    assert "the float model is kept: int8: it loses more; pruned: Inconclusive said" in reason


@pytest.mark.parametrize(
    ("size", "loss", "latency", "word", "lossy"),
    [
        pytest.param(30, Loss(0.009, "0.99 to 0.981"), (40.0, 50.0), "", False, id="it holds what float promises"),
        pytest.param(30, Loss(0.02, "0.99 to 0.97"), (40.0, 50.0), "loses more than 0.010", True, id="two points lost"),
        pytest.param(30, Loss(0.02, "few rows", chance=0.011), (40.0, 50.0), "", False, id="few rows explain it"),
        pytest.param(30, Loss(float("nan"), "no number"), (40.0, 50.0), "loses more", True, id="a loss that is none"),
        pytest.param(99, Loss(0.0, "same"), (40.0, 50.0), "it takes 99 bytes, float 99", False, id="nothing is saved"),
        pytest.param(30, Loss(0.0, "same"), (40.0, 70.0), "60 are allowed", False, id="only float keeps the latency"),
        pytest.param(30, Loss(0.0, "same"), (80.0, 70.0), "", False, id="neither keeps it: the gate says so"),
        pytest.param(30, None, (40.0, 50.0), "", False, id="no holdout to compare on"),
    ],
)
def test_a_form_must_hold_what_float_promises(
    size: int, loss: Loss | None, latency: tuple[float, float], word: str, lossy: bool
) -> None:
    fault, is_lossy = compression.fault(size, 99, loss, latency, Limits(0.01, 60.0))
    assert (word in fault, bool(fault), is_lossy) == (True, bool(word), lossy)
