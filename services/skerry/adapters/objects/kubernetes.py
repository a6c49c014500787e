"""Custom resources in a Kubernetes cluster: read from watches once changes are followed, written by merge patch.

A process that asks for changes of a kind reads that kind from its watches from then on (its own writes included at
once), so that a tick at rest costs the API server nothing. Every write still meets the API server's compare-and-swap: a
decision made on an old state ends in a ConflictError, after which the object is read again. A process that never
follows (a command) reads past all caches.
"""

import threading
from collections.abc import Mapping, Sequence

from skerry.adapters.kubernetes.api import Api
from skerry.adapters.kubernetes.reflector import Reflector
from skerry.adapters.objects import resources, rules
from skerry.adapters.objects.cache import Cache, KindSink
from skerry.adapters.objects.protocol import Change, Json, Object, Stranger
from skerry.core import errors, names, writers

_SYNC_S = 15.0
_STATUS_TRIES = 10  # of a restored object, against the writes of nodes that are there


class KubernetesObjects:
    """Objects of the namespace that `api` names."""

    def __init__(self, api: Api) -> None:
        self._api, self._cache = api, Cache()
        self._reflectors: dict[str, Reflector] = {}
        self._starting = threading.Lock()

    def get(self, kind: str, name: str) -> Object:
        if self._follows(kind):
            cached = self._cache.get(kind, name)
            if cached is None:
                raise errors.NotFoundError(f"there is no {kind} {name}")
            return cached
        return self._read(kind, name)

    def list(self, kind: str, *, limit: int = 0, label: tuple[str, str] | None = None) -> Sequence[Object]:
        if self._follows(kind):
            found = self._cache.list(kind)
            return [one for one in found if label is None or label in one.labels.items()][: limit or None]
        query = {"limit": str(limit)} if limit else {}
        if label is not None:
            query["labelSelector"] = "=".join(label)
        items = self._api.get(resources.path(self._api.namespace, kind), query).get("items", [])
        return sorted((resources.parse(kind, item) for item in items), key=lambda thing: thing.name)

    def strangers(self, kind: str, name: str) -> Sequence[Stranger]:
        return resources.strangers(self._api.get(self._path(kind, name)))

    def create(
        self, kind: str, name: str, spec: Json, *, manager: str, labels: Mapping[str, str] | None = None
    ) -> Object:
        new = rules.new_object(kind, name, spec, manager, labels, "", 0)
        body = resources.manifest(kind, name, new.spec, new.labels)
        try:
            answer = self._api.create(resources.path(self._api.namespace, kind), body, _query(manager))
        except errors.ConflictError as exc:
            raise errors.ConflictError(f"{kind} {name} exists already") from exc
        return self._keep(resources.parse(kind, answer))

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
        thing = self.get(kind, name)
        try:
            changed = rules.patched(thing, manager, spec, status, resource_version)
            if changed is thing:
                return thing
            for part, patch in (("spec", spec), ("status", status)):
                if patch is not None and getattr(changed, part) != getattr(thing, part):
                    thing = self._patch(thing, part, patch, manager, resource_version)
                    resource_version = thing.resource_version if resource_version is not None else None
        except errors.ConflictError:
            self._refresh(kind, name)
            raise
        return thing

    def delete(
        self, kind: str, name: str, *, manager: str = writers.OPERATOR, resource_version: int | None = None
    ) -> None:
        writers.check_delete(kind, manager)
        body = None if resource_version is None else {"preconditions": {"resourceVersion": str(resource_version)}}
        try:
            self._api.delete(self._path(kind, name), body=body)
        except errors.NotFoundError as exc:
            raise errors.NotFoundError(f"there is no {kind} {name}") from exc
        finally:
            self._refresh(kind, name)

    def restore(self, thing: Object) -> None:
        restored = rules.restored(thing, "")
        collection = resources.path(self._api.namespace, restored.kind)
        body = resources.manifest(
            restored.kind, restored.name, restored.spec, restored.labels, created_unix_ms=restored.created_unix_ms
        )
        try:
            answer = self._api.create(collection, body, {"fieldManager": "skerry-restore"})
        except errors.ConflictError:
            if restored.kind in rules.APPEND_ONLY:
                return
            # Made again, not changed: the API server lets no immutable field and no epoch go back.
            self._api.delete(f"{collection}/{restored.name}")
            answer = self._api.create(collection, body, {"fieldManager": "skerry-restore"})
        self._put_status(restored, answer)
        self._refresh(restored.kind, restored.name)

    def changes(self, since: int, *, timeout_s: float, kinds: Sequence[str] = ()) -> tuple[Sequence[Change], int]:
        """`since` is what an earlier call on this very object returned; 0 also lists everything again, so that a new
        leader begins with what is, not with what a silent watch last saw."""
        wanted = tuple(kinds) or tuple(sorted(resources.PLURALS))
        fresh = self._follow(wanted)
        if since == 0:
            for kind in set(wanted) - fresh:
                self._reflectors[kind].relist()
        return self._cache.changes(since, timeout_s, wanted)

    @property
    def silent_s(self) -> float:
        """Seconds since the quietest of the watches last heard anything; 0 when none is followed."""
        return max((reflector.silent_s for reflector in self._reflectors.values()), default=0.0)

    def close(self) -> None:
        """End the watches and give the connections back."""
        for reflector in self._reflectors.values():
            reflector.stop()
        self._api.close()

    def _follows(self, kind: str) -> bool:
        return kind in self._reflectors and self._reflectors[kind].is_synced.is_set()

    def _follow(self, kinds: Sequence[str]) -> frozenset[str]:
        """Start the watches that are missing and wait for their first list. Returns the kinds that are new."""
        with self._starting:
            new = frozenset(kinds) - self._reflectors.keys()
            for kind in new:
                path = resources.path(self._api.namespace, kind)
                self._reflectors[kind] = Reflector(self._api, path, KindSink(self._cache, kind))
                self._reflectors[kind].start()
        for kind in kinds:
            if not self._reflectors[kind].is_synced.wait(_SYNC_S):
                problem = self._reflectors[kind].problem or "no answer yet"
                raise errors.UnavailableError(f"the {kind} objects could not be listed in {_SYNC_S:.0f} s: {problem}")
        return new

    def _read(self, kind: str, name: str) -> Object:
        try:
            return resources.parse(kind, self._api.get(self._path(kind, name)))
        except errors.NotFoundError as exc:
            raise errors.NotFoundError(f"there is no {kind} {name}") from exc

    def _path(self, kind: str, name: str, *, status: bool = False) -> str:
        """Of one object. A name that none can have is not looked for: as part of a path it could lead elsewhere."""
        if not names.is_name(name):
            raise errors.NotFoundError(f"there is no {kind} {name[:120]}")
        return resources.path(self._api.namespace, kind, name, status=status)

    def _patch(self, thing: Object, part: str, patch: Json, manager: str, resource_version: int | None) -> Object:
        body: Json = {part: patch}
        if resource_version is not None:
            body["metadata"] = {"resourceVersion": str(resource_version)}
        path = self._path(thing.kind, thing.name, status=part == "status")
        try:
            return self._keep(resources.parse(thing.kind, self._api.patch(path, body, _query(manager))))
        except errors.NotFoundError as exc:
            raise errors.NotFoundError(f"there is no {thing.kind} {thing.name}") from exc
        except errors.ConflictError as exc:
            raise errors.ConflictError(f"{thing.kind} {thing.name} was written meanwhile: read it again") from exc

    def _put_status(self, thing: Object, known: Json) -> None:
        """The whole status of an object that was just made as `known`: a gateway may have written to it since."""
        path = resources.path(self._api.namespace, thing.kind, thing.name)
        for left in reversed(range(_STATUS_TRIES)):
            try:
                self._api.put(f"{path}/status", {**known, "status": thing.status})
                return
            except errors.ConflictError:
                if not left:
                    raise
            known = self._api.get(path)

    def _keep(self, thing: Object) -> Object:
        if self._follows(thing.kind):
            self._cache.put(thing)
        return thing

    def _refresh(self, kind: str, name: str) -> None:
        """After a conflict or a deletion: take in what is, without waiting for the watch to tell."""
        if not self._follows(kind):
            return
        try:
            self._cache.put(self._read(kind, name))
        except errors.NotFoundError:
            known = self._cache.get(kind, name)
            if known is not None:
                self._cache.put(known, deleted=True)
        except errors.SkerryError:
            return  # the watch will tell


def _query(manager: str) -> Mapping[str, str]:
    """Fields that the schema does not know are an error, not silently dropped."""
    if manager not in (writers.OPERATOR, writers.CONTROLLER, writers.GATEWAY):
        raise errors.InputError(f"unknown manager {manager!r}")
    return {"fieldManager": f"{resources.MANAGER}{manager}", "fieldValidation": "Strict"}
