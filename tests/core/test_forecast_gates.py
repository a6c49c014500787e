"""The gates of a forecast: time blocks, naive forecasts, coverage, the worst block; four outcomes as for classes."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.core import block_means, gates
from skerry.core.forecast_gates import ForecastHoldout
from skerry.core.gates import Outcome
from skerry.core.tasks import Forecast

PASS, FAIL, OPEN, _ = Outcome
TASK = Forecast("traffic", "vehicles/h", (100, 500, 900), 3600, naive=(1, 24))
POLICY = gates.DEFAULTS["Forecast"]
DAYS, HOURS = 60, 24
N = DAYS * HOURS
SPREAD = 100.0
EIGHTY = 1.2816 * SPREAD  # half of an interval that covers 80 %


def truths(seed: int = 0) -> np.ndarray:
    day = 3000 + 1000 * np.sin(np.arange(N) / HOURS * 2 * np.pi)
    return (day + np.random.default_rng(seed).normal(size=N) * SPREAD)[:, None].astype(np.float32)


def answers(error: float = 0.0, half: float = EIGHTY, days: slice = slice(0, 0), more: float = 0.0) -> np.ndarray:
    """[N, 3]: the daily curve, `error` too high throughout and `more` on `days`."""
    median = 3000 + 1000 * np.sin(np.arange(N) / HOURS * 2 * np.pi) + error
    median.reshape(DAYS, HOURS)[days] += more
    return np.stack([median - half, median, median + half], axis=1).astype(np.float32)


def naive(truth: np.ndarray) -> np.ndarray:
    known = np.full((N, 2, 1), np.nan, np.float32)
    known[1:, 0], known[24:, 1] = truth[:-1], truth[:-24]
    return known


def held(candidate: np.ndarray, baseline: np.ndarray | None = None, origin: str = "imported") -> ForecastHoldout:
    truth = truths()
    return ForecastHoldout(origin, TASK, truth, np.arange(N) // HOURS, naive(truth), candidate, baseline)


def outcome(holdout: ForecastHoldout, name: str, policy: gates.GatePolicy = POLICY) -> Outcome:
    return {gate.name: gate.outcome for gate in holdout.judge(policy)}[f"{holdout.origin}-{name}"]


def first(holdout: ForecastHoldout, rows: int) -> ForecastHoldout:
    columns = {
        name: column[:rows]
        for name in ("truth", "block", "naive", "candidate", "baseline", "unquantized")
        if (column := getattr(holdout, name)) is not None
    }
    return replace(holdout, **columns)


def test_a_good_forecast_passes_every_gate_and_says_what_it_is_worth() -> None:
    verdict = gates.judge(POLICY, gates.Measurements([held(answers(), answers(5))], size_bytes=1))
    assert verdict.passed, verdict.reason
    assert {gate.name for gate in verdict.gates} == {
        f"imported-{name}"
        for name in (
            [
                "finite",
                "quantiles",
                "holdout",
                "beats-naive-1",
                "beats-naive-24",
                "coverage",
                "not-worse",
                "worst-block",
            ]
        )
    }
    json.dumps(verdict.to_json(), allow_nan=False)
    numbers = held(answers(), answers(5)).numbers()
    assert numbers["mae"] == pytest.approx(80, abs=4) and numbers["coverage"] == pytest.approx(0.8, abs=0.03)
    assert numbers["candidate"] < numbers["baseline"] and numbers["float"] is None
    assert numbers["naive"]["24"] == pytest.approx(113, abs=6) and numbers["naive"]["1"] > numbers["naive"]["24"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(0.0, PASS, id="the daily curve beats last week's noise"),
        pytest.param(300.0, FAIL, id="a curve that is far off loses to the day before"),
        pytest.param(83.0, OPEN, id="a curve that is as good as the day before does not beat it"),
    ],
)
def test_a_candidate_must_beat_each_naive_forecast_by_name(error: float, expected: Outcome) -> None:
    holdout = held(answers(error))
    assert outcome(holdout, "beats-naive-24") is expected
    if expected is FAIL:
        reason = gates.judge(POLICY, gates.Measurements([holdout])).reason
        assert "imported-beats-naive-24" in reason and "the value of 24 steps before has" in reason


def test_a_naive_forecast_that_no_row_knows_is_never_a_pass() -> None:
    unknown = replace(held(answers()), naive=np.full((N, 2, 1), np.nan, np.float32))
    assert outcome(unknown, "beats-naive-1") is OPEN
    assert not any("naive" in gate.name for gate in replace(unknown, origin="captured").judge(POLICY))


@pytest.mark.parametrize(
    ("half", "expected"),
    [
        pytest.param(EIGHTY, PASS, id="80 % are covered"),
        pytest.param(1.35 * SPREAD, PASS, id="83 % are covered"),
        pytest.param(0.8 * SPREAD, FAIL, id="58 % are covered"),
        pytest.param(3.0 * SPREAD, FAIL, id="nearly all are covered"),
    ],
)
def test_the_interval_must_cover_what_it_says(half: float, expected: Outcome) -> None:
    assert outcome(held(answers(half=half)), "coverage") is expected


def test_a_coverage_that_chance_explains_is_open_on_the_imported_holdout_and_let_pass_on_the_captured() -> None:
    few = first(held(answers(half=1.1 * SPREAD)), 3 * HOURS)
    assert outcome(few, "coverage") is OPEN
    assert outcome(replace(few, origin="captured"), "coverage") is PASS


@pytest.mark.parametrize(
    ("now", "was", "expected"),
    [
        pytest.param(0.0, 0.0, PASS, id="the same errors pass"),
        pytest.param(0.0, 60.0, PASS, id="a better version passes"),
        pytest.param(10.0, 0.0, PASS, id="half a percent more loss passes"),
        pytest.param(28.0, 0.0, OPEN, id="about the margin more cannot be told from it"),
        pytest.param(90.0, 0.0, FAIL, id="a third more loss fails"),
    ],
)
def test_the_new_version_must_prove_that_it_is_not_worse(now: float, was: float, expected: Outcome) -> None:
    assert outcome(held(answers(now), answers(was)), "not-worse") is expected


def test_days_are_not_hours_what_one_day_does_is_no_proof_of_anything() -> None:
    """A candidate that is better on one bad day of four is not better: as single rows it would be by far."""
    now, was = answers(20), answers(0, days=slice(1, 2), more=250)
    days = first(held(now, was), 4 * HOURS)
    rows = replace(days, block=np.arange(4 * HOURS))
    assert outcome(rows, "not-worse") is PASS and outcome(days, "not-worse") is OPEN


def test_a_day_that_is_forgotten_is_found_though_the_mean_gains() -> None:
    holiday = held(answers(0, days=slice(30, 31), more=500), answers(100))
    assert outcome(holiday, "not-worse") is PASS and outcome(holiday, "worst-block") is FAIL
    named = next(gate.reason for gate in holiday.judge(POLICY) if gate.name == "imported-worst-block")
    assert "1970-01-31 (a time block is a day)" in named and "1 of 60 blocks" in named


def test_crossing_quantiles_are_refused_and_nothing_else_is_judged() -> None:
    crossing = answers()
    crossing[7] = crossing[7, ::-1]
    verdict = gates.judge(POLICY, gates.Measurements([held(crossing)]))
    assert verdict.outcome is FAIL and "quantiles cross in 1 of 1440 answers" in verdict.reason


def test_answers_that_are_no_numbers_are_refused_and_never_compared() -> None:
    broken = answers()
    broken[3, 1] = np.nan
    assert outcome(held(broken), "finite") is FAIL
    assert held(broken).numbers()["candidate"] is None
    json.dumps(gates.judge(POLICY, gates.Measurements([held(answers(), broken)])).to_json(), allow_nan=False)
    assert outcome(held(answers(), broken), "not-worse") is PASS


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        pytest.param(0, "no usable rows", id="none"),
        pytest.param(499, "minHoldout", id="too few rows"),
        pytest.param(9 * HOURS, "time blocks", id="too few days"),
    ],
)
def test_a_holdout_that_is_too_small_decides_nothing(rows: int, word: str) -> None:
    policy = replace(POLICY, min_holdout=500 if rows > 9 * HOURS else 24)
    verdict = gates.judge(policy, gates.Measurements([first(held(answers()), rows)]))
    assert verdict.outcome is OPEN and word in verdict.reason


@pytest.mark.parametrize(("error", "expected"), [(0.0, PASS), (5.0, PASS), (40.0, FAIL)])
def test_int8_may_add_its_share_of_the_loss(error: float, expected: Outcome) -> None:
    assert outcome(replace(held(answers(error)), unquantized=answers()), "int8") is expected


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), st.integers(1, 30), st.integers(0, 1000))
def test_with_blocks_of_equal_size_the_mean_is_that_of_the_block_means(blocks: int, rows: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(blocks, rows)) + 3
    found = block_means.mean(values.ravel(), np.repeat(np.arange(blocks), rows))
    means = values.mean(axis=1)
    half = block_means.student_t(blocks - 1) * means.std(ddof=1) / np.sqrt(blocks)
    assert (found.value, found.low, found.high) == pytest.approx(
        (means.mean(), means.mean() - half, means.mean() + half)
    )


@pytest.mark.parametrize(
    ("degrees", "table"), [(1, 6.314), (2, 2.920), (3, 2.353), (5, 2.015), (30, 1.697), (200, 1.653)]
)
def test_the_bounds_are_those_of_the_table_of_student(degrees: int, table: float) -> None:
    assert block_means.student_t(degrees) == pytest.approx(table, rel=0.01)


def test_bounds_of_dependent_hours_hold_as_often_as_they_say() -> None:
    """400 series of 30 days whose hours err alike: the upper bound lies below 0, the truth, about 1 in 20 times; taken
    row by row it would be 1 in 4."""
    rng = np.random.default_rng(5)
    days = rng.normal(size=(400, 30, 1)) + 0.5 * rng.normal(size=(400, 30, 24))
    block = np.repeat(np.arange(30), 24)
    missed = np.mean([block_means.mean(one.ravel(), block).high < 0 for one in days])
    assert 0.02 < missed < 0.09
    assert np.mean([block_means.mean(one.ravel(), np.arange(720)).high < 0 for one in days]) > 0.2
