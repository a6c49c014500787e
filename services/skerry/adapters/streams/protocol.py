"""A queue of small entries with consumer groups (Redis Streams). Positions may be lost; entries name durable blobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    id: str
    fields: Mapping[str, str]


class Streams(Protocol):
    """Raises UnavailableError when the server does not answer within the set timeouts."""

    def append(self, stream: str, entries: Sequence[Mapping[str, str]]) -> None: ...

    def read(self, stream: str, group: str, consumer: str, *, count: int, block_s: float) -> Sequence[Entry]:
        """New entries for this consumer, or entries another consumer held idle too long. Recreates a lost group."""
        ...

    def ack(self, stream: str, group: str, ids: Sequence[str]) -> None: ...

    def epoch(self, stream: str) -> str:
        """An id of this incarnation of the stream: it changes after a flush, so that a reader knows to re-scan."""
        ...
