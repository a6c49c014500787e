"""A large fleet's page: what did not change is not read again, and what is not shown is not asked for."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.adapters.objects.memory import MemoryObjects
from skerry.core import contract, specs
from skerry.core.liveness import State
from skerry.dashboard import node_table, pages, queries

NOW = 1_800_000_000_000
DIGEST = "sha256:" + "a" * 64
COUNT = 500


class Readings(MemoryFleetState):
    asked: list[str]

    def find(self, keys: Sequence[str]) -> Mapping[str, str]:
        self.asked = list(keys)
        return super().find(keys)


class World:
    """A fleet of COUNT nodes with `models` models each; every tenth is silent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, models: int = 1) -> None:
        self.objects, self.readings, self.table = MemoryObjects(), Readings(), node_table.NodeTable()
        self.parsed = 0
        for number in range(COUNT):
            reports = [{"model": f"m{one}", "digest": DIGEST, "version": 3} for one in range(models)]
            seen_ms = NOW - (900_000 if number % 10 == 0 else 1_000)
            self.objects.create("EdgeNode", f"edge-{number:05}", {}, manager="gateway")
            status = {"connected": True, "lastSeenUnixMs": seen_ms, "models": reports}
            self.objects.patch("EdgeNode", f"edge-{number:05}", manager="gateway", status=status)
        real = specs.parse_node

        def counted(*given: Any) -> specs.EdgeNode:
            self.parsed += 1
            return real(*given)

        monkeypatch.setattr(specs, "parse_node", counted)

    def look(self, **choice: Any) -> tuple[queries.views.Fleet, str, int]:
        """The fleet, its page, and how many nodes were read for it."""
        before, chosen = self.parsed, queries.Choice(**choice)
        fleet = queries.fleet(self.objects, self.readings, now_ms=NOW, choice=chosen, table=self.table)
        return fleet, pages.overview(fleet, chosen.state), self.parsed - before


def test_nodes_are_read_when_they_changed_only(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    assert world.look()[2] == COUNT
    assert world.look(page=7)[2] == 0
    world.objects.patch("EdgeNode", "edge-00010", manager="gateway", status={"lastSeenUnixMs": NOW})
    fleet, _, read = world.look()
    assert (read, fleet.counts[State.OFFLINE], fleet.counts[State.ONLINE]) == (1, 49, 451)
    world.objects.delete("EdgeNode", "edge-00010")
    world.objects.create("EdgeNode", "edge-00010", {}, manager="gateway")
    fleet, _, read = world.look()
    assert (read, fleet.all_nodes, fleet.others) == (1, COUNT, 1), "one of that name that never reported"
    world.objects.create("EdgeFleet", "all", {"offlineAfterSeconds": 86_400}, manager="operator")
    fleet, _, read = world.look()
    assert (read, fleet.counts[State.STALE]) == (COUNT, 49), "a fleet says when its nodes are offline"


def test_versions_count_the_nodes_that_serve_them_as_these_change(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.objects.create("EdgeModel", "m0", {}, manager="operator")
    spec = {"model": "m0", "version": 3, "digest": DIGEST, "targetPath": "x"}
    world.objects.create("ModelVersion", "m0-v3", spec, manager="controller")
    assert world.look()[0].models[0].versions[0].nodes == COUNT
    world.objects.delete("EdgeNode", "edge-00001")
    other = {"models": [{"model": "m0", "digest": "sha256:" + "b" * 64, "version": 2}]}
    world.objects.patch("EdgeNode", "edge-00002", manager="gateway", status=other)
    assert world.look()[0].models[0].versions[0].nodes == COUNT - 2


def test_readings_are_asked_of_the_nodes_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, models=2)
    fleet, _, _ = world.look(page=2)
    shown = [node.name for node in fleet.nodes]
    assert len(shown) == queries.NODES_PER_PAGE
    wanted = {contract.spool_reading(name) for name in shown}
    wanted |= {contract.node_reading(name, model) for name in shown for model in ("m0", "m1")}
    assert (set(world.readings.asked), len(world.readings.asked)) == (wanted, 3 * len(shown))


def test_those_that_need_a_look_come_first_and_a_state_has_pages_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    fleet, page, _ = world.look()
    assert {node.liveness.state for node in fleet.nodes} == {State.OFFLINE}
    assert f"page 1 of {COUNT // 20}, {COUNT} nodes" in page
    fleet, page, _ = world.look(state=State.OFFLINE, page=99)
    assert (fleet.page, fleet.pages, fleet.chosen) == (3, 3, 50)
    assert "page 3 of 3, 50 nodes" in page and "Nodes: Offline" in page


@pytest.mark.parametrize("models", [1, 2, 20])
def test_a_page_has_at_most_sixty_kilobytes(monkeypatch: pytest.MonkeyPatch, models: int) -> None:
    world = World(monkeypatch, models)
    for number in range(0, COUNT, 10):  # those on the first page
        reading = {"requests": 123_456, "offloaded": 1234, "degraded": 12, "p50Ms": 1234.5, "p99Ms": 5678.9}
        reading |= {"confidenceCounts": list(range(1001, 1021))}
        for model in range(models):
            key = contract.node_reading(f"edge-{number:05}", f"m{model}")
            world.readings.put(key, json.dumps(reading), ttl_s=60)
    _, page, _ = world.look()
    assert "123" not in page or "degraded" in page
    assert ("and 18 more models" in page) == (models == 20)
    assert len(page.encode()) <= 60_000
