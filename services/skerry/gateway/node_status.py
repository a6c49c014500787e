"""Writes what nodes say into EdgeNode.status: only what is new, and every `heartbeat_s` seconds that a node was seen.

Of each node one write at a time, and then its newest word; of all nodes few at once, for the threads would only wait
for one another's lock. A node that says more than can be written is never held back: words in between are lost.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Protocol

from skerry.adapters.objects.protocol import Objects
from skerry.adapters.telemetry import logs
from skerry.core import errors, writers
from skerry.core.liveness import HEARTBEAT_S
from skerry.gateway import desired, metrics

_MAX_WRITERS = 4
_GONE: Mapping[str, Any] = {"connected": False}

_log = logs.logger("gateway")


class Speaker(Protocol):
    """Who says something of a node: one of its streams."""

    node: str
    written_unix_ms: int  # when its word was written last; 0: never
    status_lost: bool  # the last write failed, which was told


class Statuses:
    """Lives on one event loop. `enrols`: a node that nobody knows gets its object by the first word."""

    def __init__(
        self,
        objects: Objects,
        view: desired.View,
        numbers: metrics.Numbers,
        *,
        enrols: bool,
        heartbeat_s: int = HEARTBEAT_S,
    ) -> None:
        self._objects, self._view, self._numbers, self._enrols = objects, view, numbers, enrols
        self._mark_ms = 1000 * heartbeat_s
        self._marks = {} if heartbeat_s == HEARTBEAT_S else {"markSeconds": heartbeat_s}
        self._waiting: dict[str, tuple[Speaker, Mapping[str, Any]]] = {}
        self._writing: dict[str, asyncio.Task[None]] = {}
        self._writers = asyncio.Semaphore(_MAX_WRITERS)

    async def written(self) -> None:
        """Wait until nothing waits."""
        while self._writing:
            await asyncio.wait(self._writing.values())

    def tell(self, speaker: Speaker, status: Mapping[str, Any], now_unix_ms: int) -> None:
        """What the node's report says, as of now. Trouble is logged once, and tried again with the next report."""
        word = {**status, **self._marks, "lastSeenUnixMs": now_unix_ms}
        if speaker.node in self._writing or not self._is_known(speaker, word):
            self._put_soon(speaker, word)

    def tell_gone(self, speaker: Speaker) -> None:
        """That the node has no stream here any more."""
        self._put_soon(speaker, _GONE)

    def _is_known(self, speaker: Speaker, word: Mapping[str, Any]) -> bool:
        known = self._view.noted(speaker.node)
        is_fresh = word["lastSeenUnixMs"] - speaker.written_unix_ms < self._mark_ms
        return is_fresh and known is not None and known.fingerprint == desired.fingerprint(word)

    def _put_soon(self, speaker: Speaker, word: Mapping[str, Any]) -> None:
        node = speaker.node
        self._waiting[node] = (speaker, word)
        if node not in self._writing:
            self._writing[node] = asyncio.create_task(self._write(node))

    async def _write(self, node: str) -> None:
        """Until nothing of this node waits."""
        try:
            while node in self._waiting:
                async with self._writers:
                    speaker, word = self._waiting.pop(node)
                    try:
                        await (self._write_gone(speaker) if word is _GONE else self._write_word(speaker, word))
                    except errors.SkerryError as exc:
                        if not speaker.status_lost:
                            _log.error("status_not_written", node=node, message=str(exc))
                        speaker.status_lost = True
        finally:
            del self._writing[node]

    async def _write_word(self, speaker: Speaker, word: Mapping[str, Any]) -> None:
        if self._is_known(speaker, word):
            return
        node = speaker.node
        await asyncio.to_thread(self._put, node, dict(word), self._view.noted(node) is None)
        speaker.written_unix_ms, speaker.status_lost = word["lastSeenUnixMs"], False
        self._view.note(node, word)
        self._numbers.status_writes.inc()

    async def _write_gone(self, speaker: Speaker) -> None:
        known = self._view.noted(speaker.node)
        if known is not None and known.last_seen_ms > speaker.written_unix_ms > 0:
            return  # another gateway has heard of it since
        await asyncio.to_thread(self._put, speaker.node, dict(_GONE), False)

    def _put(self, node: str, status: dict[str, Any], create: bool) -> None:
        if create and self._enrols:
            with contextlib.suppress(errors.ConflictError):
                spec = {"labels": {}, "cordoned": False, "assignments": []}
                self._objects.create("EdgeNode", node, spec, manager=writers.GATEWAY)
                _log.info("node_enrolled", node=node)
        try:
            self._objects.patch("EdgeNode", node, manager=writers.GATEWAY, status=status)
        except errors.NotFoundError:
            if not self._enrols:
                return  # somebody deleted it: only enrolment makes it again
            if create:
                raise
            self._put(node, status, True)  # somebody deleted it; the node is there all the same
