"""Counts of answers for rollouts: exact since a comparison began, also when it is heard of later, and few counters."""

import curating
import numpy as np
import pytest

from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.adapters.fleetstate.protocol import FleetState
from skerry.core import contract, errors
from skerry.core.contract import Counted
from skerry.curator import examples
from skerry.curator.evidence import EvidenceCounts
from skerry.proto import fleet_pb2

NOW_MS = 1_790_000_000_000
HOUR_MS = 3_600_000


def answer(counts: EvidenceCounts, at_ms: int, *, bad: bool = False, node: str = "north", now_ms: int = NOW_MS) -> None:
    row = np.zeros((2, 2), dtype=np.uint8)
    captured = examples.Captured("sha256:" + "0" * 64, row, "", True, node, curating.VERSION, None, at_ms)
    counts.count(curating.TASK, captured, bad, now_ms=now_ms)


def since(state: FleetState, since_ms: int) -> dict[str, int]:
    [fields] = state.count([contract.comparison_counter(Counted.ANSWERS, "digits", curating.VERSION, since_ms)])
    return dict(fields)


@pytest.fixture
def state() -> MemoryFleetState:
    return MemoryFleetState(lambda: NOW_MS / 1000)


def test_answers_since_a_comparison_began_count_for_it(state: MemoryFleetState) -> None:
    counts = EvidenceCounts(state, "c1")
    counts.follow({"digits": frozenset({NOW_MS - 1_000})})
    answer(counts, NOW_MS - 1_001)
    answer(counts, NOW_MS - 1_000, bad=True)
    answer(counts, NOW_MS, node="south")
    counts.flush()
    assert since(state, NOW_MS - 1_000) == {"north": 1, "north!": 1, "south": 1, "@c1": NOW_MS}


def test_answers_that_came_before_the_comparison_was_heard_of_count_once(state: MemoryFleetState) -> None:
    counts = EvidenceCounts(state, "c1")
    for at_ms in (NOW_MS - 2_000, NOW_MS - 900, NOW_MS):
        answer(counts, at_ms)
    counts.flush()
    comparisons = {"digits": frozenset({NOW_MS - 1_000}), "other": frozenset({NOW_MS - 5_000})}
    for heard in (comparisons, {}, comparisons):  # the list of rollouts may be empty for a moment
        counts.follow(heard)
        counts.flush()
    answer(counts, NOW_MS)
    counts.flush()
    assert since(state, NOW_MS - 1_000) == {"north": 3, "@c1": NOW_MS}


def test_what_waits_is_handed_over_whole_when_the_server_is_back() -> None:
    class Away(MemoryFleetState):
        away = True

        def add(self, *args: object, **more: object) -> None:
            if self.away:
                raise errors.UnavailableError("redis did not answer")
            super().add(*args, **more)  # type: ignore[arg-type]  # as given

    state = Away(lambda: NOW_MS / 1000)
    counts = EvidenceCounts(state, "c1")
    counts.follow({"digits": frozenset({NOW_MS})})
    answer(counts, NOW_MS)
    with pytest.raises(errors.UnavailableError):
        counts.flush()
    answer(counts, NOW_MS, bad=True)
    state.away = False
    counts.flush()
    assert since(state, NOW_MS) == {"north": 2, "north!": 1, "@c1": NOW_MS}
    assert counts.waiting == 0


def test_a_day_of_a_fleet_has_as_many_counters_as_a_day_of_one_node(state: MemoryFleetState) -> None:
    """One for each node and five seconds filled Valkey after a day of some sixty busy nodes."""
    for nodes in (1, 100):
        counts = EvidenceCounts(state, "c1")
        counts.follow({"digits": frozenset({NOW_MS})})
        for minute in range(24 * 60):
            at_ms = NOW_MS + minute * 60_000
            answer(counts, at_ms, node=f"n{minute % nodes}", now_ms=at_ms)
        counts.flush()
        assert len(state.counters) <= 25 + 289 + 1


def test_the_curator_counts_for_the_rollouts_that_it_follows() -> None:
    world = curating.World()
    world.objects.create("ModelRollout", "digits-v2-auto", {"model": "digits"}, manager="operator")
    status = {"state": "Progressing", "evidenceSinceUnixMs": 999_000}
    world.objects.patch("ModelRollout", "digits-v2-auto", manager="controller", status=status)
    for seed, at_ms in ((0, 999_500), (1, 998_000)):
        world.upload(curating.example(seed, kind=fleet_pb2.EXPLORATION, answered_unix_ms=at_ms))
    world.work(4)
    assert since(world.fleetstate, 999_000)["north"] == 1
