"""What of each node's uploads was not taken, counted for metrics and written to its EdgeNode, where people look.

Counted on the upload threads, written by one task: at most once in `WRITE_S` for a node, however much it sends. What
was not written when the process ends is lost; the node's log has it.
"""

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from skerry.adapters.objects.protocol import Objects
from skerry.adapters.telemetry import logs
from skerry.core import errors, uploads, writers
from skerry.gateway import metrics

WRITE_S = 10.0
_MAX_NODES = 10_000  # whose counts wait to be written
_MAX_WRITES = 200  # in one round
_MAX_MESSAGE_CHARS = 300

_log = logs.logger("gateway")


@dataclass(slots=True)
class _Waiting:
    counts: Counter[str] = field(default_factory=Counter)
    message: str = ""


class Refusals:
    """`tell` may be called from any thread; `clock` is wall time in Unix ms."""

    def __init__(self, objects: Objects, instruments: metrics.Instruments, clock: Callable[[], int]) -> None:
        self._objects, self._instruments, self._clock = objects, instruments, clock
        self._waiting: dict[str, _Waiting] = {}
        self._lock = threading.Lock()

    def tell(self, node: str, fault: uploads.Fault, message: str) -> None:
        """Something that the node sent was not taken, or does not count."""
        with self._lock:
            self._instruments.upload_faults.add((fault.value,))
            if node not in self._waiting and len(self._waiting) >= _MAX_NODES:
                return
            waiting = self._waiting.setdefault(node, _Waiting())
            waiting.counts[fault.value] += 1
            waiting.message = message[:_MAX_MESSAGE_CHARS]

    async def run(self) -> None:
        """Write what waits, until cancelled."""
        while True:
            await asyncio.sleep(WRITE_S)
            await asyncio.to_thread(self.write)

    def write(self) -> None:
        """Write what waits, of so many nodes: after an outage a whole fleet sends more than it may at once. What is not
        written now waits on."""
        with self._lock:
            due = [(node, self._waiting.pop(node)) for node in [*itertools.islice(self._waiting, _MAX_WRITES)]]
        for node, waiting in due:
            try:
                self._put(node, waiting)
            except errors.NotFoundError:
                continue  # nobody looks at a node that is not there
            except errors.SkerryError as exc:
                _log.debug("refusals_not_written", node=node, message=str(exc))
                self._keep(node, waiting)

    def _keep(self, node: str, waiting: _Waiting) -> None:
        with self._lock:
            newer = self._waiting.setdefault(node, _Waiting(message=waiting.message))
            newer.counts.update(waiting.counts)

    def _put(self, node: str, waiting: _Waiting) -> None:
        """Added to what stands there, of this gateway and others."""
        found = self._objects.get("EdgeNode", node)
        before = found.status.get("refusals") or {}
        counts = Counter(waiting.counts)
        for fault, count in (before.get("counts") or {}).items():
            counts[fault] += count if isinstance(count, int) else 0
        self._objects.patch(
            "EdgeNode",
            node,
            manager=writers.GATEWAY,
            status={"refusals": {"counts": dict(counts), "message": waiting.message, "atUnixMs": self._clock()}},
            resource_version=found.resource_version,
        )
