"""Live readings and counters (Redis). Anybody may lose them: everything here can be measured or counted again."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

NOTHING: Mapping[str, int] = MappingProxyType({})


class FleetState(Protocol):
    """Raises UnavailableError when the server does not answer within the set timeouts."""

    def put(self, key: str, value: str, *, ttl_s: float) -> None:
        """Set a reading (JSON text) that disappears by itself."""
        ...

    def get(self, prefix: str) -> Mapping[str, str]:
        """All readings whose key starts with `prefix`."""
        ...

    def add(
        self, counter: str, amounts: Mapping[str, int], *, ttl_s: float, latest: Mapping[str, int] = NOTHING
    ) -> None:
        """Add to the named fields of a counter hash, and set those of `latest`, atomically."""
        ...

    def count(self, counters: Sequence[str], fields: Sequence[str] = ()) -> Sequence[Mapping[str, int]]:
        """The fields of each counter hash, only the named ones when some are; an unknown one is empty."""
        ...
