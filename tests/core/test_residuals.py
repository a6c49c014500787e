"""What a forecast was off by makes the next answers of its source less sure, for a while."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import residuals
from skerry.core.residuals import Moment, Newest

HOUR = 3_600_000
V1, V2 = "sha256:" + "1" * 64, "sha256:" + "2" * 64
AT = Moment(0, 100 * HOUR)


def confidence(error: float, asked: Moment = AT, *, digest: str = V1, bound: float = 30.0, t: float = 0.1) -> float:
    known = Newest(V1, error, AT)
    return residuals.confidence(known, digest, asked, bound=bound, threshold=t, horizon_ms=HOUR)


@pytest.mark.parametrize("threshold", [0.02, 0.1, 0.5])
def test_an_answer_is_hard_after_an_error_above_the_bound_and_only_then(threshold: float) -> None:
    assert confidence(0.0, t=threshold) == 1.0
    assert confidence(29.9, t=threshold) > threshold > confidence(30.1, t=threshold)
    assert confidence(30.0, t=threshold) == pytest.approx(threshold)


@given(st.lists(st.floats(0, 1e39), min_size=2, max_size=2).map(sorted), st.floats(0, 1.5), st.floats(0, 1e39))
def test_a_larger_error_never_makes_it_surer(errors: list[float], threshold: float, bound: float) -> None:
    less, more = (confidence(error, t=threshold, bound=bound) for error in errors)
    assert 0 <= more <= less <= 1


@pytest.mark.parametrize(
    ("asked", "digest", "bound", "is_limited"),
    [
        pytest.param(AT, V1, 30.0, True, id="at once"),
        pytest.param(Moment(0, 102 * HOUR), V1, 30.0, True, id="one horizon after the truth was due"),
        pytest.param(Moment(0, 102 * HOUR + 1), V1, 30.0, False, id="longer after it"),
        pytest.param(Moment(0, 99 * HOUR), V1, 30.0, False, id="an answer of earlier"),
        pytest.param(Moment(2 * HOUR), V1, 30.0, True, id="by the node's clock where the caller says no time"),
        pytest.param(Moment(2 * HOUR + 1), V1, 30.0, False, id="and longer after it"),
        pytest.param(AT, V2, 30.0, False, id="another version"),
        pytest.param(AT, V1, 0.0, False, id="a version without a bound"),
    ],
)
def test_it_holds_for_the_next_answers_of_that_version_until_a_horizon_after_the_truth_was_due(
    asked: Moment, digest: str, bound: float, is_limited: bool
) -> None:
    assert (confidence(90.0, asked, digest=digest, bound=bound) < 0.1) is is_limited


@pytest.mark.parametrize(("late_ms", "is_limited"), [(50, True), (HOUR // 2, True), (HOUR // 2 + 1, False)])
def test_a_caller_that_asks_once_a_step_is_never_quite_in_time(late_ms: int, is_limited: bool) -> None:
    """One step ahead the answer of two steps later is the only one that can be hard, and it comes a little late.
    Before: it was sure."""
    known = Newest(V1, 90.0, Moment(0))
    asked = Moment(2 * HOUR + late_ms)
    sure = residuals.confidence(known, V1, asked, bound=30.0, threshold=0.1, horizon_ms=HOUR, step_ms=HOUR)
    assert (sure < 0.1) is is_limited
    stamped = residuals.confidence(
        Newest(V1, 90.0, AT),
        V1,
        Moment(0, 102 * HOUR + 1),
        bound=30.0,
        threshold=0.1,
        horizon_ms=HOUR,
        step_ms=HOUR,
    )
    assert stamped == 1.0, "the series' own time is exact"


def test_the_truth_of_the_later_answer_counts_in_whatever_order_they_come() -> None:
    early, late = Newest(V1, 90.0, AT), Newest(V1, 1.0, Moment(1, 101 * HOUR))
    assert residuals.newest(residuals.newest(None, early), late) is late
    assert residuals.newest(residuals.newest(None, late), early) is late
    assert residuals.newest(early, Newest(V1, 2.0, AT)).error == 2.0, "of one moment the one told last"


def test_an_answer_that_its_caller_stamps_in_the_future_silences_its_source_until_the_next_one_alone() -> None:
    poison, honest = Newest(V1, 0.0, Moment(10, 9000 * HOUR)), Newest(V1, 90.0, Moment(20, 100 * HOUR))
    known = residuals.newest(poison, honest)
    assert known is honest
    asked = Moment(30, 101 * HOUR)
    assert residuals.confidence(known, V1, asked, bound=30.0, threshold=0.1, horizon_ms=HOUR) < 0.1
