"""Assignments are written side by side, only those that differ, what takes permission first, and for a while only."""

import json
import threading
from dataclasses import replace
from typing import Any

import pytest

from skerry.adapters.lease import epochs
from skerry.adapters.lease.memory import Board, MemoryLease
from skerry.adapters.objects.memory import MemoryObjects
from skerry.controller import assigning
from skerry.controller.store import LeadershipLostError, Store
from skerry.controller.view import View
from skerry.core import specs, writers
from skerry.gateway import reports
from skerry.proto import fleet_pb2

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


# ---- a node of many models


def lease(number: int, digest: str, rollout: str, epoch: int) -> specs.Lease:
    return specs.Lease(number, 1_234_567, 1_790_000_000_000, digest, rollout, 1, epoch)


def rolled_out(models: int, epochs: int = 1) -> tuple[MemoryObjects, str]:
    """A node to which a version of each of so many models was rolled out, one after the other: every one failed once,
    with much to say, and serves now."""
    objects = Writing(1)
    writing, store = opened(objects)
    report = fleet_pb2.NodeReport(node="n000", agent_version="1.2.3", boot_id="0123456789abcdef", serving_address="a:1")
    for number in range(1, models + 1):
        model, epoch = f"model-of-some-line-{number:02}", 1 + number * epochs // (models + 1)
        name, digest = f"{model}-v12-auto", f"sha256:{number:064x}"
        given = specs.Assignment(model, digest, 12, f"retrained/{model}/12", name, 1)
        granted = specs.PermitGrant(number, 60_000, 1_234_567, epoch)
        for one in (given, replace(given, permit=granted, lease=lease(number, digest, name, epoch))):
            writing.begin()
            assert writing.write(model, nodes(store), {"n000": one}, epoch)
        known_good = f"sha256:{number + 100:064x}"
        told = report.models.add(model=model, digest=digest, version=12, target_digest=digest, target_rollout=name)
        told.target_attempt, told.target_state, told.reason = 1, fleet_pb2.SERVING, "x" * 2_000
        told.last_known_good = known_good
        for each in report.models:
            each.highest_permit = number
        objects.patch("EdgeNode", "n000", manager=writers.GATEWAY, status=reports.status(report))
    thing = objects.get("EdgeNode", "n000")
    return objects, json.dumps({"spec": thing.spec, "status": thing.status}, separators=(",", ":"))


def test_a_node_of_twenty_models_stays_below_sixteen_kib_and_keeps_the_last_permit() -> None:
    objects, stored = rolled_out(20)
    assert len(stored) < 16 * 1024
    held = [one for one in objects.get("EdgeNode", "n000").spec["assignments"] if "lease" in one]
    assert [one["lease"]["number"] for one in held] == [20], "the others were over, and went with later writes"


def test_the_newest_leader_is_known_by_what_stays() -> None:
    objects, _ = rolled_out(3, epochs=3)
    assert max(epochs.named_by(objects.get("EdgeNode", "n000"))) == 3


def test_a_permit_that_may_be_used_stays_whatever_is_written_beside_it() -> None:
    objects = Writing(1)
    writing, store = opened(objects)
    held = specs.Assignment("a", DIGEST, 1, "x", "r", 1, permit=specs.PermitGrant(5, 60_000, 9, 1))
    held = replace(held, lease=lease(5, DIGEST, "r", 1))
    for used, state in ((4, "Staged"), (5, "Staged")):
        told = {"model": "a", "targetDigest": DIGEST, "targetRollout": "r", "targetAttempt": 1, "targetState": state}
        told |= {"highestPermit": used, "permitRequest": 1_234_567}
        objects.patch("EdgeNode", "n000", manager=writers.GATEWAY, status={"models": [told]})
        objects.patch(
            "EdgeNode", "n000", manager=writers.CONTROLLER, spec={"assignments": [specs.assignment_json(held)]}
        )
        writing.begin()
        assert writing.write("m", nodes(store), {"n000": wanted(7)}, 1)
        assert nodes(store)[0].assignment("a") == held, "not used yet, or swapping right now"
