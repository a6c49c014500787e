"""Streams in memory: the twin that tests use. `flush` loses everything, as FLUSHALL does."""

import itertools
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from skerry.adapters.streams.protocol import MAX_DELIVERIES, Entry, together


@dataclass
class _Pending:
    consumer: str
    since: float
    deliveries: int = 1


@dataclass
class _Group:
    delivered: int = 0
    pending: dict[str, _Pending] = field(default_factory=dict)


@dataclass
class _Stream:
    epoch: str = field(default_factory=lambda: uuid.uuid4().hex)
    entries: dict[str, Mapping[str, str]] = field(default_factory=dict)
    groups: dict[str, _Group] = field(default_factory=dict)
    next_id: int = 1


class MemoryStreams:
    """Entries held longer than `idle_s` by a consumer go to the next entry_id that reads."""

    def __init__(self, *, idle_s: float = 30.0) -> None:
        self._streams: dict[str, _Stream] = {}
        self._idle_s = idle_s

    def append(self, stream: str, entries: Sequence[Mapping[str, str]]) -> None:
        kept = self._streams.setdefault(stream, _Stream())
        for entry in entries:
            kept.entries[str(kept.next_id)] = dict(entry)
            kept.next_id += 1

    def read(self, stream: str, group: str, consumer: str, *, count: int, block_s: float) -> Sequence[Entry]:
        kept = self._streams.setdefault(stream, _Stream())
        mine, now = kept.groups.setdefault(group, _Group()), time.monotonic()
        stale = [entry_id for entry_id, held in mine.pending.items() if now - held.since >= self._idle_s]
        for gone in [entry_id for entry_id in stale if entry_id not in kept.entries]:
            del mine.pending[gone]
        again = {entry_id: mine.pending[entry_id].deliveries + 1 for entry_id in stale if entry_id in kept.entries}
        often = [entry_id for entry_id, times in again.items() if times > MAX_DELIVERIES]
        ids = [*often, *together(again)][:count]
        unseen = (entry_id for entry_id in kept.entries if int(entry_id) > mine.delivered)
        fresh = [] if ids else list(itertools.islice(unseen, count))
        mine.delivered = max([mine.delivered, *map(int, fresh)])
        for entry_id in ids:
            mine.pending[entry_id] = _Pending(consumer, now, mine.pending[entry_id].deliveries + 1)
        for entry_id in fresh:
            mine.pending[entry_id] = _Pending(consumer, now)
        if not ids and not fresh:
            time.sleep(min(block_s, 0.001))
        return [_entry(entry_id, kept.entries, mine.pending[entry_id].deliveries) for entry_id in ids + fresh]

    def ack(self, stream: str, group: str, ids: Sequence[str]) -> None:
        kept = self._streams.get(stream)
        if kept is None or group not in kept.groups:
            return
        for entry_id in ids:
            kept.groups[group].pending.pop(entry_id, None)
            kept.entries.pop(entry_id, None)

    def epoch(self, stream: str) -> str:
        return self._streams.setdefault(stream, _Stream()).epoch

    def flush(self) -> None:
        self._streams.clear()


def _entry(entry_id: str, entries: Mapping[str, Mapping[str, str]], deliveries: int) -> Entry:
    return Entry(entry_id, entries[entry_id] if deliveries <= MAX_DELIVERIES else {}, deliveries)
