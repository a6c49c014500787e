"""Live readings and counters (Redis). Anybody may lose them: everything here can be measured or counted again.

A reading's group is what its key begins with, up to the first colon and with it: `node:` of `node:north:digits`. Groups
are read whole, or readings by their keys; nothing is searched for, so that a look costs what it returns.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

NOTHING: Mapping[str, int] = MappingProxyType({})


def group_of(key: str) -> str:
    group, colon, _ = key.partition(":")
    return group + colon


class FleetState(Protocol):
    """Raises UnavailableError when the server does not answer within the set timeouts."""

    def put(self, key: str, value: str, *, ttl_s: float) -> None:
        """Set a reading (JSON text) that disappears by itself."""
        ...

    def put_all(self, readings: Mapping[str, str], *, ttl_s: float) -> None:
        """As `put`, many at once."""
        ...

    def get(self, *groups: str) -> Mapping[str, str]:
        """All readings of these groups, by key and in the order of keys."""
        ...

    def find(self, keys: Sequence[str]) -> Mapping[str, str]:
        """Those of the named readings that there are."""
        ...

    def add(
        self, counter: str, amounts: Mapping[str, int], *, ttl_s: float, latest: Mapping[str, int] = NOTHING
    ) -> None:
        """Add to the named fields of a counter hash, and set those of `latest`, atomically."""
        ...

    def count(self, counters: Sequence[str], fields: Sequence[str] = ()) -> Sequence[Mapping[str, int]]:
        """The fields of each counter hash, only the named ones when some are; an unknown one is empty."""
        ...
