"""A model's condition LabelsCurrent follows what its curator tells, at little cost."""

import json
from typing import Any

import pytest

from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.adapters.lease.memory import Board, MemoryLease
from skerry.adapters.objects.memory import MemoryObjects
from skerry.controller import fleet_counts, summaries
from skerry.controller.label_standings import LabelStandings
from skerry.controller.store import Store
from skerry.core import errors, label_backlog
from skerry.core.label_backlog import Backlog

NOW = 1_790_000_000_000
MODEL = {"classNames": ["a", "b"], "input": {"name": "x", "datatype": "FP32", "shape": [2]}}
BEHIND = Backlog(5000, NOW - 3_600_000, label_backlog.MISSING, "the teacher has no model x")


class Readings(MemoryFleetState):
    """Counts how often it is read; may be away."""

    def __init__(self) -> None:
        super().__init__()
        self.reads, self.is_away = 0, False

    def get(self, *groups: str) -> Any:
        self.reads += 1
        if self.is_away:
            raise errors.UnavailableError("Redis did not answer")
        return super().get(*groups)


class World:
    def __init__(self) -> None:
        self.objects, self.readings, self.mono_ms = MemoryObjects(), Readings(), 0
        self.objects.create("EdgeModel", "faces", MODEL, manager="operator")
        lease = MemoryLease(Board())
        lease.acquire("test")
        self.store, self.standings = Store(self.objects, lease), LabelStandings(self.readings)

    def tell(self, backlog: Backlog | str) -> None:
        text = backlog if isinstance(backlog, str) else json.dumps({"labeled": 3, **backlog.to_json()})
        self.readings.put("curator:faces", text, ttl_s=60.0)

    def look(self, after_ms: int = 6000) -> tuple[str, str] | None:
        self.mono_ms += after_ms
        labels = self.standings.look(now_ms=NOW, mono_ms=self.mono_ms)
        summaries.step(self.store, fleet_counts.FleetCounts(), now_ms=NOW, mono_ms=NOW, labels=labels)
        found = [one for one in self.conditions if one["type"] == "LabelsCurrent"]
        return (found[0]["status"], found[0]["reason"]) if found else None

    @property
    def conditions(self) -> list[dict[str, str]]:
        listed: list[dict[str, str]] = self.objects.get("EdgeModel", "faces").status["conditions"]
        return listed


@pytest.fixture
def world() -> World:
    return World()


def test_the_condition_says_how_far_labels_are(world: World) -> None:
    world.tell(BEHIND)
    assert world.look() == ("False", "NoTeacher")
    world.tell(Backlog())
    assert world.look() == ("True", "Current")


def test_without_a_curator_nothing_is_said_and_a_silent_one_is_told(world: World) -> None:
    assert world.look() is None
    world.tell(BEHIND)
    world.look()
    world.readings.flush()
    assert world.look() == ("Unknown", "CuratorSilent")


def test_while_readings_are_away_the_condition_stays(world: World) -> None:
    world.tell(BEHIND)
    world.look()
    world.readings.is_away = True
    assert world.look() == ("False", "NoTeacher")


@pytest.mark.parametrize("text", ["{", "[]", '{"labeled": 3}', "[" * 100_000], ids=["cut", "list", "old", "deep"])
def test_a_reading_that_cannot_be_read_says_nothing(world: World, text: str) -> None:
    world.tell(text)
    assert world.look() is None


def test_looking_is_rare_and_writes_nothing_while_nothing_changes(world: World) -> None:
    world.tell(BEHIND)
    world.look()
    before, reads = world.objects.get("EdgeModel", "faces").resource_version, world.readings.reads
    for _ in range(10):
        world.look(after_ms=1000)
    assert world.readings.reads - reads == 2
    assert world.objects.get("EdgeModel", "faces").resource_version == before
