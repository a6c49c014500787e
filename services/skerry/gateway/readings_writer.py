"""Hands live readings and counts to Redis without ever making a node wait: only the newest of each reading, on one
thread."""

import asyncio
from collections.abc import Mapping

from skerry.adapters.fleetstate.protocol import FleetState
from skerry.adapters.telemetry import logs
from skerry.core import contract, errors
from skerry.gateway import request_counts

MAX_WAITING = 100_000
_PAUSE_S = 0.1

_log = logs.logger("gateway")


class ReadingsWriter:
    """While Redis is away the newest readings and the counts wait here, bounded; more than that is lost, as readings
    may be."""

    def __init__(self, fleetstate: FleetState) -> None:
        self._fleetstate = fleetstate
        self._waiting: dict[str, str] = {}
        self._counts: dict[str, request_counts.Totals] = {}
        self._wake = asyncio.Event()
        self._lost = False

    def offer(self, readings: Mapping[str, str]) -> None:
        for key, value in readings.items():
            if key in self._waiting or len(self._waiting) < MAX_WAITING:
                self._waiting[key] = value
        self._wake.set()

    def count(self, counter: str, more: request_counts.Totals) -> None:
        """Add to a counter of requests."""
        known = self._counts.get(counter, request_counts.Totals())
        if counter in self._counts or len(self._counts) < MAX_WAITING:
            self._counts[counter] = request_counts.Totals(known.requests + more.requests, known.bad + more.bad)
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            taken, self._waiting = self._waiting, {}
            counts, self._counts = self._counts, {}
            try:
                await asyncio.to_thread(self._put, taken, counts)
                self._lost = False
            except errors.UnavailableError as exc:
                if not self._lost:
                    _log.warning("readings_lost", message=str(exc))
                self._lost = True
                for counter, more in counts.items():  # what was not added yet
                    self.count(counter, more)
            await asyncio.sleep(_PAUSE_S)

    def _put(self, readings: Mapping[str, str], counts: dict[str, request_counts.Totals]) -> None:
        """Empties `counts` as it adds them. Raises UnavailableError."""
        for key, value in readings.items():
            self._fleetstate.put(key, value, ttl_s=contract.READING_TTL_S)
        for counter, more in tuple(counts.items()):
            amounts = {contract.ANSWERS: more.requests, contract.BAD_ANSWERS: more.bad}
            self._fleetstate.add(counter, amounts, ttl_s=contract.COUNTERS_TTL_S)
            del counts[counter]
