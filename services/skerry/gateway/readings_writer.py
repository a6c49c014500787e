"""Hands live readings to Redis without ever making a node wait: only the newest of each key, on one thread."""

import asyncio
from collections.abc import Mapping

from skerry.adapters.fleetstate.protocol import FleetState
from skerry.adapters.telemetry import logs
from skerry.core import contract, errors

MAX_WAITING = 100_000
_PAUSE_S = 0.1

_log = logs.logger("gateway")


class ReadingsWriter:
    """While Redis is away the newest readings wait here, bounded; older ones are lost, as readings may be."""

    def __init__(self, fleetstate: FleetState) -> None:
        self._fleetstate = fleetstate
        self._waiting: dict[str, str] = {}
        self._wake = asyncio.Event()
        self._lost = False

    def offer(self, readings: Mapping[str, str]) -> None:
        for key, value in readings.items():
            if key in self._waiting or len(self._waiting) < MAX_WAITING:
                self._waiting[key] = value
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            taken, self._waiting = self._waiting, {}
            try:
                await asyncio.to_thread(self._put, taken)
                self._lost = False
            except errors.UnavailableError as exc:
                if not self._lost:
                    _log.warning("readings_lost", message=str(exc))
                self._lost = True
            await asyncio.sleep(_PAUSE_S)

    def _put(self, readings: Mapping[str, str]) -> None:
        for key, value in readings.items():
            self._fleetstate.put(key, value, ttl_s=contract.READING_TTL_S)
