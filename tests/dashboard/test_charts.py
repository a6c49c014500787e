"""The drawings as numbers: always inside their box, whatever a verdict holds, and where the numbers say."""

import dashboard_world as world
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.dashboard import charts

_numbers = st.integers() | st.floats() | st.booleans() | st.none() | st.text()
_anything = st.recursive(_numbers, lambda one: st.lists(one) | st.dictionaries(st.text(), one), max_leaves=10)
_ppm = st.integers(min_value=-10, max_value=2_000_000)
_counts = st.fixed_dictionaries({"n": st.integers(-5, 10**6), "bad": st.integers(-5, 10**6)})
_verdicts = st.fixed_dictionaries(
    {"canary": _counts, "baseline": _counts},
    optional={"bounds": st.dictionaries(st.sampled_from(["canary", "baseline"]), st.lists(_ppm, max_size=3))},
)


def test_both_arms_are_drawn_on_one_scale() -> None:
    canary, baseline = charts.arms(world.COMPARED)
    assert (canary.rate, baseline.rate) == (pytest.approx(11 / 143), pytest.approx(31 / 288))
    assert (canary.low, canary.high) == (0.031, 0.158)
    per_unit = canary.low_percent / canary.low
    for drawn, true in (
        (canary.rate_percent, canary.rate),
        (canary.low_percent + canary.width_percent, canary.high),
        (baseline.low_percent, baseline.low),
        (baseline.rate_percent, baseline.rate),
        (baseline.low_percent + baseline.width_percent, baseline.high),
    ):
        assert drawn == pytest.approx(true * per_unit, abs=0.4)
    assert 90 < baseline.low_percent + baseline.width_percent <= 100, "the higher bound is near the end"


def test_nothing_compared_draws_nothing() -> None:
    assert not charts.arms({"result": "Error", "reason": "the counters cannot be read"})


def test_an_arm_without_answers_has_no_rate() -> None:
    _, baseline = charts.arms({"canary": {"n": 10, "bad": 1}, "baseline": {"n": 0, "bad": 0}})
    assert baseline.rate is None
    assert baseline.rate_percent is None


@given(_verdicts | st.dictionaries(st.sampled_from(["canary", "baseline", "bounds", "result"]), _anything))
def test_an_arm_never_leaves_its_box(verdict: dict[str, object]) -> None:
    for arm in charts.arms(verdict):
        assert 0 <= arm.low <= arm.high <= 1
        assert 0 <= arm.low_percent <= 100
        assert 0 < arm.width_percent <= 100
        assert arm.rate_percent is None or 0 <= arm.rate_percent <= 100


@given(st.lists(st.integers(min_value=0, max_value=10**12), max_size=64))
def test_bars_stay_inside_their_box_and_empty_bins_have_none(counts: list[int]) -> None:
    found = charts.bars(counts)
    assert len(found) == sum(count > 0 for count in counts)
    for bar in found:
        assert 0 <= bar.x <= charts.BAR_WIDTH and bar.x + bar.width <= charts.BAR_WIDTH + 0.01
        assert bar.y >= 0
        assert bar.y + bar.height == pytest.approx(charts.BAR_HEIGHT, abs=0.02)
