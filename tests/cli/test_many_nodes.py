"""`skerry nodes` in a large fleet: each kind is listed once, and one page is shown."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from cli_system import StillSystem

from skerry.adapters.objects.memory import MemoryObjects
from skerry.adapters.objects.protocol import Object
from skerry.cli import node_list, object_access

COUNT = 250


class CountedObjects(MemoryObjects):
    def __init__(self) -> None:
        super().__init__()
        self.lists: Counter[str] = Counter()

    def list(self, kind: str) -> Sequence[Object]:
        self.lists[kind] += 1
        return super().list(kind)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> CountedObjects:
    made = CountedObjects()
    for number in range(COUNT):
        made.create("EdgeNode", f"edge-{number:03}", {}, manager="gateway")
        if number:
            made.patch("EdgeNode", f"edge-{number:03}", manager="gateway", status={"lastSeenUnixMs": 1})
    monkeypatch.setattr(object_access, "store_of", lambda state: made)
    return made


def test_one_page_is_shown_and_all_are_counted(store: CountedObjects, tmp_path: Path) -> None:
    system = StillSystem(tmp_path)
    told = system.good("nodes")
    assert "edge-099" in told and "edge-100" not in told
    assert "page 1 of 3 (--page), 250 nodes; of 249 that count: 249 Offline" in told
    assert store.lists == {"EdgeNode": 1, "EdgeFleet": 1}
    assert "edge-249" in system.good("nodes", "--page", "3")
    assert "there is no page 4: there are 250 nodes" in system.good("nodes", "--page", "4")


def test_programs_get_all_unless_they_name_a_page(store: CountedObjects, tmp_path: Path) -> None:
    system = StillSystem(tmp_path)
    assert len(json.loads(system.good("nodes", "--json"))) == COUNT
    rows = json.loads(system.good("nodes", "--json", "--page", "3"))
    assert [rows[0]["node"], rows[-1]["node"]] == ["edge-200", "edge-249"]


def test_readings_are_asked_of_what_is_shown(
    store: CountedObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(node_list, "_readings", lambda redis, keys: asked.extend(keys) or {})
    system = StillSystem(tmp_path)
    system.good("nodes")
    assert asked == [f"spool:edge-{number:03}" for number in range(node_list.PER_PAGE)]
    asked.clear()
    system.good("nodes", "show", "edge-007")
    assert asked == ["spool:edge-007"]
