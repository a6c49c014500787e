"""What a tick at rest costs, counted: no node parsed, no kind listed, no node got; and what makes work."""

from collections import Counter
from pathlib import Path
from typing import Any

import controlling
import pytest

from skerry.adapters.objects.memory import MemoryObjects
from skerry.adapters.objects.protocol import Object
from skerry.controller import leader, pace, rollouts, view
from skerry.core import rollout, specs, writers

World = controlling.World


class Asked(MemoryObjects):
    """Counts what is asked of the object store."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()

    def get(self, kind: str, name: str) -> Object:
        self.asked[f"get {kind}"] += 1
        return super().get(kind, name)

    def list(self, kind: str, **wanted: Any) -> Any:
        self.asked[f"list {kind}"] += 1
        return super().list(kind, **wanted)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Every node serves the first version, and nothing is under way."""
    world = World(tmp_path, nodes=20, objects=Asked())
    world.objects.patch("EdgeFleet", "all", manager=writers.OPERATOR, spec={"maxUnavailable": "100%"})
    world.import_version(1)
    world.run(25)
    assert set(world.serving().values()) == {1}
    for _ in range(3):
        world.now_ms += 1000
        world.tick()
    return world


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each function was called that reads an object, and each that looks at the whole fleet."""
    counted: Counter[str] = Counter()

    def count(module: Any, name: str) -> None:
        real = getattr(module, name)

        def called(*args: Any, **options: Any) -> Any:
            counted[name] += 1
            return real(*args, **options)

        monkeypatch.setattr(module, name, called)

    for name in ("parse_node", "parse_rollout", "parse_fleet", "parse_edge_model", "parse_model_version"):
        count(specs, name)
    count(rollout, "settle")
    count(rollouts, "read_inventory")
    return counted


def mark(world: World) -> None:
    """Every node is seen again."""
    for name in world.nodes:
        world.objects.patch("EdgeNode", name, manager=writers.GATEWAY, status={"lastSeenUnixMs": world.now_ms})


def test_an_idle_tick_parses_lists_and_gets_nothing(world: World, parsed: Counter[str]) -> None:
    world.objects.asked.clear()
    for _ in range(4):
        world.now_ms += 500
        world.tick()
    assert (parsed["parse_node"], parsed["parse_rollout"], parsed["settle"]) == (0, 0, 0)
    assert world.objects.asked == Counter()


def test_in_a_minute_nothing_is_listed_and_no_node_is_parsed(world: World, parsed: Counter[str]) -> None:
    world.objects.asked.clear()
    for _ in range(60):
        world.now_ms += 1000
        world.tick()
    assert world.objects.asked == Counter()
    assert parsed["parse_node"] == parsed["parse_rollout"] == 0
    assert parsed["settle"] <= 1


def test_nodes_that_were_only_seen_again_are_not_parsed_and_move_nothing(world: World, parsed: Counter[str]) -> None:
    for _ in range(4):
        world.now_ms += 500
        mark(world)
        world.tick()
    assert (parsed["parse_node"], parsed["settle"]) == (0, 0)
    world.now_ms += 5_000
    mark(world)
    world.tick()
    assert world.get("EdgeFleet", "all").status["online"] == 20
    assert parsed["parse_node"] == 0


def test_one_node_that_changed_is_parsed_alone_and_no_finished_rollout_is(world: World, parsed: Counter[str]) -> None:
    world.objects.patch("EdgeNode", "edge-7", manager=writers.GATEWAY, status={"connected": False})
    world.now_ms += 500
    world.tick()
    assert (parsed["parse_node"], parsed["parse_rollout"], parsed["settle"]) == (1, 0, 1)


def test_of_many_nodes_that_have_what_they_shall_have_none_is_got(world: World) -> None:
    world.objects.create("EdgeNode", "edge-21", {}, manager=writers.GATEWAY)
    world.objects.patch("EdgeNode", "edge-21", manager=writers.GATEWAY, status={"lastSeenUnixMs": world.now_ms})
    world.objects.asked.clear()
    world.now_ms += 500
    world.tick()
    assert world.objects.asked["get EdgeNode"] == 1, "the one that is new"
    assert world.get("EdgeNode", "edge-21").spec["assignments"][0]["version"] == 1


def test_a_node_that_falls_silent_is_counted_offline_without_any_change(world: World) -> None:
    for _ in range(25):
        world.now_ms += 1000
        world.tick()
    assert world.get("EdgeFleet", "all").status["offline"] == 20


def test_nobody_changes_what_is_shared(world: World) -> None:
    world.ask_run("run-1")
    world.run(15)
    known = world.reconciler._store._view
    assert world.phase("digits-v2-auto") in ("Progressing", "Paused"), "much was written"
    known.refresh(world.now_ms)
    for kind in view.KINDS:
        assert list(known.list(kind)) == list(world.objects.list(kind))


def test_whoever_missed_too_many_steps_lists_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "_MAX_STEPS", 3)
    objects = Asked()
    for name in ("a", "b"):
        objects.create("EdgeFleet", name, {}, manager=writers.OPERATOR)
    known = view.View(objects)
    known.refresh(0)
    objects.delete("EdgeFleet", "a")
    for number in range(4):
        objects.patch("EdgeFleet", "b", manager=writers.OPERATOR, spec={"offlineAfterSeconds": 20 + number})
    del objects._changes["EdgeFleet", "a"]  # forgotten, as every store does at last
    known.refresh(0)
    assert [one.name for one in known.list("EdgeFleet")] == ["b"]


def test_a_node_seen_again_does_not_wake_the_leader_and_a_word_of_it_does() -> None:
    objects = MemoryObjects()
    objects.create("EdgeNode", "a", {}, manager=writers.GATEWAY)
    known = view.View(objects)
    known.refresh(0)
    assert known.news() == frozenset(view.KINDS), "at first everything is new"
    objects.patch("EdgeNode", "a", manager=writers.GATEWAY, status={"lastSeenUnixMs": 1})
    known.wait(0.01)
    assert known.news() == frozenset()
    objects.patch("EdgeNode", "a", manager=writers.GATEWAY, status={"connected": True})
    known.wait(60)
    assert known.news() == {"EdgeNode"}
    assert known.heard_ms("a") is not None


def test_changes_without_end_take_half_of_a_core_at_most() -> None:
    assert [leader.quiet_s(tick_s) for tick_s in (0.001, 0.05, 0.4, 9.0)] == [0.05, 0.05, 0.4, 2.0]


@pytest.mark.parametrize(
    ("waiting_ms", "news", "after_ms", "is_due"),
    [
        (None, "", 999, False),
        (None, "", 1000, True),
        (None, "EdgeFleet", 0, False),
        (None, "EdgeNode", 0, True),
        (300, "", 299, False),
        (300, "", 300, True),
        (0, "", 0, True),
        (300, "", -1, True),
    ],
    ids=[
        "at rest it rests",
        "now and then it looks",
        "news of others does not concern it",
        "news of its own does",
        "who waits looks not before its time",
        "who waits looks in time",
        "what went wrong is tried again",
        "a clock that went back is no reason to wait",
    ],
)
def test_a_part_is_due(waiting_ms: int | None, news: str, after_ms: int, is_due: bool) -> None:
    part = pace.Pace(("EdgeNode",), 1000)
    assert part.is_due(frozenset(), 5000), "at first"
    part.looked(5000, waiting_ms=waiting_ms)
    assert part.is_due(frozenset({news} - {""}), 5000 + after_ms) == is_due
