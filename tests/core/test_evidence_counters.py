"""Where an answer is counted: once for each comparison that goes on, and in buckets that reach as far as is asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import comparisons, digests, errors, evidence_counters
from skerry.core.contract import Counted
from skerry.core.truth_delay import AT_ONCE, TruthDelay

NOW_MS = 1_790_000_000_000
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
DIGEST = digests.sha256(b"v")
HOURLY = TruthDelay(24 * HOUR_MS, HOUR_MS)


def written(at_ms: int, delay: TruthDelay, *since: int) -> list[str]:
    return [one.key for one in evidence_counters.counters_of(Counted.ANSWERS, "m", DIGEST, at_ms, since, delay)]


def read(since_ms: int, delay: TruthDelay) -> list[str]:
    return evidence_counters.past(Counted.ANSWERS, "m", DIGEST, since_ms, NOW_MS, delay)


@given(
    horizon_ms=st.integers(0, 400 * DAY_MS),
    step_ms=st.integers(0, 366 * DAY_MS),
    since_ago_ms=st.integers(0, 500 * DAY_MS),
    share=st.floats(0, 1),
)
def test_of_the_past_every_answer_is_read_once_and_few_of_before(
    horizon_ms: int, step_ms: int, since_ago_ms: int, share: float
) -> None:
    delay = TruthDelay(horizon_ms, step_ms)
    coarsest = evidence_counters.levels(delay)[-1]
    since_ms = max(NOW_MS - since_ago_ms, NOW_MS - coarsest.reach_ms)
    keys = read(NOW_MS - since_ago_ms, delay)
    at_ms = since_ms + int(share * (NOW_MS - since_ms))
    assert sum(key in keys for key in written(at_ms, delay)) == 1
    assert not set(written(since_ms - coarsest.width_ms, delay)) & set(keys)
    assert len(keys) == len(set(keys)) <= 130


def test_what_is_kept_outlives_every_question_about_it() -> None:
    for delay in (AT_ONCE, HOURLY):
        for level in evidence_counters.levels(delay):
            assert level.lifetime_ms > level.reach_ms + level.width_ms


def test_an_answer_counts_in_each_comparison_that_had_begun() -> None:
    buckets = written(NOW_MS, AT_ONCE)
    assert len(buckets) == 2 and len(written(NOW_MS, HOURLY)) == 1
    of_comparisons = written(NOW_MS, AT_ONCE, NOW_MS - 5, NOW_MS, NOW_MS + 1)[len(buckets) :]
    hex_digits = digests.hex_of(DIGEST)
    assert of_comparisons == [f"answered:m:{hex_digits}:since:{NOW_MS - 5}", f"answered:m:{hex_digits}:since:{NOW_MS}"]


def test_what_is_no_digest_has_no_counter() -> None:
    with pytest.raises(errors.InputError):
        evidence_counters.past(Counted.ANSWERS, "m", "nothing", 0, NOW_MS, AT_ONCE)


@pytest.mark.parametrize(
    ("status", "since_ms"),
    [
        pytest.param({"state": "Progressing", "evidenceSinceUnixMs": 7}, 7, id="while it goes on"),
        pytest.param({"state": "RollingBack", "evidenceSinceUnixMs": 7}, 7, id="while it is taken back"),
        pytest.param({"state": "Succeeded", "evidenceSinceUnixMs": 7}, None, id="over"),
        pytest.param({"state": "Progressing", "evidenceSinceUnixMs": 0}, None, id="not begun"),
        pytest.param({}, None, id="never planned"),
        pytest.param({"evidenceSinceUnixMs": "7"}, None, id="text"),
        pytest.param({"evidenceSinceUnixMs": True}, None, id="a flag"),
        pytest.param({"evidenceSinceUnixMs": -7}, None, id="negative"),
    ],
)
def test_since_when_a_rollout_compares(status: dict[str, object], since_ms: int | None) -> None:
    assert comparisons.since(status) == since_ms


def test_comparisons_are_told_by_model() -> None:
    going_on = {"state": "Progressing", "evidenceSinceUnixMs": 7}
    specs = [{"model": "a"}, {"model": "a"}, {"model": "b"}, {"model": 3}, {}]
    statuses = [going_on, going_on | {"evidenceSinceUnixMs": 9}, going_on, going_on, going_on]
    assert comparisons.by_model(zip(specs, statuses, strict=True)) == {"a": {7, 9}, "b": {7}}
