"""A holdout of few days: it is judged by parts of a day, and what they have in common counts against them."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from skerry.core import block_means, gates
from skerry.core.forecast_gates import MIN_BLOCKS, ForecastHoldout
from skerry.core.gates import Outcome
from skerry.core.series import splitting
from skerry.core.series.clock import DAY_MS
from skerry.core.series.splitting import Reach
from skerry.core.tasks import Forecast

MINUTE, HOUR, START = 60_000, 3_600_000, 1_514_764_800_000
FIVE_MINUTES = Forecast("value", "°F", (100, 500, 900), 300, naive=(1,))


@pytest.mark.parametrize(
    ("days", "reach", "expected"),
    [
        pytest.param(60, Reach(24, 1, HOUR), DAY_MS, id="of many days each is a block"),
        pytest.param(10, Reach(2, 1, 5 * MINUTE), DAY_MS, id="ten are enough, whatever a row reaches"),
        pytest.param(9, Reach(2, 1, HOUR), 12 * HOUR, id="of nine days halves"),
        pytest.param(2.625, Reach(24, 1, 5 * MINUTE), 6 * HOUR, id="of two and a half days six hours"),
        pytest.param(1 / 8, Reach(60, 1, 1000), 15 * MINUTE, id="of three hours quarters"),
        pytest.param(2.625, Reach(72, 1, 5 * MINUTE), DAY_MS, id="none shorter than a row reaches"),
        pytest.param(9, Reach(168, 1, HOUR), DAY_MS, id="a row that reaches over days has days"),
    ],
)
def test_a_block_is_a_day_or_the_longest_part_of_it_that_gives_enough(days: float, reach: Reach, expected: int) -> None:
    time = START + np.arange(int(days * DAY_MS // reach.step_ms)) * reach.step_ms
    length = splitting.judged_ms(time, reach, MIN_BLOCKS)
    assert length == expected
    assert length == DAY_MS or (len(np.unique(time // length)) >= MIN_BLOCKS and length >= reach.embargo_ms)


def slow(series: int, blocks: int, rows: int, lasts: float, seed: int) -> NDArray[np.float64]:
    """[series, rows] of mean 0 whose neighbours err alike, for as long as `lasts` blocks."""
    rng, keeps = np.random.default_rng(seed), np.exp(-1 / (lasts * rows))
    values = np.empty((series, blocks * rows))
    values[:, 0] = rng.normal(size=series)
    for at in range(1, values.shape[1]):
        values[:, at] = keeps * values[:, at - 1] + np.sqrt(1 - keeps**2) * rng.normal(size=series)
    return values


@pytest.mark.parametrize("lasts", [0.1, 1.0, 4.0], ids=["a tenth of a block", "a block", "four blocks"])
def test_bounds_of_blocks_that_err_alike_hold_whatever_lasts_how_long(lasts: float) -> None:
    """Above the truth 1 in 20 times, and not much more where what errs alike lasts as long as a day of six hours'
    blocks; as independent blocks it is 3 in 10 there."""
    block, many = np.repeat(np.arange(10), 12), slow(500, 10, 12, lasts, 3)
    missed = np.mean([block_means.mean(one, block, alike=True).low > 0 for one in many])
    assert missed < 0.09
    if lasts == 4.0:
        assert np.mean([block_means.mean(one, block).low > 0 for one in many]) > 0.2


def test_blocks_that_have_nothing_in_common_lose_little_by_it() -> None:
    block, one = np.repeat(np.arange(20), 12), np.random.default_rng(1).normal(size=240)
    near, plain = block_means.mean(one, block, alike=True), block_means.mean(one, block)
    assert near.value == plain.value
    assert plain.value - plain.low <= near.value - near.low < 1.4 * (plain.value - plain.low)


def test_blocks_of_one_slope_tell_no_more_than_one_block() -> None:
    drifting = block_means.mean(np.linspace(-1, 3, 120), np.repeat(np.arange(10), 12), alike=True)
    assert (drifting.low, drifting.high) == (-np.inf, np.inf)
    same = block_means.mean(np.ones(120), np.repeat(np.arange(10), 12), alike=True)
    assert (same.low, same.high) == (1.0, 1.0)


def holdout(hours: int, mine: float, spread: NDArray[np.float64]) -> ForecastHoldout:
    """A reading every five minutes; the last value is off by `spread`, the candidate by `mine` of it."""
    rows = hours * 12
    time, wobble = START + np.arange(rows) * 5 * MINUTE, spread[:rows]
    truth = np.full((rows, 1), 80.0)
    median = truth[:, 0] + mine * wobble
    half = mine * np.quantile(np.abs(wobble), 0.8)
    answers = np.stack([median - half, median, median + half], axis=1).astype(np.float32)
    length = splitting.judged_ms(time, Reach(24, 1, 5 * MINUTE), MIN_BLOCKS)
    naive = (truth + wobble[:, None])[:, None, :]
    return ForecastHoldout("imported", FIVE_MINUTES, truth, time // length, naive, answers, answers, block_ms=length)


def test_a_first_version_passes_on_less_than_three_days_of_a_fast_series_and_fails_where_it_is_worse() -> None:
    spread = np.random.default_rng(2).normal(size=63 * 12)
    policy = gates.DEFAULTS["Forecast"]
    good = gates.judge(policy, gates.Measurements([holdout(63, 0.8, spread)]))
    assert good.outcome is Outcome.PASS, good.reason
    assert any("time blocks of 6 h" in gate.reason for gate in good.gates)
    worse = gates.judge(policy, gates.Measurements([holdout(63, 1.2, spread)]))
    assert worse.outcome is Outcome.FAIL and "beats-naive-1" in worse.reason


def test_a_gain_that_comes_of_one_long_spell_is_no_proof() -> None:
    """One day in which the last value was far off, in all its four blocks, and 39 hours without a difference."""
    spell = np.full(63 * 12, 0.01)
    spell[20 * 12 : 44 * 12] = 3.0
    signs = np.where(np.arange(63 * 12) % 2, 1.0, -1.0)
    verdict = gates.judge(gates.DEFAULTS["Forecast"], gates.Measurements([holdout(63, 0.8, spell * signs)]))
    outcomes = {gate.name: gate.outcome for gate in verdict.gates}
    assert outcomes["imported-beats-naive-1"] is Outcome.INCONCLUSIVE


def test_too_few_blocks_of_any_length_decide_nothing_and_say_why() -> None:
    few = holdout(15, 0.8, np.random.default_rng(4).normal(size=15 * 12))
    policy = replace(gates.DEFAULTS["Forecast"], min_holdout=100)
    verdict = gates.judge(policy, gates.Measurements([few]))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "10 are needed" in verdict.reason and "import a longer holdout" in verdict.reason
