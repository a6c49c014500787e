"""A queue of small entries with consumer groups (Redis Streams). Positions may be lost; entries name durable blobs."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

MAX_DELIVERIES = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """`deliveries`: how often it was handed out, this time included. Beyond MAX_DELIVERIES its `fields` are not read
    any more, and empty: whoever read them never came to acknowledge it. Bytes that are no UTF-8 are replaced by U+FFFD.
    """

    id: str
    fields: Mapping[str, str]
    deliveries: int = 1


def together(deliveries: Mapping[str, int]) -> Sequence[str]:
    """Which of the entries that come again are handed out now, by how often each was: those that come the second time
    together, one that comes more often alone, so that it takes no other along."""
    second = [entry_id for entry_id, times in deliveries.items() if times <= 2]
    later = (entry_id for entry_id, times in deliveries.items() if 2 < times <= MAX_DELIVERIES)
    return second or list(itertools.islice(later, 1))


class Streams(Protocol):
    """Raises UnavailableError when the server does not answer within the set timeouts."""

    def append(self, stream: str, entries: Sequence[Mapping[str, str]]) -> None: ...

    def read(self, stream: str, group: str, consumer: str, *, count: int, block_s: float) -> Sequence[Entry]:
        """New entries for this consumer, or entries another consumer held idle too long. Recreates a lost group."""
        ...

    def ack(self, stream: str, group: str, ids: Sequence[str]) -> None: ...

    def epoch(self, stream: str) -> str:
        """An id of this incarnation of the stream: it changes after a flush and with the server's process, for both may
        have lost entries, so that a reader knows to re-scan."""
        ...
