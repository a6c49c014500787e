"""List and watch one resource in a thread of its own, and never fall silent without noticing.

List at the newest version, then watch from it. The server ends a watch after a few minutes, bookmarks come about every
minute, and a line that stays silent longer than that is cut by us: a half-open connection costs a minute and loses
nothing. However a watch ends but by the server's own leave (a cut line, a refusal, 410, an ERROR event, a line that is
no JSON), everything is listed again: an API server that was restored from a backup no longer knows the version where we
were, and would not say so. Every ten minutes everything is listed again anyway.
"""

import json
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from skerry.adapters.kubernetes.api import Api, GoneError
from skerry.adapters.telemetry import logs
from skerry.core import backoff, errors

Manifest = Mapping[str, Any]
log = logs.logger("kubernetes")

_SHORT_S = 1.0  # a watch that ends so soon is none: without a pause it would be asked for a thousand times a second


class Sink(Protocol):
    """Who receives the objects. Called from the reflector's thread."""

    def replace(self, manifests: Sequence[Manifest], version: str, *, restored: bool) -> None:
        """Everything that existed at this resource version. `restored`: versions told before are of another history."""
        ...

    def put(self, manifest: Manifest) -> None: ...

    def remove(self, manifest: Manifest) -> None: ...


class Reflector:
    """`path` is the collection's, e.g. /apis/skerry.dev/v1alpha1/namespaces/x/edgenodes."""

    def __init__(
        self,
        api: Api,
        path: str,
        sink: Sink,
        *,
        watch_s: float = 240.0,
        silence_s: float = 75.0,
        resync_s: float = 600.0,
        backoff_s: float = 5.0,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._api, self._path, self._sink = api, path, sink
        self._watch_s, self._silence_s, self._resync_s, self._backoff_s = watch_s, silence_s, resync_s, backoff_s
        self._draw, self._version = draw, ""
        self._stopping, self._heard_s, self._failures = threading.Event(), time.monotonic(), 0
        self.is_synced = threading.Event()
        self.problem = ""
        self._thread = threading.Thread(target=self._run, name=f"watch {path.rsplit('/', 1)[-1]}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it does at the next line, when the API is closed, or at the time-out, and is a daemon
        until then."""
        self._stopping.set()

    @property
    def silent_s(self) -> float:
        """Seconds since the API server last said anything on this watch."""
        return time.monotonic() - self._heard_s

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._version = self._list()
                self._follow()
            except errors.SkerryError as exc:
                self._failed(str(exc))
            except Exception as exc:  # the thread's last line: one odd answer must not end the watch
                log.exception("watch_broken", path=self._path)
                self._failed(f"{type(exc).__name__}: {exc}")

    def relist(self) -> None:
        """Read everything now, past every cache of the API server; the watch goes on where it is. Raises
        UnavailableError."""
        self._list()

    def _list(self) -> str:
        before = int(self._version or 0)
        document = self._api.get(self._path)
        version = str(document["metadata"]["resourceVersion"])
        # A list is read past all caches, so its version is never below one that we were told before we asked.
        if restored := int(version) < before:
            log.warning("objects_restored", path=self._path, version=version, before=before)
        self._sink.replace(document.get("items", []), version, restored=restored)
        self._heard()
        self.is_synced.set()
        return version

    def _follow(self) -> None:
        """Watch after watch, until it is time to list again."""
        end_s = time.monotonic() + self._resync_s * (0.9 + 0.2 * self._draw())
        while not self._stopping.is_set() and time.monotonic() < end_s:
            began_s = time.monotonic()
            self._watch()
            if time.monotonic() - began_s < _SHORT_S:
                self._pause()

    def _watch(self) -> None:
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(max(1, int(self._watch_s * (1 + 0.25 * self._draw())))),
        }
        for line in self._api.lines(self._path, query, silence_s=self._silence_s):
            self._take(line)
            self._heard()
            self._failures = 0
            if self._stopping.is_set():
                break

    def _take(self, line: str) -> None:
        try:
            event = json.loads(line)
            kind, manifest = event["type"], event["object"]
            if kind != "ERROR":
                self._version = str(manifest["metadata"]["resourceVersion"])
        except (ValueError, KeyError, TypeError) as exc:
            # Part of an event is lost with the line: only a list tells what it was.
            raise GoneError(f"{self._path}: a line of the watch cannot be read: {line[:80]!r}") from exc
        if kind == "ERROR":
            if manifest.get("code") != 410:
                log.warning("watch_error", path=self._path, message=str(manifest.get("message", manifest))[:300])
            raise GoneError(f"{self._path}: {manifest.get('message', 'ERROR event')}")
        if kind == "DELETED":
            self._sink.remove(manifest)
        elif kind in ("ADDED", "MODIFIED"):
            self._sink.put(manifest)

    def _heard(self) -> None:
        self._heard_s = time.monotonic()
        if self.problem:
            log.info("watch_restored", path=self._path)
        self.problem = ""

    def _failed(self, problem: str) -> None:
        if self._stopping.is_set():
            return
        if not self.problem:
            log.warning("watch_lost", path=self._path, message=problem)
        self.problem = problem
        self._failures += 1
        self._pause()

    def _pause(self) -> None:
        """0.2 s at first, doubling up to `backoff_s`; jittered, so that a fleet of watchers does not come at once."""
        delay_s = backoff.delay_s(max(0, self._failures - 1), base_s=0.2, cap_s=self._backoff_s, u=self._draw())
        self._stopping.wait(delay_s)
