"""What follows from how long the truth of an answer takes: which counters, which labels count, what is old."""

import pytest

from skerry.core import evidence, truth_delay
from skerry.core.arms import Count
from skerry.core.evidence import Evidence
from skerry.core.gates import Outcome
from skerry.core.specs import Analysis
from skerry.core.tasks import Classification, Forecast
from skerry.core.truth_delay import AT_ONCE, TruthDelay

NOW_MS = 1_790_000_000_000
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
HOURLY = TruthDelay(24 * HOUR_MS, HOUR_MS)
CLASSES = Classification(("no", "yes"))
LOAD = Forecast("load", "kWh", (100, 500, 900), 3600, horizon=24)


def test_of_classes_everything_is_as_long_as_it_was() -> None:
    assert truth_delay.of(CLASSES) == AT_ONCE
    assert (AT_ONCE.lifetime_ms, AT_ONCE.max_age_ms, AT_ONCE.patience_ms(200)) == (DAY_MS, 900_000, 0)
    assert AT_ONCE.overlap == 1 and not AT_ONCE.is_late


def test_of_forecasts_everything_lasts_longer_than_their_horizon() -> None:
    delay = truth_delay.of(LOAD)
    assert delay == HOURLY and delay.is_late
    assert delay.lifetime_ms > delay.window_ms == 31 * DAY_MS
    assert delay.max_age_ms == 26 * HOUR_MS + 15 * MINUTE_MS
    assert delay.patience_ms(200) == 224 * HOUR_MS
    assert delay.patience_ms(10**9) == delay.window_ms
    assert delay.overlap == 24


@pytest.mark.parametrize(
    ("had_label", "had_truth", "has_truth", "of_a_class", "of_a_forecast"),
    [
        pytest.param(False, False, False, True, False, id="the teacher's label, first"),
        pytest.param(False, False, True, True, True, id="the truth, first"),
        pytest.param(True, False, True, False, True, id="the truth after the teacher's label"),
        pytest.param(True, True, True, False, False, id="a corrected truth"),
        pytest.param(True, True, False, False, False, id="the teacher's opinion after the truth"),
    ],
)
def test_by_which_label_an_answer_counts(
    had_label: bool, had_truth: bool, has_truth: bool, of_a_class: bool, of_a_forecast: bool
) -> None:
    for task, counts in ((CLASSES, of_a_class), (LOAD, of_a_forecast)):
        found = truth_delay.becomes_evidence(task, had_label=had_label, had_truth=had_truth, has_truth=has_truth)
        assert found is counts


@pytest.mark.parametrize(
    ("delay", "newest_ago_ms", "code"),
    [
        pytest.param(HOURLY, 25 * HOUR_MS, "NotWorse", id="due an hour ago"),
        pytest.param(HOURLY, 27 * HOUR_MS, "Stale", id="two more were due since"),
        pytest.param(AT_ONCE, 16 * MINUTE_MS, "Stale", id="of a class, a quarter of an hour old"),
    ],
)
def test_an_answer_is_not_old_before_its_truth_was_due(delay: TruthDelay, newest_ago_ms: int, code: str) -> None:
    counts = [(Count("n", 4000, bad, NOW_MS - newest_ago_ms),) for bad in (0, 400)]
    found = evidence.verdict(Evidence(counts[0], counts[1], NOW_MS), Analysis(), now_ms=NOW_MS, delay=delay)
    assert found.code == code


def test_a_verdict_without_any_truth_says_when_the_truth_is_due() -> None:
    found = evidence.verdict(Evidence(read_ms=NOW_MS), Analysis(), now_ms=NOW_MS, delay=TruthDelay(5_400_000, 900_000))
    assert found.reason == "nothing was measured on the canary yet: the truth of an answer is due 1 h 30 min after it"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, ""), (1, "1 s"), (59, "59 s"), (60, "1 min"), (1800, "30 min"), (3600, "1 h"), (90 * 60, "1 h 30 min")],
)
def test_a_delay_is_told_in_units_that_are_not_zero(seconds: int, text: str) -> None:
    assert TruthDelay(1000 * seconds, 1000).told() == text


@pytest.mark.parametrize(
    ("canary_bad", "margin_permille", "n", "outcome"),
    [
        pytest.param(0.5, 20, 200, Outcome.FAIL, id="every second one bad"),
        pytest.param(0.3, 20, 374, Outcome.FAIL, id="three in ten bad"),
        pytest.param(0.1, 100, 508, Outcome.PASS, id="as good, by a tenth"),
        pytest.param(0.1, 50, 2239, Outcome.PASS, id="as good, by a twentieth"),
        pytest.param(0.1, 20, 15_747, Outcome.PASS, id="as good, by a fiftieth"),
        pytest.param(0.05, 20, 815, Outcome.PASS, id="half as many bad"),
    ],
)
def test_as_many_answers_are_enough_as_the_page_of_time_series_says(
    canary_bad: float, margin_permille: int, n: int, outcome: Outcome
) -> None:
    def code(samples: int) -> Outcome:
        counts = [(Count("n", samples, round(samples * bad), NOW_MS - DAY_MS),) for bad in (canary_bad, 0.1)]
        analysis = Analysis(margin_permille=margin_permille)
        found = Evidence(counts[0], counts[1], NOW_MS)
        return evidence.verdict(found, analysis, now_ms=NOW_MS, delay=HOURLY).outcome

    assert (code(n), code(round(0.95 * n))) == (outcome, Outcome.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("answer", "truth", "bound", "bad"),
    [
        pytest.param((1.0, 2.0, 9.0), (4.0,), 3.0, False, id="at the bound"),
        pytest.param((1.0, 2.0, 9.0), (5.5,), 3.0, True, id="beyond the bound, though within the interval"),
        pytest.param((1.0, 2.0, 9.0), (5.5,), 0.0, None, id="without a bound"),
        pytest.param(None, (5.5,), 3.0, None, id="without an answer"),
    ],
)
def test_when_a_forecast_was_bad(
    answer: tuple[float, ...] | None, truth: tuple[float, ...], bound: float, bad: bool | None
) -> None:
    assert truth_delay.is_bad(LOAD, answer, truth, bound) is bad


def test_a_class_is_bad_when_it_is_another_one_whatever_the_bound() -> None:
    found = [truth_delay.is_bad(CLASSES, answer, 1, 0.0) for answer in ((0.0, 1.0), (1.0, 0.0), None)]
    assert found == [False, True, None]
