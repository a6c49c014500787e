"""Streams on Redis Streams: consumer groups, reclaiming of what a dead consumer held, groups made again after a flush.

An acknowledged entry is deleted: the stream holds what is still to be done, and what is done is a blob.
"""

import functools
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import redis

from skerry.adapters import redis_link
from skerry.adapters.streams.protocol import MAX_DELIVERIES, Entry, together
from skerry.core import errors

_MAX_BLOCK_S = redis_link.ANSWER_S / 2  # a blocking read must end before the socket's own time-out


class RedisStreams:
    """Entries held longer than `idle_s` by a consumer go to the next one that reads."""

    def __init__(self, url: str, *, idle_s: float = 30.0) -> None:
        self._redis: Any = redis_link.connect(url)
        self._idle_ms = int(idle_s * 1000)

    def append(self, stream: str, entries: Sequence[Mapping[str, str]]) -> None:
        if not entries:
            return
        with redis_link.our_errors(self._redis), self._redis.pipeline(transaction=False) as pipe:
            for entry in entries:
                pipe.xadd(stream, dict(entry))
            pipe.execute()

    def read(self, stream: str, group: str, consumer: str, *, count: int, block_s: float) -> Sequence[Entry]:
        with redis_link.our_errors(self._redis):
            try:
                claimed = self._claim(stream, group, consumer, count)
                return claimed or self._fresh(stream, group, consumer, count, block_s)
            except redis.ResponseError as exc:
                if "NOGROUP" not in str(exc) and "no such key" not in str(exc).lower():
                    raise
                self._make_group(stream, group)
                return self._fresh(stream, group, consumer, count, 0.0)

    def _claim(self, stream: str, group: str, consumer: str, count: int) -> list[Entry]:
        """What others held too long. Of what was handed out too often only the id is asked for: its content may be what
        its readers died of. Entries that were trimmed away meanwhile are forgotten by the server."""
        idle = self._redis.xpending_range(stream, group, min="-", max="+", count=count, idle=self._idle_ms)
        times = {_text(held["message_id"]): int(held["times_delivered"]) + 1 for held in idle}
        claim = functools.partial(self._redis.xclaim, stream, group, consumer, self._idle_ms)
        often = [entry_id for entry_id in times if times[entry_id] > MAX_DELIVERIES]
        seldom = together(times)
        unread = map(_text, claim(often, justid=True)) if often else ()
        held = claim(seldom) if seldom else ()
        read = [_entry(entry_id, fields, times[_text(entry_id)]) for entry_id, fields in held if fields]
        return [*(Entry(entry_id, {}, times[entry_id]) for entry_id in unread), *read]

    def _fresh(self, stream: str, group: str, consumer: str, count: int, block_s: float) -> list[Entry]:
        block_ms = int(min(block_s, _MAX_BLOCK_S) * 1000) or None
        reply = self._redis.xreadgroup(group, consumer, {stream: ">"}, count=count, block=block_ms)
        if not reply:
            return []
        ((_, entries),) = reply.items() if isinstance(reply, dict) else reply
        if entries and isinstance(entries[0], list) and entries[0] and isinstance(entries[0][0], tuple | list):
            entries = entries[0]  # RESP3 wraps the entries of a stream once more
        return [_entry(entry_id, fields) for entry_id, fields in entries]

    def _make_group(self, stream: str, group: str) -> None:
        try:
            self._redis.xgroup_create(stream, group, id="0", mkstream=True)
        except redis.ResponseError as exc:
            if "BUSYGROUP" not in str(exc):
                raise

    def ack(self, stream: str, group: str, ids: Sequence[str]) -> None:
        if not ids:
            return
        with redis_link.our_errors(self._redis), self._redis.pipeline(transaction=False) as pipe:
            pipe.xack(stream, group, *ids)
            pipe.xdel(stream, *ids)
            pipe.execute()

    def epoch(self, stream: str) -> str:
        """Another process of the server, or its replica, may lack what was appended last, though it kept the rest."""
        key = f"{stream}:epoch"
        with redis_link.our_errors(self._redis):
            self._redis.set(key, uuid.uuid4().hex, nx=True)
            value = self._redis.get(key)
        if value is None:
            raise errors.UnavailableError(f"Redis lost the epoch of {stream} while it was read")
        return f"{_text(value)} {self._process()}"

    def _process(self) -> str:
        """Which process answers; empty where the server does not tell."""
        with redis_link.our_errors(self._redis):
            try:
                return str(self._redis.info("server").get("run_id", ""))
            except redis.ResponseError:
                return ""  # managed servers may forbid INFO


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _entry(entry_id: bytes | str, fields: Mapping[bytes, bytes], deliveries: int = 1) -> Entry:
    return Entry(_text(entry_id), {_text(key): _text(value) for key, value in fields.items()}, deliveries)
