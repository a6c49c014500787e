"""Tells the gateway how this node is, at every beat and at once when something changed, and receives what it shall be.

The stream is opened again, with jitter, whenever it breaks: the first report is whole and the answer is the whole
desired state, so nothing is lost by a break. Without a gateway the node goes on as it is, for as long as it takes.
While another process holds this node's name (a cloned disk), it asks less and less often, and serves on.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from skerry.adapters.telemetry import logs
from skerry.agent.update import awake_clock
from skerry.core import backoff, errors
from skerry.proto import fleet_pb2

log = logs.logger("agent.sync")
_COALESCE_S = 0.02  # changes that come together go in one report
_LAST_WORD_S = 1.0  # in which the reason comes for which a stream takes no more reports


class Stream(Protocol):
    """Raises UnavailableError when it is over, InputError when the gateway refuses a report, ConflictError when another
    process holds this node's name."""

    async def send(self, report: fleet_pb2.NodeReport) -> None: ...

    async def receive(self) -> fleet_pb2.DesiredState: ...


class SyncLoop:
    """`report(now_s)` makes the next report (monotonic time), `apply` acts on a desired state, `changed` is set when
    there is news, `connected` is called when the gateway is heard again. `draw()` gives uniform numbers for jitter."""

    def __init__(
        self,
        connect: Callable[[], contextlib.AbstractAsyncContextManager[Stream]],
        report: Callable[[float], fleet_pb2.NodeReport],
        apply: Callable[[fleet_pb2.DesiredState], Awaitable[None]],
        changed: asyncio.Event,
        draw: Callable[[], float],
        *,
        connected: Callable[[], None] = lambda: None,
        beat_s: float = 1.0,
        base_s: float = 0.2,
        cap_s: float = 10.0,
        conflict_base_s: float = 5.0,
        conflict_cap_s: float = 300.0,
    ) -> None:
        self.is_connected = False
        self._connect, self._report, self._apply, self._changed, self._draw = connect, report, apply, changed, draw
        self._connected, self._beat_s, self._base_s, self._cap_s = connected, beat_s, base_s, cap_s
        self._conflict_base_s, self._conflict_cap_s = conflict_base_s, conflict_cap_s
        self._failures = 0
        self._conflicts_in_a_row = self._conflicts = 0

    @property
    def has_name_conflict(self) -> bool:
        """Another process held this node's name when it was asked for last."""
        return self._conflicts_in_a_row > 0

    async def run(self) -> None:
        """Keep a stream open until cancelled."""
        while True:
            begun_s = asyncio.get_running_loop().time()
            try:
                async with self._connect() as stream:
                    await self._both_ways(stream)
            except errors.ConflictError as exc:
                self.is_connected = False
                await self._leave_name(exc)
                continue
            except (errors.UnavailableError, errors.InputError) as exc:
                if self.is_connected or self._failures == 0:
                    log.warning("gateway_lost", message=str(exc))
            was_connected, self.is_connected = self.is_connected, False
            spent_s = 0.0 if was_connected else asyncio.get_running_loop().time() - begun_s
            await self._rest(self._pause_s(spent_s))
            self._failures += 1

    def _pause_s(self, spent_s: float) -> float:
        """Before the next attempt. What a failed one took counts: who waited ten seconds for an answer waits no more,
        but for the shortest pause, so that the time to return after a cut does not add up."""
        u = self._draw()
        delay_s = backoff.delay_s(self._failures, base_s=self._base_s, cap_s=self._cap_s, u=u) - spent_s
        return max(delay_s, backoff.delay_s(0, base_s=self._base_s, cap_s=self._cap_s, u=u))

    async def _leave_name(self, exc: errors.ConflictError) -> None:
        """Wait, longer each time: to ask again at once would only disturb the one that holds it."""
        if not self.has_name_conflict:
            log.error("name_conflict", message=f"{exc}; this one serves on and asks again less and less often")
        base_s, cap_s = self._conflict_base_s, self._conflict_cap_s
        delay_s = backoff.delay_s(self._conflicts_in_a_row, base_s=base_s, cap_s=cap_s, u=self._draw())
        self._conflicts_in_a_row, self._conflicts = self._conflicts_in_a_row + 1, self._conflicts + 1
        await self._rest(delay_s)

    async def _rest(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)

    async def _both_ways(self, stream: Stream) -> None:
        """Until either way ends."""
        receiving, sending = asyncio.ensure_future(self._receive(stream)), asyncio.ensure_future(self._send(stream))
        tasks = (receiving, sending)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            # Receiving says why the stream ended, sending only finds that it did.
            await asyncio.wait([receiving], timeout=_LAST_WORD_S)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, stream: Stream) -> None:
        while True:
            self._changed.clear()
            report = self._report(awake_clock.now_s())
            report.name_conflicts = self._conflicts
            await stream.send(report)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._beat_s):
                    await self._changed.wait()
                    await asyncio.sleep(_COALESCE_S)

    async def _receive(self, stream: Stream) -> None:
        while True:
            desired = await stream.receive()
            if not self.is_connected:
                self.is_connected, self._failures, self._conflicts_in_a_row = True, 0, 0
                log.info("gateway_connected", revision=desired.revision)
                self._connected()
            # When the disk refuses to note it, the stream ends and the next one brings the whole state again.
            await self._apply(desired)
