"""Queues of small entries: opening them by URL."""

from skerry.adapters.streams.protocol import MAX_DELIVERIES, Entry, Streams

__all__ = ["MAX_DELIVERIES", "Entry", "Streams", "open_streams"]


def open_streams(url: str, *, idle_s: float = 30.0) -> Streams:
    """`redis://…`, `rediss://…` or `unix:///path`. Entries held for `idle_s` by a silent consumer go to another."""
    from skerry.adapters.streams.redis import RedisStreams

    return RedisStreams(url, idle_s=idle_s)
