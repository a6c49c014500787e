"""The thread that follows the custom resources: sees what others write, outlives a store that is away, can be ended."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from skerry.adapters import objects
from skerry.adapters.objects.memory import MemoryObjects
from skerry.adapters.objects.protocol import Change
from skerry.core import errors
from skerry.gateway import watch

SPEC: dict[str, Any] = {"labels": {}}


class Seen:
    """Collects what a watch delivers."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.arrived = threading.Condition()

    def __call__(self, changes: Sequence[Change], revision: int) -> None:
        with self.arrived:
            self.changes += changes
            self.arrived.notify_all()

    def wait_for(self, name: str) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: any(one.object.name == name for one in self.changes), 10), name


def test_what_is_there_is_delivered_before_start_returns_and_what_another_writes_after_it(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/objects.db"
    other = objects.open_objects(url)
    other.create("EdgeNode", "first", SPEC, manager="gateway")
    seen = Seen()
    watching = watch.Watch(objects.open_objects(url), ["EdgeNode"], seen)
    watching.start()
    assert [one.object.name for one in seen.changes] == ["first"]
    other.create("EdgeFleet", "all", {}, manager="operator")
    other.create("EdgeNode", "second", SPEC, manager="gateway")
    seen.wait_for("second")
    assert {one.object.kind for one in seen.changes} == {"EdgeNode"}
    assert watching.silent_s < 10
    watching.stop()


class AwayObjects(MemoryObjects):
    """Fails the second and third look, once with a bug."""

    looks = 0

    def changes(self, since: int, *, timeout_s: float, kinds: Sequence[str] = ()) -> Any:
        self.looks += 1
        if self.looks == 2:
            raise errors.UnavailableError("the object store did not answer: database is locked")
        if self.looks == 3:
            raise ValueError("a bug")
        return super().changes(since, timeout_s=timeout_s, kinds=kinds)


def test_a_store_that_was_away_is_followed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_RETRY_S", 0.01)
    store, seen = AwayObjects(), Seen()
    watching = watch.Watch(store, ["EdgeNode"], seen)
    watching.start()
    store.create("EdgeNode", "north", SPEC, manager="gateway")
    seen.wait_for("north")
    watching.stop()


def test_a_store_that_is_not_there_at_all_is_told_at_start() -> None:
    store = AwayObjects()
    store.looks = 1
    with pytest.raises(errors.UnavailableError):
        watch.Watch(store, ["EdgeNode"], Seen()).start()
