"""Custom resources in memory: the twin that tests use. Thread-safe, as the real ones are process-safe."""

import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace

from skerry.adapters.objects import copies, rules
from skerry.adapters.objects.protocol import Change, Json, Object, Stranger
from skerry.core import errors, writers


class MemoryObjects:
    """Same semantics as SqliteObjects, without the file. `writes` counts what was really written."""

    def __init__(self) -> None:
        self._changes: dict[tuple[str, str], Change] = {}
        self._version = 0
        self._changed = threading.Condition()
        self.writes = 0

    def get(self, kind: str, name: str) -> Object:
        with self._changed:
            return copies.of(self._living(kind, name))

    def list(self, kind: str, *, limit: int = 0, label: tuple[str, str] | None = None) -> Sequence[Object]:
        with self._changed:
            living = [
                change.object for change in self._changes.values() if change.object.kind == kind and not change.deleted
            ]
            if label is not None:
                living = [thing for thing in living if label in thing.labels.items()]
            return [copies.of(thing) for thing in sorted(living, key=lambda thing: thing.name)[: limit or None]]

    def strangers(self, kind: str, name: str) -> Sequence[Stranger]:
        """Nobody: there is no other way in."""
        return ()

    def create(
        self, kind: str, name: str, spec: Json, *, manager: str, labels: Mapping[str, str] | None = None
    ) -> Object:
        thing = rules.new_object(kind, name, spec, manager, labels, str(uuid.uuid4()), 0)
        with self._changed:
            known = self._changes.get((kind, name))
            if known is not None and not known.deleted:
                raise errors.ConflictError(f"{kind} {name} exists already")
            return self._store(thing, deleted=False)

    def patch(
        self,
        kind: str,
        name: str,
        *,
        manager: str,
        spec: Json | None = None,
        status: Json | None = None,
        resource_version: int | None = None,
    ) -> Object:
        with self._changed:
            thing = self._living(kind, name)
            changed = rules.patched(thing, manager, spec, status, resource_version)
            return copies.of(thing) if changed is thing else self._store(changed, deleted=False)

    def delete(
        self, kind: str, name: str, *, manager: str = writers.OPERATOR, resource_version: int | None = None
    ) -> None:
        with self._changed:
            thing = self._living(kind, name)
            rules.check_delete(thing, manager, resource_version)
            self._store(thing, deleted=True)

    def restore(self, thing: Object) -> None:
        with self._changed:
            known = self._changes.get((thing.kind, thing.name))
            if thing.kind in rules.APPEND_ONLY and known is not None and not known.deleted:
                return
            self._store(rules.restored(thing, str(uuid.uuid4())), deleted=False)

    def changes(self, since: int, *, timeout_s: float, kinds: Sequence[str] = ()) -> tuple[Sequence[Change], int]:
        with self._changed:
            if not self._changed.wait_for(lambda: self._version > since, timeout_s):
                return [], since
            fresh = [change for change in self._changes.values() if change.resource_version > since]
            wanted = [change for change in fresh if not kinds or change.object.kind in kinds]
            wanted.sort(key=lambda change: change.resource_version)
            return [replace(change, object=copies.of(change.object)) for change in wanted], max(since, self._version)

    def _living(self, kind: str, name: str) -> Object:
        known = self._changes.get((kind, name))
        if known is None or known.deleted:
            raise errors.NotFoundError(f"there is no {kind} {name}")
        return known.object

    def _store(self, thing: Object, *, deleted: bool) -> Object:
        self._version += 1
        self.writes += 1
        stored = replace(thing, resource_version=self._version)
        self._changes[thing.kind, thing.name] = Change(self._version, deleted, stored)
        self._changed.notify_all()
        return copies.of(stored)
