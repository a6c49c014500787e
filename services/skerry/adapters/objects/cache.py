"""What the watches saw, and our own writes at once: the objects of some kinds, each with the step at which it came.

A step is a number of this process alone: it rises with everything taken in, whatever kind it came from, so a reader
that passes the last step it got misses nothing, although each kind has a watch of its own.
"""

import itertools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from skerry.adapters.objects import copies, resources
from skerry.adapters.objects.protocol import Change, Object

_MAX_TOMBSTONES = 10_000


@dataclass(frozen=True, slots=True)
class _Entry:
    step: int
    change: Change


class Cache:
    """Thread-safe. Objects given out are copies. Entries lie in the order of their steps: a look for what is new costs
    what is new."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._step = 0

    def get(self, kind: str, name: str) -> Object | None:
        with self._changed:
            known = self._entries.get((kind, name))
            return None if known is None or known.change.deleted else copies.of(known.change.object)

    def list(self, kind: str) -> Sequence[Object]:
        with self._changed:
            return [copies.of(thing) for thing in sorted(self._living(kind), key=lambda thing: thing.name)]

    def changes(self, since: int, timeout_s: float, kinds: Sequence[str]) -> tuple[Sequence[Change], int]:
        """As `Objects.changes`, by step; each change's `resource_version` is its object's own."""
        with self._changed:
            self._changed.wait_for(lambda: self._step > since, timeout_s)
            newest_first = itertools.takewhile(lambda entry: entry.step > since, reversed(self._entries.values()))
            fresh = [entry.change for entry in newest_first if entry.change.object.kind in kinds]
            fresh.reverse()
            return [replace(change, object=copies.of(change.object)) for change in fresh], max(since, self._step)

    def is_news(self, kind: str, name: str, resource_version: int) -> bool:
        """Whether that state of an object that is there would be taken in; of a write of our own the answer was."""
        with self._changed:
            known = self._entries.get((kind, name))
            return known is None or resource_version > known.change.resource_version

    def put(self, thing: Object, *, deleted: bool = False) -> None:
        """Take in one state, unless a newer one is known."""
        with self._changed:
            self._put(thing, deleted)
            self._changed.notify_all()

    def replace(self, kind: str, things: Sequence[Object], version: int, *, restored: bool = False) -> None:
        """Take in all objects of a kind as listed at resource version `version`: older ones not among them are gone.
        `restored`: the versions known so far are of a history that the API server no longer has."""
        names = {thing.name for thing in things}
        with self._changed:
            if restored:
                self._forget_versions(kind)
            for thing in things:
                self._put(thing, deleted=False)
            for known in self._living(kind):
                if known.name not in names and known.resource_version <= version:
                    self._put(known, deleted=True)
            self._forget()
            self._changed.notify_all()

    def _living(self, kind: str) -> tuple[Object, ...]:
        entries = self._entries.values()
        return tuple(
            entry.change.object for entry in entries if entry.change.object.kind == kind and not entry.change.deleted
        )

    def _put(self, thing: Object, deleted: bool) -> None:
        known = self._entries.get((thing.kind, thing.name))
        if known is not None:
            newer = thing.resource_version - known.change.resource_version
            if newer < 0 or (newer == 0 and deleted <= known.change.deleted):
                return
        elif deleted:
            return
        self._step += 1
        self._entries.pop((thing.kind, thing.name), None)
        self._entries[thing.kind, thing.name] = _Entry(self._step, Change(thing.resource_version, deleted, thing))

    def _forget_versions(self, kind: str) -> None:
        """Whatever comes next is newer."""
        for key, entry in self._entries.items():
            if key[0] == kind:
                old = replace(entry.change.object, resource_version=0)
                self._entries[key] = _Entry(entry.step, replace(entry.change, resource_version=0, object=old))

    def _forget(self) -> None:
        """Bound the memory of what is gone: the oldest tombstones go first."""
        gone = sorted((entry.step, key) for key, entry in self._entries.items() if entry.change.deleted)
        for _, key in gone[:-_MAX_TOMBSTONES]:
            del self._entries[key]


@dataclass(frozen=True, slots=True)
class KindSink:
    """A reflector's sink for one kind. What a watch brings of our own writes is neither parsed nor told again."""

    cache: Cache
    kind: str

    def replace(self, manifests: Sequence[Mapping[str, Any]], version: str, *, restored: bool) -> None:
        things = [resources.parse(self.kind, manifest) for manifest in manifests]
        self.cache.replace(self.kind, things, int(version), restored=restored)

    def put(self, manifest: Mapping[str, Any]) -> None:
        metadata = manifest["metadata"]
        if self.cache.is_news(self.kind, metadata["name"], int(metadata["resourceVersion"])):
            self.cache.put(resources.parse(self.kind, manifest))

    def remove(self, manifest: Mapping[str, Any]) -> None:
        self.cache.put(resources.parse(self.kind, manifest), deleted=True)
