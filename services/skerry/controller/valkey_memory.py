"""How much of its memory Valkey uses, asked now and then by a thread of its own: a server that does not answer holds up
neither a tick nor a scrape.
"""

import threading
import time
from typing import Any

from skerry.adapters import redis_link
from skerry.adapters.telemetry.metrics import Labels
from skerry.core import errors

_EVERY_S = 15.0
_FRESH_S = 60.0  # what it said longer ago is shown no more


class ValkeyMemory:
    """`url` is SKERRY_REDIS_URL. Raises InputError when it is none."""

    def __init__(self, url: str) -> None:
        self._client: Any = redis_link.connect(url)
        self._said: tuple[float, int, int] | None = None  # when, used, limit

    def follow(self) -> None:
        """Until the process ends."""
        threading.Thread(target=self._run, name="valkey-memory", daemon=True).start()

    def look(self) -> None:
        """Ask once. What cannot be had is shown no more."""
        try:
            used, limit = redis_link.memory(self._client)
        except errors.UnavailableError:
            return
        self._said = time.monotonic(), used, limit

    def used(self) -> dict[Labels, float]:
        said = self._fresh()
        return {(): float(said[1])} if said else {}

    def limit(self) -> dict[Labels, float]:
        said = self._fresh()
        return {(): float(said[2])} if said and said[2] else {}

    def _fresh(self) -> tuple[float, int, int] | None:
        said = self._said
        return said if said and time.monotonic() - said[0] < _FRESH_S else None

    def _run(self) -> None:
        while True:
            self.look()
            time.sleep(_EVERY_S)
