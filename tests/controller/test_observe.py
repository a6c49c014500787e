"""Evidence from counters: whose answers count, from when on, and that what cannot be read is never zero."""

from collections.abc import Mapping, Sequence

import pytest

from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.controller import observe
from skerry.core import arms, contract, digests, errors, evidence, evidence_counters
from skerry.core.contract import Counted
from skerry.core.truth_delay import AT_ONCE, TruthDelay

NEW, OLD = digests.sha256(b"new"), digests.sha256(b"old")
NOW_MS = 1_790_000_000_000
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
SINCE_MS = NOW_MS - 20_000


@pytest.fixture
def state() -> MemoryFleetState:
    return MemoryFleetState(lambda: NOW_MS / 1000)


def add(
    state: MemoryFleetState,
    node: str,
    digest: str,
    age_ms: int,
    n: int,
    bad: int,
    kind: Counted = Counted.ANSWERS,
    model: str = "m",
    since: frozenset[int] = frozenset({SINCE_MS}),
    delay: TruthDelay = AT_ONCE,
) -> None:
    at_ms = NOW_MS - age_ms
    for counter in evidence_counters.counters_of(kind, model, digest, at_ms, since, delay):
        newest = {contract.newest_field("curator-1"): at_ms}
        state.add(counter.key, {node: n, contract.bad_field(node): bad}, ttl_s=100, latest=newest)


def count(
    state: MemoryFleetState, baseline_since_ms: int = SINCE_MS, delay: TruthDelay = AT_ONCE, before_ms: int = HOUR_MS
) -> evidence.Evidence:
    canary, baseline = observe.Arm(NEW, ["a"], SINCE_MS), observe.Arm(OLD, ["b", "c"], baseline_since_ms)
    before = observe.Arm(OLD, ["a", "b"], NOW_MS - before_ms)
    return observe.count(state, "m", canary, baseline, before, now_ms=NOW_MS, delay=delay)


def test_each_node_counts_what_it_answered_with_the_version_of_its_arm(state: MemoryFleetState) -> None:
    add(state, "a", NEW, 3_000, 10, 1)
    add(state, "a", NEW, 10_000, 5, 2)
    add(state, "b", OLD, 5_000, 7, 0)
    add(state, "a", OLD, 0, 100, 100)
    add(state, "b", NEW, 4_000, 100, 100)
    add(state, "d", OLD, 6_000, 100, 100)
    add(state, "a", NEW, 0, 100, 100, model="other")
    add(state, "a", NEW, 0, 100, 100, kind=Counted.REQUESTS)
    found = count(state)
    assert [(one.node, one.n, one.bad) for one in found.canary] == [("a", 15, 3)]
    assert [(one.node, one.n, one.bad) for one in found.baseline] == [("b", 7, 0), ("c", 0, 0)]
    assert (found.read_ms, found.error) == (NOW_MS, "")


def test_an_arm_is_as_new_as_what_was_counted_of_its_version_last(state: MemoryFleetState) -> None:
    add(state, "a", NEW, 3_000, 1, 0)
    add(state, "b", OLD, 9_000, 1, 0)
    state.add(
        contract.comparison_counter(Counted.ANSWERS, "m", OLD, SINCE_MS),
        {"b": 1},
        ttl_s=9,
        latest={contract.newest_field("curator-2"): NOW_MS + 60_000},
    )
    found = count(state)
    assert found.canary == (arms.Count("a", 1, 0, NOW_MS - 3_000),)
    assert found.baseline == (arms.Count("b", 2, 0, NOW_MS), arms.Count("c", 0, 0, 0)), "no later than now"


