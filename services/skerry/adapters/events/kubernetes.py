"""Events of the core API, sent by a thread of their own: a slow API server holds up no decision.

What waits is bounded, the oldest is dropped first; an event that is refused is logged once and not sent again.
"""

import queue
import threading
import uuid
from datetime import UTC, datetime

from skerry.adapters.kubernetes.api import Api, Json
from skerry.adapters.objects import resources
from skerry.adapters.objects.protocol import Object
from skerry.adapters.telemetry import logs
from skerry.core import errors

log = logs.logger("events")

_MAX_WAITING = 500
_MAX_MESSAGE = 1024  # the API server's own bound
_MAX_REASON = 128


class KubernetesEvents:
    """`component`: who says so, as `kubectl describe` shows it."""

    def __init__(self, api: Api, component: str) -> None:
        self._api, self._component = api, component
        self._waiting: queue.Queue[Json] = queue.Queue(_MAX_WAITING)
        self._refused = ""
        threading.Thread(target=self._run, name="events", daemon=True).start()

    def tell(self, thing: Object, reason: str, message: str, *, warning: bool = False) -> None:
        made = self._made(thing, reason, message, warning)
        while True:
            try:
                return self._waiting.put_nowait(made)
            except queue.Full:
                self._drop_oldest()

    def _drop_oldest(self) -> None:
        try:
            self._waiting.get_nowait()
        except queue.Empty:
            return

    def _run(self) -> None:
        path = f"/api/v1/namespaces/{self._api.namespace}/events"
        while True:
            try:
                self._api.create(path, self._waiting.get())
                self._refused = ""
            except errors.SkerryError as exc:
                if not self._refused:
                    log.warning("events_refused", message=str(exc))
                self._refused = str(exc)

    def _made(self, thing: Object, reason: str, message: str, warning: bool) -> Json:
        now = datetime.now(UTC)
        second = now.isoformat(timespec="seconds").replace("+00:00", "Z")
        about = {
            "apiVersion": f"{resources.GROUP}/{resources.VERSION}",
            "kind": thing.kind,
            "name": thing.name,
            "namespace": self._api.namespace,
            "uid": thing.uid,
            "resourceVersion": str(thing.resource_version),
        }
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{thing.name}.{uuid.uuid4().hex[:16]}"},
            "involvedObject": about,
            "reason": reason[:_MAX_REASON],
            "message": message[:_MAX_MESSAGE],
            "type": "Warning" if warning else "Normal",
            "source": {"component": self._component},
            "firstTimestamp": second,
            "lastTimestamp": second,
            "count": 1,
        }
