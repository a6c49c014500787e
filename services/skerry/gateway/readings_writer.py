"""Hands live readings and counts to Redis without ever making a node wait: only the newest of each reading, on one
thread."""

import asyncio
from collections.abc import Iterable, Mapping

from skerry.adapters.fleetstate.protocol import FleetState
from skerry.adapters.telemetry import logs
from skerry.core import contract, errors
from skerry.core.evidence_counters import Counter
from skerry.gateway import request_counts

MAX_WAITING = 100_000
_PAUSE_S = 0.1

_Counts = dict[Counter, dict[str, request_counts.Totals]]  # by counter and node

_log = logs.logger("gateway")


class ReadingsWriter:
    """While Redis is away the newest readings and the counts wait here, bounded; more than that is lost, as readings
    may be."""

    def __init__(self, fleetstate: FleetState) -> None:
        self._fleetstate = fleetstate
        self._waiting: dict[str, str] = {}
        self._counts: _Counts = {}
        self._counted = 0  # nodes, over all counters
        self._wake = asyncio.Event()
        self._lost = False

    def offer(self, readings: Mapping[str, str]) -> None:
        for key, value in readings.items():
            if key in self._waiting or len(self._waiting) < MAX_WAITING:
                self._waiting[key] = value
        self._wake.set()

    def count(self, node: str, counters: Iterable[Counter], more: request_counts.Totals) -> None:
        """Add what the node met to counters of requests."""
        for counter in counters:
            totals = self._counts.setdefault(counter, {})
            known = totals.get(node)
            if known is None and self._counted >= MAX_WAITING:
                continue
            self._counted += known is None
            known = known or request_counts.Totals()
            totals[node] = request_counts.Totals(known.requests + more.requests, known.bad + more.bad)
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            taken, self._waiting = self._waiting, {}
            counts, self._counts, self._counted = self._counts, {}, 0
            try:
                await asyncio.to_thread(self._put, taken, counts)
                self._lost = False
            except errors.UnavailableError as exc:
                if not self._lost:
                    _log.warning("readings_lost", message=str(exc))
                self._lost = True
                for counter, totals in counts.items():  # what was not added yet
                    for node, more in totals.items():
                        self.count(node, [counter], more)
            await asyncio.sleep(_PAUSE_S)

    def _put(self, readings: Mapping[str, str], counts: _Counts) -> None:
        """Empties `counts` as it adds them. Raises UnavailableError."""
        if readings:
            self._fleetstate.put_all(readings, ttl_s=contract.READING_TTL_S)
        for counter, totals in tuple(counts.items()):
            amounts = {node: more.requests for node, more in totals.items()}
            bad = {contract.bad_field(node): more.bad for node, more in totals.items() if more.bad}
            self._fleetstate.add(counter.key, amounts | bad, ttl_s=counter.lifetime_ms / 1000)
            del counts[counter]