def test_of_an_excluded_node_no_answer_counts_and_its_requests_do(state: MemoryFleetState) -> None:
    add(state, "a", NEW, 0, 10, 1)
    add(state, "b", OLD, 0, 10, 1)
    arm = observe.Arm(NEW, ["a", "c"], SINCE_MS), observe.Arm(OLD, ["b", "c"], SINCE_MS)
    found = observe.count(state, "m", *arm, arm[1], now_ms=NOW_MS, excluded={"c", "b"})
    assert [count.node for count in found.canary] == ["a"] and found.baseline == ()
    assert [count.node for count in found.canary_requests] == ["a", "c"]


def test_answers_from_before_the_comparison_do_not_count_to_the_millisecond(state: MemoryFleetState) -> None:
    add(state, "a", NEW, 20_001, 10, 10)
    add(state, "a", NEW, 20_000, 1, 0)
    assert count(state).canary[0].n == 1


def test_two_comparisons_of_one_version_are_kept_apart(state: MemoryFleetState) -> None:
    """The second attempt is not judged by the answers of the first."""
    add(state, "a", NEW, 60_000, 10, 10, since=frozenset({NOW_MS - 70_000}))
    assert count(state).canary == (arms.Count("a", 0, 0, 0),)


def test_what_cannot_be_read_is_an_error_and_not_nothing() -> None:
    class Away(MemoryFleetState):
        def count(self, counters: Sequence[str], fields: Sequence[str] = ()) -> Sequence[Mapping[str, int]]:
            raise errors.UnavailableError("redis did not answer")

    found = count(Away())
    assert (found.error, found.canary) == ("redis did not answer", ())


@pytest.mark.parametrize(
    ("delay", "days"),
    [pytest.param(AT_ONCE, 1, id="at once"), pytest.param(TruthDelay(HOUR_MS, HOUR_MS), 30, id="late")],
)
def test_the_number_of_counters_asked_is_bounded_and_does_not_follow_the_fleet(delay: TruthDelay, days: int) -> None:
    asked: list[int] = []

    class Watched(MemoryFleetState):
        def count(self, counters: Sequence[str], fields: Sequence[str] = ()) -> Sequence[Mapping[str, int]]:
            asked.append(len(counters))
            return super().count(counters, fields)

    nodes = [f"n{number}" for number in range(1_000)]
    canary, past = observe.Arm(NEW, nodes, SINCE_MS), observe.Arm(OLD, nodes, NOW_MS - days * 24 * HOUR_MS)
    observe.count(Watched(), "m", canary, past, past, now_ms=NOW_MS, delay=delay)
    assert len(asked) == 4 and max(asked) <= 130 and asked.count(1) == 2


def test_the_past_is_never_shorter_than_asked_and_longer_by_less_than_a_bucket(state: MemoryFleetState) -> None:
    for age_ms, n in ((9 * MINUTE_MS, 1), (10 * MINUTE_MS, 10), (20 * MINUTE_MS, 100), (0, 1_000)):
        add(state, "b", OLD, age_ms, n, 0)
    assert count(state, NOW_MS - 10 * MINUTE_MS).baseline[0].n == 1_011
    assert count(state, NOW_MS - 20 * MINUTE_MS).baseline[0].n == 1_111
    assert count(state, NOW_MS - 3 * HOUR_MS).baseline[0].n == 1_111


def test_requests_before_are_those_of_the_version_before_also_on_the_canary(state: MemoryFleetState) -> None:
    def request(node: str, digest: str, ago_ms: int, n: int, bad: int) -> None:
        add(state, node, digest, ago_ms, n, bad, kind=Counted.REQUESTS)

    request("a", NEW, 0, 30, 30)
    request("a", OLD, 60_000, 500, 1)
    request("b", OLD, 0, 400, 2)
    request("c", OLD, 0, 400, 2)
    request("a", OLD, 2 * HOUR_MS, 70, 70)
    found = count(state, before_ms=50 * MINUTE_MS)
    assert [(one.node, one.n, one.bad) for one in found.canary_requests] == [("a", 30, 30)]
    assert [(one.node, one.n, one.bad) for one in found.baseline_requests] == [("a", 500, 1), ("b", 400, 2)]
