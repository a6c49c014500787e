"""Writes what nodes say into EdgeNode.status: only what is new, and every `heartbeat_s` seconds that a node was seen.

Of each node one write at a time, and then its newest word; of all nodes few at once, for the threads would only wait
for one another's lock. A node that says more than can be written is never held back: words in between are lost.

A goodbye is written only where the object still says what this gateway wrote last, and only if nobody writes it
meanwhile: a node that has said hello to another gateway stays connected, whatever the clocks of the two say.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from skerry.adapters.objects.protocol import Object, Objects
from skerry.adapters.telemetry import logs
from skerry.core import errors, writers
from skerry.core.liveness import HEARTBEAT_S
from skerry.gateway import desired, metrics

_MAX_WRITERS = 4
_GOODBYE_TRIES = 5  # each after somebody else wrote the object meanwhile

_log = logs.logger("gateway")


class StatusSource(Protocol):
    """Who says something of a node: one of its streams."""

    node: str
    boot_id: str  # of the process that reports
    written_unix_ms: int  # when its word was written last; 0: never
    has_failed: bool  # the last write failed, which was logged


@dataclass(frozen=True, slots=True)
class _Word:
    """What a node says; `said` is its fingerprint."""

    status: Mapping[str, Any]
    said: bytes

    @classmethod
    def of(cls, status: Mapping[str, Any]) -> "_Word":
        return cls(status, desired.fingerprint(status))


_DISCONNECTED = _Word.of({"connected": False, "earlierBootIds": None})


class StatusWriter:
    """Lives on one event loop. `enrols`: a node that nobody knows gets its object by the first word."""

    def __init__(
        self,
        objects: Objects,
        view: desired.View,
        instruments: metrics.Instruments,
        *,
        enrols: bool,
        heartbeat_s: int = HEARTBEAT_S,
    ) -> None:
        self._objects, self._view, self._instruments, self._enrols = objects, view, instruments, enrols
        self._mark_ms = 1000 * heartbeat_s
        self._marks = {} if heartbeat_s == HEARTBEAT_S else {"markSeconds": heartbeat_s}
        self._last_words: dict[str, int] = {}  # the `lastSeenUnixMs` that was written last of a node with a stream here
        self._waiting: dict[str, tuple[StatusSource, _Word]] = {}
        self._writing: dict[str, asyncio.Task[None]] = {}
        self._writers = asyncio.Semaphore(_MAX_WRITERS)

    async def written(self) -> None:
        """Wait until nothing waits."""
        while self._writing:
            await asyncio.wait(self._writing.values())

    def tell(self, source: StatusSource, status: Mapping[str, Any], now_unix_ms: int) -> None:
        """What the node's report says, as of now. Trouble is logged once, and tried again with the next report."""
        word = _Word.of({**status, **self._marks, "lastSeenUnixMs": now_unix_ms})
        if source.node in self._writing or not self._is_known(source, word):
            self._put_soon(source, word)

    def write_disconnected(self, source: StatusSource) -> None:
        """That the node has no stream here any more."""
        self._put_soon(source, _DISCONNECTED)

    def _is_known(self, source: StatusSource, word: _Word) -> bool:
        known = self._view.written_status(source.node)
        is_fresh = word.status["lastSeenUnixMs"] - source.written_unix_ms < self._mark_ms
        return is_fresh and known is not None and known.fingerprint == word.said

    def _put_soon(self, source: StatusSource, word: _Word) -> None:
        node = source.node
        self._waiting[node] = (source, word)
        if node not in self._writing:
            self._writing[node] = asyncio.create_task(self._write(node))

    async def _write(self, node: str) -> None:
        """Until nothing of this node waits."""
        try:
            while node in self._waiting:
                async with self._writers:
                    source, word = self._waiting.pop(node)
                    try:
                        if word is _DISCONNECTED:
                            await self._put_disconnected(source)
                        else:
                            await self._put_status(source, word)
                    except errors.SkerryError as exc:
                        if not source.has_failed:
                            _log.error("status_not_written", node=node, message=str(exc))
                        source.has_failed = True
        finally:
            del self._writing[node]

    async def _put_status(self, source: StatusSource, word: _Word) -> None:
        if self._is_known(source, word):
            return
        node, status = source.node, dict(word.status)
        written = await asyncio.to_thread(self._put, node, status, self._view.written_status(node) is None)
        source.written_unix_ms, source.has_failed = status["lastSeenUnixMs"], False
        self._last_words[node] = source.written_unix_ms
        self._view.remember_status(node, status, said=word.said, written=written)
        self._instruments.status_writes.add()

    async def _put_disconnected(self, source: StatusSource) -> None:
        written_ms = self._last_words.pop(source.node, None)
        if written_ms is not None:  # else nothing was written that a goodbye would end
            await asyncio.to_thread(self._put_goodbye, source.node, source.boot_id, written_ms)

    def _put_goodbye(self, node: str, boot_id: str, written_ms: int) -> None:
        for _ in range(_GOODBYE_TRIES):
            try:
                thing = self._objects.get("EdgeNode", node)
            except errors.NotFoundError:
                return  # somebody deleted it
            if (thing.status.get("lastSeenUnixMs"), thing.status.get("bootId")) != (written_ms, boot_id):
                return  # another gateway, or another process of this name, has said hello since
            with contextlib.suppress(errors.ConflictError):
                status = dict(_DISCONNECTED.status)
                version = thing.resource_version
                self._objects.patch("EdgeNode", node, manager=writers.GATEWAY, status=status, resource_version=version)
                return
        raise errors.ConflictError(
            f"EdgeNode {node} is not written as disconnected: others changed it {_GOODBYE_TRIES} times meanwhile"
        )

    def _put(self, node: str, status: dict[str, Any], create: bool) -> Object | None:
        """The object as it is then; None when there is none of that name, and none may be made."""
        if create and self._enrols:
            with contextlib.suppress(errors.ConflictError):
                spec = {"labels": {}, "cordoned": False, "assignments": []}
                self._objects.create("EdgeNode", node, spec, manager=writers.GATEWAY)
                _log.info("node_enrolled", node=node)
        try:
            return self._objects.patch("EdgeNode", node, manager=writers.GATEWAY, status=status)
        except errors.NotFoundError:
            if not self._enrols:
                return None  # somebody deleted it: only enrolment makes it again
            if create:
                raise
            return self._put(node, status, True)  # somebody deleted it; the node is there all the same
