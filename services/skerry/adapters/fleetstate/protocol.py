"""Live readings and counters (Redis). Anybody may lose them: everything here can be measured or counted again."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class FleetState(Protocol):
    """Raises UnavailableError when the server does not answer within the set timeouts."""

    def put(self, key: str, value: str, *, ttl_s: float) -> None:
        """Set a reading (JSON text) that disappears by itself."""
        ...

    def get(self, prefix: str) -> Mapping[str, str]:
        """All readings whose key starts with `prefix`."""
        ...

    def add(self, counter: str, amounts: Mapping[str, int], *, ttl_s: float) -> None:
        """Add to the named fields of a counter hash, atomically."""
        ...

    def count(self, counters: Sequence[str]) -> Sequence[Mapping[str, int]]:
        """The fields of each counter hash; an unknown one is empty."""
        ...
