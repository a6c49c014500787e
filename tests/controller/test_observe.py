"""Evidence from counters: whose answers count, from when on, and that what cannot be read is never zero."""

from collections.abc import Mapping, Sequence

import pytest

from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.controller import observe
from skerry.core import arms, contract, digests, errors, evidence, evidence_counters

NEW, OLD = digests.sha256(b"new"), digests.sha256(b"old")
NOW_MS = 1_790_000_000_000 - 1_790_000_000_000 % contract.EVIDENCE_BUCKET_MS + 3_000


@pytest.fixture
def state() -> MemoryFleetState:
    return MemoryFleetState()


def answer(state: MemoryFleetState, node: str, digest: str, age_ms: int, n: int, bad: int, model: str = "m") -> None:
    bucket = (NOW_MS - age_ms) // contract.EVIDENCE_BUCKET_MS
    state.add(f"evidence:{model}:{digests.hex_of(digest)}:{node}:{bucket}", {"n": n, "bad": bad}, ttl_s=100)


def count(state: MemoryFleetState, since_ms: int = NOW_MS - 20_000) -> evidence.Evidence:
    canary, baseline = observe.Arm(NEW, ["a"], since_ms), observe.Arm(OLD, ["b", "c"], since_ms)
    before = observe.Arm(OLD, ["a", "b"], since_ms)
    return observe.count(state, "m", canary, baseline, before, now_ms=NOW_MS)


def test_each_node_counts_what_it_answered_with_the_version_of_its_arm(state: MemoryFleetState) -> None:
    answer(state, "a", NEW, 0, 10, 1)
    answer(state, "a", NEW, 10_000, 5, 2)
    answer(state, "b", OLD, 5_000, 7, 0)
    answer(state, "a", OLD, 0, 100, 100)
    answer(state, "b", NEW, 0, 100, 100)
    answer(state, "d", OLD, 0, 100, 100)
    answer(state, "a", NEW, 0, 100, 100, model="other")
    found = count(state)
    assert found.canary == (arms.Count("a", 15, 3, NOW_MS),)
    assert found.baseline == (arms.Count("b", 7, 0, NOW_MS - 3_000), arms.Count("c", 0, 0, 0))
    assert (found.read_ms, found.error) == (NOW_MS, "")


def test_of_an_excluded_node_no_answer_counts_and_its_requests_do(state: MemoryFleetState) -> None:
    answer(state, "a", NEW, 0, 10, 1)
    answer(state, "b", OLD, 0, 10, 1)
    arm = observe.Arm(NEW, ["a", "c"], NOW_MS - 20_000), observe.Arm(OLD, ["b", "c"], NOW_MS - 20_000)
    found = observe.count(state, "m", *arm, arm[1], now_ms=NOW_MS, excluded={"c", "b"})
    assert [count.node for count in found.canary] == ["a"] and found.baseline == ()
    assert [count.node for count in found.canary_requests] == ["a", "c"]


def test_answers_from_before_and_of_the_bucket_in_which_it_began_do_not_count(state: MemoryFleetState) -> None:
    answer(state, "a", NEW, 20_000, 10, 10)
    answer(state, "a", NEW, 25_000, 10, 10)
    answer(state, "a", NEW, 15_000, 1, 0)
    assert count(state).canary[0].n == 1


def test_a_comparison_that_just_began_has_no_counts(state: MemoryFleetState) -> None:
    answer(state, "a", NEW, 0, 10, 0)
    assert count(state, since_ms=NOW_MS).canary == (arms.Count("a", 0, 0, 0),)


def test_what_cannot_be_read_is_an_error_and_not_nothing() -> None:
    class Away(MemoryFleetState):
        def count(self, counters: Sequence[str]) -> Sequence[Mapping[str, int]]:
            raise errors.UnavailableError("redis did not answer")

    found = count(Away())
    assert (found.error, found.canary) == ("redis did not answer", ())


def test_the_number_of_counters_asked_is_bounded(state: MemoryFleetState) -> None:
    asked: list[int] = []

    class Watched(MemoryFleetState):
        def count(self, counters: Sequence[str]) -> Sequence[Mapping[str, int]]:
            asked.append(len(counters))
            return super().count(counters)

    count(Watched(), since_ms=0)
    assert max(asked) <= 2 * evidence_counters.MAX_NARROW


def test_requests_are_counted_by_version_also_those_that_the_canary_met_before_it_swapped(
    state: MemoryFleetState,
) -> None:
    def request(node: str, digest: str, ago_ms: int, n: int, bad: int) -> None:
        key = contract.requests_counter("m", digest, node, contract.requests_bucket(NOW_MS - ago_ms))
        state.add(key, {"n": n, "bad": bad}, ttl_s=60)

    request("a", NEW, 0, 30, 30)
    request("a", OLD, 0, 500, 1)
    request("b", OLD, 0, 400, 2)
    request("a", OLD, 3_600_000, 70, 70)
    found = count(state)
    assert [(one.node, one.n, one.bad) for one in found.canary_requests] == [("a", 30, 30)]
    assert [(one.node, one.n, one.bad) for one in found.baseline_requests] == [("a", 500, 1), ("b", 400, 2)]
