"""Assignments are written side by side, only those that differ, what takes permission first, and for a while only."""

import threading
from typing import Any

import pytest

from skerry.adapters.lease.memory import Board, MemoryLease
from skerry.adapters.objects.memory import MemoryObjects
from skerry.controller import assigning
from skerry.controller.store import LeadershipLostError, Store
from skerry.controller.view import View
from skerry.core import specs, writers

DIGEST = "sha256:" + "a" * 64


class Clock:
    """Every look at it takes `step_s`."""

    def __init__(self, step_s: float = 0.0) -> None:
        self.now_s, self.step_s = 0.0, step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


class Writing(MemoryObjects):
    """Remembers in which order nodes were written; with a barrier a write waits for the others beside it."""

    def __init__(self, nodes: int) -> None:
        super().__init__()
        self.order: list[str] = []
        self.barrier: threading.Barrier | None = None
        for number in range(nodes):
            self.create("EdgeNode", f"n{number:03}", {}, manager=writers.GATEWAY)

    def patch(self, kind: str, name: str, **options: Any) -> Any:
        if self.barrier is not None:
            self.barrier.wait(30)
        if options["manager"] == writers.CONTROLLER:
            self.order.append(name)
        return super().patch(kind, name, **options)


def wanted(permit: int = 0) -> specs.Assignment:
    grant = specs.PermitGrant(permit, 60_000, 1, 1) if permit else None
    return specs.Assignment("m", DIGEST, 1, "retrained/m/1", permit=grant)


def opened(objects: MemoryObjects, step_s: float = 0.0, at_once: int = 1) -> tuple[assigning.Assigning, Store]:
    lease = MemoryLease(Board())
    lease.acquire("test")
    store = Store(objects, lease, view=View(objects))
    store.refresh(0)
    return assigning.Assigning(store, at_once, Clock(step_s)), store


def nodes(store: Store) -> list[specs.EdgeNode]:
    store.refresh(0)
    return [store.nodes.of(thing) for thing in store.list("EdgeNode")]


def test_only_those_that_differ_are_written() -> None:
    objects = Writing(10)
    writing, store = opened(objects)
    everyone = {node.name: wanted() for node in nodes(store)}
    writing.begin()
    assert writing.write("m", nodes(store), everyone, 1)
    assert writing.write("m", nodes(store), everyone | {"n003": None}, 1)
    assert objects.order == [*sorted(everyone), "n003"]


def test_a_tick_writes_for_a_while_and_the_next_one_goes_on() -> None:
    objects = Writing(100)
    writing, store = opened(objects, step_s=0.1)
    everyone = {node.name: wanted() for node in nodes(store)}
    rounds = []
    while True:
        before = len(objects.order)
        writing.begin()
        is_done = writing.write("m", nodes(store), everyone, 1)
        rounds.append(len(objects.order) - before)
        if is_done:
            break
    assert (sum(rounds), len(set(objects.order))) == (100, 100)
    assert max(rounds) <= assigning.TICK_S / 0.1, "no longer than that an abort waits"


def test_what_takes_permission_comes_first_then_what_gives_it() -> None:
    objects = Writing(6)
    writing, store = opened(objects)
    writing.begin()
    writing.write("m", nodes(store), {"n004": wanted(7), "n005": wanted(8)}, 1)
    objects.order.clear()
    after = {name: wanted() for name in ("n000", "n001", "n004", "n005")} | {"n002": wanted(9)}
    writing.write("m", nodes(store), after, 1)
    assert objects.order == ["n004", "n005", "n002", "n000", "n001"]


def test_sixteen_are_written_side_by_side() -> None:
    objects = Writing(32)
    writing, store = opened(objects, at_once=assigning.WRITERS)
    everyone = {node.name: wanted() for node in nodes(store)}
    objects.barrier = threading.Barrier(16)  # none is written before sixteen are under way
    writing.begin()
    assert writing.write("m", nodes(store), everyone, 1)
    assert len(objects.order) == 32


def test_a_gateway_that_writes_in_between_costs_one_more_look() -> None:
    objects = Writing(1)
    writing, store = opened(objects)
    everyone, known = {"n000": wanted()}, nodes(store)
    real, taken = objects.get, []

    def get(kind: str, name: str) -> Any:
        found = real(kind, name)
        if not taken:
            objects.patch(kind, name, manager=writers.GATEWAY, status={"connected": True})
        taken.append(name)
        return found

    objects.get = get  # type: ignore[method-assign]
    writing.begin()
    assert writing.write("m", known, everyone, 1)
    assert nodes(store)[0].assignment("m") == wanted()


def test_where_a_later_leader_wrote_nothing_is_written() -> None:
    objects = Writing(1)
    writing, store = opened(objects)
    later = specs.Lease(1, 1, 1, DIGEST, "", 0, epoch=2)
    mine = {"assignments": [specs.assignment_json(specs.Assignment("m", DIGEST, 1, "x", lease=later))]}
    objects.patch("EdgeNode", "n000", manager=writers.CONTROLLER, spec=mine)
    objects.order.clear()
    writing.begin()
    with pytest.raises(LeadershipLostError, match="epoch 2"):
        writing.write("m", nodes(store), {"n000": None}, 1)
    assert objects.order == []
