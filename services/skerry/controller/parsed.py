"""What objects say, parsed once for each state of them: an object that did not change is not read again."""

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Generic, TypeVar

from skerry.adapters.objects.protocol import Object
from skerry.core import errors, specs

T = TypeVar("T")
_SEEN = "lastSeenUnixMs"


class Parsed(Generic[T]):
    """Of one kind, by name. `parse` raises InputError, which is remembered as well."""

    def __init__(self, parse: Callable[[Object], T]) -> None:
        self._parse = parse
        self._known: dict[str, tuple[Object, T | None, str]] = {}

    def of(self, thing: Object) -> T:
        """Raises InputError."""
        known = self._known.get(thing.name)
        if known is None or known[0] is not thing:
            known = self._known[thing.name] = self._read(thing, known)
        _, value, fault = known
        if value is None:
            raise errors.InputError(fault)
        return value

    def keep(self, things: Collection[Object]) -> None:
        """Forget all others."""
        if len(self._known) > len(things):
            names = {thing.name for thing in things}
            for gone in self._known.keys() - names:
                del self._known[gone]

    def _read(self, thing: Object, known: tuple[Object, T | None, str] | None) -> tuple[Object, T | None, str]:
        try:
            return thing, self._parse(thing), ""
        except errors.InputError as exc:
            return thing, None, str(exc)


class ParsedNodes(Parsed[specs.EdgeNode]):
    """EdgeNodes. One that was only seen again is not parsed again."""

    def __init__(self) -> None:
        super().__init__(
            lambda thing: replace(
                specs.parse_node(thing.name, thing.spec, thing.status), created_ms=thing.created_unix_ms
            )
        )

    def _read(
        self, thing: Object, known: tuple[Object, specs.EdgeNode | None, str] | None
    ) -> tuple[Object, specs.EdgeNode | None, str]:
        seen_ms = thing.status.get(_SEEN)
        if known is not None and known[1] is not None and type(seen_ms) is int and seen_ms > known[1].last_seen_ms:
            before = known[0]
            if before.spec == thing.spec and {**before.status, _SEEN: seen_ms} == thing.status:
                return thing, replace(known[1], last_seen_ms=seen_ms), ""
        return super()._read(thing, known)
