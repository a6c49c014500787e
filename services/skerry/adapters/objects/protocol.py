"""Custom resources with the semantics of the Kubernetes API: resourceVersion, compare-and-swap, merge patch, watch.

An object is intent (`spec`, written by people through intents) and outcome (`status`, written by one service). Who may
write which field is `core.writers`; every implementation enforces it. All calls block; asynchronous
callers use a thread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from skerry.core import writers

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Object:
    """One custom resource. `generation` rises when spec changes, `resource_version` on every write."""

    kind: str
    name: str
    uid: str
    spec: Json
    status: Json
    labels: dict[str, str]
    generation: int
    resource_version: int
    created_unix_ms: int


@dataclass(frozen=True, slots=True)
class Change:
    """One step of the watch. `object` is the state after the change, or the last state of a deleted object."""

    resource_version: int
    deleted: bool
    object: Object


@dataclass(frozen=True, slots=True)
class Stranger:
    """A program that wrote fields of an object past skerry. Which person used it, Kubernetes does not say; nor does it
    remember more than the last time of each program, and none whose fields another has written since."""

    manager: str
    at_unix_ms: int
    part: str  # spec or status


class Objects(Protocol):
    """Raises NotFoundError, ConflictError (stale resource_version, name taken), RejectedError (not the writer)."""

    def get(self, kind: str, name: str) -> Object: ...

    def list(self, kind: str, *, limit: int = 0, label: tuple[str, str] | None = None) -> Sequence[Object]:
        """By name; of more than `limit` (0: no limit) the first. `label`: those that have this key with this value."""
        ...

    def strangers(self, kind: str, name: str) -> Sequence[Stranger]:
        """Who wrote the object past skerry, as far as the store can tell; the latest last."""
        ...

    def create(
        self, kind: str, name: str, spec: Json, *, manager: str, labels: Mapping[str, str] | None = None
    ) -> Object: ...

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
        """JSON merge patch (RFC 7386) of spec and/or status. A patch that changes nothing writes nothing."""
        ...

    def delete(
        self, kind: str, name: str, *, manager: str = writers.OPERATOR, resource_version: int | None = None
    ) -> None: ...

    def changes(self, since: int, *, timeout_s: float, kinds: Sequence[str] = ()) -> tuple[Sequence[Change], int]:
        """Changes after resource version `since` (0: everything that exists), waiting up to `timeout_s` for one.

        Returns the changes and the resource version to pass next. Only the newest state of each object is promised.
        """
        ...


class Restorer(Protocol):
    """The one way past the table of writers: putting back what a backup holds, while nothing else writes."""

    def restore(self, thing: Object) -> None:
        """Let there be `thing`, spec, status and labels, whatever was there by its name. Its time of creation is kept;
        resource version and generation start again."""
        ...
