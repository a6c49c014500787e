"""Tells people that two agents run under one name: a condition and an event of the EdgeNode, and a counter.

Who holds the name is decided by `core.name_claim`. A refused agent comes again and again: written is the first refusal,
and then at most one in `REMEMBER_MS`, whichever gateway it comes to.
"""

import asyncio
from collections.abc import Callable

from skerry.adapters.events import Events
from skerry.adapters.objects.protocol import Object, Objects
from skerry.adapters.telemetry import logs
from skerry.core import conditions, errors, name_claim, writers
from skerry.gateway import desired, metrics

_log = logs.logger("gateway")


class NameConflicts:
    """Lives on one event loop. `clock` is wall time in Unix ms."""

    def __init__(
        self,
        objects: Objects,
        view: desired.View,
        events: Events,
        instruments: metrics.Instruments,
        clock: Callable[[], int],
    ) -> None:
        self._objects, self._view, self._events, self._instruments = objects, view, events, instruments
        self._clock = clock
        self._writing: dict[str, asyncio.Task[None]] = {}

    def refused(self, node: str, message: str) -> None:
        """An agent of this name was just refused, since another holds it."""
        self._instruments.name_conflicts.add()
        written = self._view.written_status(node)
        if written is None or not 0 <= self._clock() - written.conflict_ms < name_claim.REMEMBER_MS:
            self._write_soon(node, conditions.TRUE, name_claim.TWO_AGENTS, message)

    def heard(self, node: str) -> None:
        """The holder of the name has reported: is a conflict over that was written down?"""
        written = self._view.written_status(node)
        if written is None or not written.conflict_ms:
            return
        if not 0 <= self._clock() - written.conflict_ms < name_claim.OVER_MS:
            minutes = name_claim.OVER_MS // 60_000
            text = f"no other agent has connected as {node} for {minutes} minutes"
            self._write_soon(node, conditions.FALSE, name_claim.ONE_AGENT, text)

    async def written(self) -> None:
        """Wait until nothing waits."""
        while self._writing:
            await asyncio.wait(self._writing.values())

    def _write_soon(self, node: str, status: str, reason: str, message: str) -> None:
        if node not in self._writing:
            self._writing[node] = asyncio.create_task(self._write(node, status, reason, message))

    async def _write(self, node: str, status: str, reason: str, message: str) -> None:
        try:
            written = await asyncio.to_thread(self._put, node, status, reason, message)
            self._view.remember_conflict(node, int(written.status.get("conflictUnixMs") or 0))
        except errors.ConflictError:
            _log.debug("name_conflict_read_again", node=node)  # the next refusal or report asks again
        except errors.SkerryError as exc:
            _log.warning("name_conflict_not_written", node=node, message=str(exc))
        finally:
            del self._writing[node]

    def _put(self, node: str, status: str, reason: str, message: str) -> Object:
        found, now_ms = self._objects.get("EdgeNode", node), self._clock()
        before = conditions.from_json(found.status.get("conditions"))
        after = conditions.put(before, name_claim.CONFLICT, status, reason, message, now_ms=now_ms)
        is_conflict = status == conditions.TRUE
        written = self._objects.patch(
            "EdgeNode",
            node,
            manager=writers.GATEWAY,
            status={"conditions": conditions.to_json(after), "conflictUnixMs": now_ms if is_conflict else None},
            resource_version=found.resource_version,
        )
        if conditions.is_true(before, name_claim.CONFLICT) != is_conflict:
            self._events.tell(written, reason, message, warning=is_conflict)
            (_log.warning if is_conflict else _log.info)("name_conflict", node=node, reason=reason, message=message)
        return written
