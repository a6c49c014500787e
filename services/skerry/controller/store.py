"""The custom resources as the controller writes them: only while it leads, against the version it read, only changes.

A write that would change nothing is not sent; a write after the lease is lost raises instead of happening.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from skerry.adapters.events import Events, Silent
from skerry.adapters.lease.protocol import Lease
from skerry.adapters.objects.protocol import Json, Object, Objects
from skerry.controller import announcing, parsed
from skerry.controller.view import KINDS, View
from skerry.core import errors, writers


class LeadershipLostError(errors.UnavailableError):
    """Somebody else leads now: stop acting at once."""


class Store:
    """Reads come from `view`, as of its last refresh and with our own writes in it; without one from the object store.
    Every write is fenced by the lease. What a write turned is told to people, after it was done: once, or not at all
    when the process ends there. `nodes`: EdgeNodes as they were parsed."""

    def __init__(self, objects: Objects, lease: Lease, events: Events | None = None, view: View | None = None) -> None:
        self._objects = objects
        self._lease = lease
        self._events = events or Silent()
        self._view = view
        self.nodes = parsed.ParsedNodes()

    def refresh(self, mono_ms: int) -> frozenset[str]:
        """Take in what changed. Returns the kinds with news. Raises UnavailableError."""
        if self._view is None:
            return frozenset(KINDS)
        self._view.refresh(mono_ms)
        return self._view.news()

    def touched(self) -> frozenset[tuple[str, str]]:
        """Kind and name of all that changed since this was last asked; without a view nobody knows."""
        return frozenset() if self._view is None else self._view.touched()

    def wait(self, timeout_s: float) -> None:
        """Until there is news, or for as long. Raises UnavailableError."""
        if self._view is not None:
            self._view.wait(timeout_s)

    def heard_ms(self, node: str) -> int | None:
        """When it was taken in that the node was seen again, by the monotonic clock, if that is known."""
        return None if self._view is None else self._view.heard_ms(node)

    def get(self, kind: str, name: str) -> Object:
        found = self.find(kind, name)
        if found is None:
            raise errors.NotFoundError(f"there is no {kind} {name}")
        return found

    def find(self, kind: str, name: str) -> Object | None:
        if self._view is not None and kind in KINDS:
            return self._view.get(kind, name)
        return self._read(kind, name)

    def look_again(self, kind: str, name: str) -> Object | None:
        """Past the view, which takes it in."""
        found = self._read(kind, name)
        if self._view is not None and kind in KINDS:
            if found is None:
                self._view.drop(kind, name)
            else:
                self._view.put(found)
        return found

    def list(self, kind: str) -> Sequence[Object]:
        if self._view is not None and kind in KINDS:
            return self._view.list(kind)
        return self._objects.list(kind)

    def first(self, kind: str, limit: int) -> Sequence[Object]:
        """The first by name, of a kind that no tick looks at."""
        return self._objects.list(kind, limit=limit)

    def create(self, kind: str, name: str, spec: Json, labels: Mapping[str, str] | None = None) -> Object:
        """Raises ConflictError when the name is taken."""
        self._check_leading()
        with self._looking_again(kind, name):
            return self._taken(self._objects.create(kind, name, spec, manager=writers.CONTROLLER, labels=labels))

    def delete(self, thing: Object) -> None:
        """Raises ConflictError when it was written since it was read."""
        self._check_leading()
        with self._looking_again(thing.kind, thing.name):
            self._objects.delete(
                thing.kind, thing.name, manager=writers.CONTROLLER, resource_version=thing.resource_version
            )
        if self._view is not None and thing.kind in KINDS:
            self._view.drop(thing.kind, thing.name)

    def put_status(self, thing: Object, status: Json) -> Object:
        """Make `status` the whole status of `thing`, and note which generation of the spec it speaks of (`kubectl wait`
        asks). Raises ConflictError when it was written since it was read."""
        stamped = without_nulls({**status, "observedGeneration": thing.generation})
        written = self._patch(thing, "status", difference(thing.status, stamped))
        self.tell(written, announcing.of_conditions(thing.kind, thing.status, written.status))
        return written

    def tell(self, thing: Object, announcements: Iterable[announcing.Announcement]) -> None:
        """Events for people. Raises nothing."""
        for one in announcements:
            self._events.tell(thing, one.reason, one.message, warning=one.warning)

    def put_spec(self, thing: Object, fields: Json) -> Object:
        """Set the given fields of the spec (only the controller's own). Raises as `put_status`."""
        wanted = without_nulls(fields)
        patch = {key: value for key, value in wanted.items() if thing.spec.get(key) != value}
        return self._patch(thing, "spec", patch)

    def _patch(self, thing: Object, part: str, patch: Json) -> Object:
        if not patch:
            return thing
        self._check_leading()
        with self._looking_again(thing.kind, thing.name):
            written = self._objects.patch(
                thing.kind,
                thing.name,
                manager=writers.CONTROLLER,
                spec=patch if part == "spec" else None,
                status=patch if part == "status" else None,
                resource_version=thing.resource_version,
            )
        return self._taken(written)

    def _read(self, kind: str, name: str) -> Object | None:
        try:
            return self._objects.get(kind, name)
        except errors.NotFoundError:
            return None

    def _taken(self, thing: Object) -> Object:
        if self._view is not None and thing.kind in KINDS:
            self._view.put(thing)
        return thing

    @contextlib.contextmanager
    def _looking_again(self, kind: str, name: str) -> Iterator[None]:
        """Whoever was refused because somebody else wrote shall see what, the next time."""
        try:
            yield
        except (errors.ConflictError, errors.NotFoundError):
            with contextlib.suppress(errors.SkerryError):
                self.look_again(kind, name)
            raise

    def _check_leading(self) -> None:
        if not self._lease.renew():
            raise LeadershipLostError("this controller no longer holds the lease; it must not write")


def without_nulls(value: Any) -> Any:
    """A null field is an absent one. The Kubernetes API drops those inside lists too, and what never equals what is
    stored would be written for ever."""
    if isinstance(value, Mapping):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list | tuple) else value


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> Json:
    """The JSON merge patch (RFC 7386) from `old` to `new`; a null in `new` counts as absent."""
    patch: Json = {key: None for key in old if new.get(key) is None}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            if inner := difference(before, value):
                patch[key] = inner
        elif value is not None and value != before:
            patch[key] = value
    return patch
