"""Whether a service that answers no requests still does its rounds: /healthz, /readyz and /metrics for Kubernetes.

A service is alive while it begins rounds and hears its watches. Listens on a thread of its own, so that a
round that is stuck is seen from outside. What a round does is the service's own.
"""

import asyncio
import threading
import time
from collections.abc import Callable

from skerry.adapters import http_pages, sockets
from skerry.core import addresses

ROUND_S = 120.0
"""A round that has not ended for so long does not end any more."""
SILENT_S = 600.0
"""Watches are listed again well before; beyond it something is broken that only a new process mends."""


class Heartbeat:
    """`beat()` marks the start of a round. `silent_s` says how long the quietest watch has heard nothing, `more` what
    else /metrics shows."""

    def __init__(
        self,
        service: str,
        silent_s: Callable[[], float] = lambda: 0.0,
        clock: Callable[[], float] = time.monotonic,
        more: Callable[[], bytes] = lambda: b"",
    ) -> None:
        self._service, self._silent_s, self._clock, self._more = service, silent_s, clock, more
        self._last = clock()

    def beat(self) -> None:
        self._last = self._clock()

    @property
    def is_alive(self) -> bool:
        return self._clock() - self._last < ROUND_S and self._silent_s() < SILENT_S

    def metrics(self) -> bytes:
        """The two ages in Prometheus' text format, and what else there is."""
        round_age, silent = f"skerry_{self._service}_round_age_seconds", "skerry_watch_last_event_age_seconds"
        numbers = {
            round_age: ("Since the last round of the service began.", self._clock() - self._last),
            silent: ("Since the quietest watch of the object store heard something.", self._silent_s()),
        }
        ages = "".join(
            f"# HELP {name} {text}\n# TYPE {name} gauge\n{name} {value:.3f}\n"
            for name, (text, value) in numbers.items()
        )
        return ages.encode() + self._more()

    def serve(self, address: str) -> int:
        """Listen on `host:port` until the process ends; the bound port. Raises InputError, UnavailableError."""
        listener = sockets.bind(*addresses.parse("SKERRY_HEALTH", address))
        page = http_pages.probe(lambda: self.is_alive)
        pages = {"/healthz": page, "/readyz": page, "/metrics": lambda: (200, http_pages.TEXT, self.metrics())}

        async def answer() -> None:
            await (await http_pages.serve_on(listener, pages)).serve_forever()

        threading.Thread(target=lambda: asyncio.run(answer()), name="health", daemon=True).start()
        port: int = listener.getsockname()[1]
        return port
