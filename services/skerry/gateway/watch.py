"""One thread that follows the custom resources and hands on what changed."""

import threading
import time
from collections.abc import Callable, Sequence

from skerry.adapters.objects.protocol import Change, Objects
from skerry.adapters.telemetry import logs
from skerry.core import errors

_WAIT_S = 1.0
_RETRY_S = 1.0

_log = logs.logger("gateway")


class Watch:
    """`deliver(changes, revision)` is called from `start`, and then from the thread."""

    def __init__(
        self, objects: Objects, kinds: Sequence[str], deliver: Callable[[Sequence[Change], int], None]
    ) -> None:
        self._objects, self._kinds, self._deliver = objects, kinds, deliver
        self._revision = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._answered_at_s = time.monotonic()

    @property
    def silent_s(self) -> float:
        """Seconds since the object store answered last."""
        return time.monotonic() - self._answered_at_s

    def start(self) -> None:
        """Read what there is, then follow it. Raises UnavailableError when the store does not answer at all."""
        self._step(0.0)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        lost = False
        while not self._stopping.is_set():
            try:
                self._step(_WAIT_S)
                lost = False
            except errors.SkerryError as exc:
                if not lost:
                    _log.error("objects_lost", message=str(exc))
                lost = True
                self._stopping.wait(_RETRY_S)
            except Exception:  # noqa: BLE001  # the thread's last line: one odd object must not end the watch
                _log.exception("watch_failed")
                self._stopping.wait(_RETRY_S)

    def _step(self, timeout_s: float) -> None:
        changes, revision = self._objects.changes(self._revision, timeout_s=timeout_s, kinds=self._kinds)
        self._answered_at_s = time.monotonic()
        if revision != self._revision:
            self._deliver(changes, revision)
            self._revision = revision
