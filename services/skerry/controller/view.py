"""The custom resources as the leader knows them: everything read once, then only what changed.

Reading costs no call of the object store, and what is shared is not copied: nobody may change an object in place.
`news` tells which kinds changed in something that decisions depend on; that a node was seen again is none.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from skerry.adapters.objects.protocol import Change, Object, Objects

# What a tick looks at. Join tokens are none of the controller's business: its role may not even list them.
KINDS = ("EdgeFleet", "EdgeModel", "EdgeNode", "Erasure", "Exclusion", "ModelRollout", "ModelVersion", "TrainingRun")

_FOR_PEOPLE: Mapping[str, frozenset[str]] = {  # fields of a status that no decision is made from
    "EdgeFleet": frozenset({"conditions", "nodes", "online", "offline", "observedGeneration"}),
    "EdgeModel": frozenset({"conditions", "observedGeneration"}),
    "EdgeNode": frozenset({"lastSeenUnixMs"}),
}
_MAX_STEPS = 10_000  # every store remembers so many deletions; whoever was away for longer lists again
_BATCH_S = 0.25  # what is no news is taken in no more often


class View:
    """Of one leadership. Writers may `put` side by side; all else is one thread's."""

    def __init__(self, objects: Objects) -> None:
        self._objects, self._since = objects, 0
        self._known: dict[str, dict[str, Object]] = {kind: {} for kind in KINDS}
        self._sorted: dict[str, Sequence[Object]] = {}
        self._heard_ms: dict[str, int] = {}
        self._news: set[str] = set(KINDS)
        self._touched: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def get(self, kind: str, name: str) -> Object | None:
        return self._known[kind].get(name)

    def list(self, kind: str) -> Sequence[Object]:
        """By name."""
        with self._lock:
            if kind not in self._sorted:
                things = self._known[kind]
                self._sorted[kind] = tuple(things[name] for name in sorted(things))
            return self._sorted[kind]

    def heard_ms(self, node: str) -> int | None:
        """When this process took in that the node was seen again, by the monotonic clock; None: it did not."""
        return self._heard_ms.get(node)

    def refresh(self, mono_ms: int, timeout_s: float = 0.0) -> None:
        """Take in what changed; wait for a change for as long. Raises UnavailableError."""
        changes, latest = self._objects.changes(self._since, timeout_s=timeout_s, kinds=KINDS)
        missed = self._since and latest - self._since > _MAX_STEPS
        for change in changes:
            self._take(change, mono_ms)
        if missed:
            self._drop_deleted()
        self._since = latest

    def wait(self, timeout_s: float) -> None:
        """Until there is news, or for as long. Raises UnavailableError."""
        end_s = time.monotonic() + timeout_s
        while not self._news and (left_s := end_s - time.monotonic()) > 0:
            self.refresh(time.monotonic_ns() // 1_000_000, left_s)
            if not self._news:
                time.sleep(max(0.0, min(_BATCH_S, end_s - time.monotonic())))

    def news(self) -> frozenset[str]:
        """Kinds with news since this was last asked; all of them at first."""
        with self._lock:
            news, self._news = frozenset(self._news), set()
            return news

    def touched(self) -> "frozenset[tuple[str, str]]":
        """Kind and name of all that changed in any way, or went, since this was last asked."""
        with self._lock:
            touched, self._touched = frozenset(self._touched), set()
            return touched

    def put(self, thing: Object) -> None:
        """What was written, or read past the changes."""
        with self._lock:
            known = self._known[thing.kind].get(thing.name)
            if known is not None and (known.uid, known.resource_version) == (thing.uid, thing.resource_version):
                return
            self._known[thing.kind][thing.name] = thing
            self._touched.add((thing.kind, thing.name))
            self._sorted.pop(thing.kind, None)
            if known is None or _matters(known, thing):
                self._news.add(thing.kind)

    def drop(self, kind: str, name: str) -> None:
        with self._lock:
            if self._known[kind].pop(name, None) is not None:
                self._sorted.pop(kind, None)
                self._news.add(kind)
                self._touched.add((kind, name))
            if kind == "EdgeNode":
                self._heard_ms.pop(name, None)

    def _take(self, change: Change, mono_ms: int) -> None:
        thing = change.object
        if change.deleted:
            self.drop(thing.kind, thing.name)
            return
        if thing.kind == "EdgeNode":
            known = self._known[thing.kind].get(thing.name)
            if known is not None and known.status.get("lastSeenUnixMs") != thing.status.get("lastSeenUnixMs"):
                self._heard_ms[thing.name] = mono_ms
        self.put(thing)

    def _drop_deleted(self) -> None:
        for kind in KINDS:
            there = {thing.name for thing in self._objects.list(kind)}
            for name in self._known[kind].keys() - there:
                self.drop(kind, name)


def _matters(old: Object, new: Object) -> bool:
    if (old.uid, old.spec, old.labels) != (new.uid, new.spec, new.labels):
        return True
    ignored = _FOR_PEOPLE.get(new.kind, frozenset())
    return _without(old.status, ignored) != _without(new.status, ignored)


def _without(status: Mapping[str, Any], ignored: frozenset[str]) -> Mapping[str, Any]:
    return {key: value for key, value in status.items() if key not in ignored}
