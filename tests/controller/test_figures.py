"""The figures of the fleet are kept by change: a scrape looks at no node, a node that changed is looked at alone."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import controlling
import promtool
import pytest

from skerry.controller import metrics, node_counts
from skerry.core import liveness, membership, specs, writers

World = controlling.World
T0_MS = controlling.T0_MS


def node(name: str, seen_ms: int = T0_MS, **fields: Any) -> specs.EdgeNode:
    return specs.EdgeNode(name, connected=True, last_seen_ms=seen_ms, **fields)


def test_time_alone_moves_a_node_from_online_to_stale_to_offline() -> None:
    counts, moved = node_counts.NodeCounts(), []
    counts.put(node("a"), 0, T0_MS)
    for second in range(30):
        counts.advance(T0_MS + 1000 * second)
        moved.append(next(state for state, count in counts.states().items() if count))
    assert [state.value for state in dict.fromkeys(moved)] == ["Online", "Stale", "Offline"]
    judged = [
        liveness.judge(connected=True, last_seen_ms=T0_MS, now_ms=T0_MS + 1000 * second, offline_after_s=15).state
        for second in range(30)
    ]
    assert moved == judged
    assert counts.looked == 3


def test_a_node_that_is_seen_again_is_looked_at_alone_and_the_queue_does_not_grow() -> None:
    counts = node_counts.NodeCounts()
    for number in range(1000):
        counts.put(node(f"n{number}"), 0, T0_MS)
    counts.looked = 0
    for second in range(60):
        counts.put(node("n7", T0_MS + 1000 * second), 0, T0_MS + 1000 * second)
    assert counts.looked == 60
    assert len(counts._due) == 1000
    counts.advance(T0_MS + 60_000)
    assert counts.states() == {
        liveness.State.ONLINE: 1,
        liveness.State.STALE: 0,
        liveness.State.OFFLINE: 999,
        liveness.State.UNKNOWN: 0,
    }


def test_who_counts_follows_whether_any_node_has_a_certificate() -> None:
    counts = node_counts.NodeCounts()
    counts.put(node("plain"), 0, T0_MS)
    counts.put(specs.EdgeNode("silent"), 0, T0_MS)
    assert sum(counts.states().values()) == 1
    assert counts.aside()[membership.Standing.NEVER_REPORTED] == 1
    counts.put(node("trusted", approved_key="sha256:" + "0" * 64), 0, T0_MS)
    assert sum(counts.states().values()) == 1
    assert counts.aside()[membership.Standing.NOT_APPROVED] == 2
    counts.drop("trusted")
    assert sum(counts.states().values()) == 1
    assert counts.aside()[membership.Standing.NOT_APPROVED] == 0


def test_a_certificate_that_is_about_to_end_is_counted_when_it_is() -> None:
    counts = node_counts.NodeCounts()
    counts.put(node("a", approved_key="sha256:" + "0" * 64), T0_MS + node_counts.CERTIFICATE_MS + 5_000, T0_MS)
    assert counts.certificates_ending == 0
    counts.advance(T0_MS + 5_000)
    assert counts.certificates_ending == 1
    counts.drop("a")
    assert counts.certificates_ending == 0


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, nodes=20)
    world.objects.patch("EdgeFleet", "all", manager=writers.OPERATOR, spec={"maxUnavailable": "100%"})
    world.import_version(1)
    world.run(25)
    return world


def families(world: World) -> Any:
    memory: Any = SimpleNamespace(used=lambda: {(): 5.0}, limit=lambda: {(): 10.0})
    return metrics.families(world.reconciler, memory, lambda: True)


def test_a_scrape_looks_at_no_node_and_a_change_at_one(world: World) -> None:
    world.now_ms += 1000
    world.tick()
    page, nodes = families(world), world.reconciler.figures.nodes
    nodes.looked = 0
    text = page.render().decode()
    assert 'skerry_nodes{state="Online"} 20' in text
    assert 'skerry_nodes_serving{model="digits",version="1"} 20' in text
    assert 'skerry_rollouts{phase="Succeeded"} 1' in text
    assert nodes.looked == 0
    world.objects.patch("EdgeNode", "edge-7", manager=writers.GATEWAY, status={"connected": False})
    world.now_ms += 1000
    world.tick()
    assert nodes.looked == 1
    assert 'skerry_nodes{state="Stale"} 1' in page.render().decode()


def test_a_controller_that_does_not_lead_shows_nothing_of_the_fleet(world: World) -> None:
    memory: Any = SimpleNamespace(used=dict, limit=dict)
    text = metrics.families(world.reconciler, memory, lambda: False).render().decode()
    assert "skerry_nodes{" not in text and "skerry_rollouts{" not in text
    assert "skerry_controller_leading 0" in text


@promtool.requires_promtool
def test_promtool_finds_nothing_wrong_with_the_controllers_page(world: World) -> None:
    assert promtool.complaints(families(world).render()) == []
