"""One watcher for all open pages: it follows the objects and tells every page, at most twice a second, that something
changed. What changed is not sent; a page asks for its sections again.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator

from skerry.adapters.objects import Objects
from skerry.adapters.telemetry import logs
from skerry.core import errors
from skerry.dashboard import queries

log = logs.logger("dashboard")

LEAST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0  # ages and readings move on although no object changes
_WATCH_S = 1.0
_RETRY_S = 2.0


class Feed:
    """`events()` yields Server-Sent Events; `full` says whether no further page may follow."""

    def __init__(self, store: Objects, max_streams: int) -> None:
        self._store, self._max_streams = store, max_streams
        self._streams, self._version = 0, 0
        self._changed = asyncio.Condition()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def full(self) -> bool:
        return self._streams >= self._max_streams

    def start(self) -> None:
        """Begin to watch, in a thread of its own (the object store blocks)."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._watch, args=(loop,), daemon=True, name="watch")
        self._thread.start()

    async def stop(self) -> None:
        """End the watch and every stream."""
        self._stop.set()
        async with self._changed:
            self._changed.notify_all()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        version = 0
        while not self._stop.is_set():
            try:
                _, newer = self._store.changes(version, timeout_s=_WATCH_S, kinds=queries.KINDS)
            except errors.SkerryError as exc:
                log.warning("watch_failed", error=str(exc))
                self._stop.wait(_RETRY_S)
                continue
            if newer != version:
                version = newer
                asyncio.run_coroutine_threadsafe(self._tell(version), loop)

    async def _tell(self, version: int) -> None:
        self._version = version
        async with self._changed:
            self._changed.notify_all()

    async def events(self) -> AsyncIterator[bytes]:
        """`id` is the resource version; event `change` means: ask again."""
        self._streams += 1
        try:
            yield b"retry: 2000\n\n"
            told = self._version
            while not self._stop.is_set():
                began = time.monotonic()
                await self._wait(told)
                told = self._version
                yield b"id: %d\nevent: change\ndata: %d\n\n" % (told, told)
                await asyncio.sleep(max(0.0, LEAST_PAUSE_S - (time.monotonic() - began)))
        finally:
            self._streams -= 1

    async def _wait(self, told: int) -> None:
        """Until the version is another one, or it is time to look anyway, or the dashboard ends."""
        try:
            async with asyncio.timeout(LONGEST_PAUSE_S), self._changed:
                await self._changed.wait_for(lambda: self._version != told or self._stop.is_set())
        except TimeoutError:
            return
