"""The open streams of nodes: reports in, the whole desired state out at once and whenever it changes.

One stream per node: the newest wins. The EdgeNode's status is written only when what it says changes, and its
`lastSeenUnixMs` every `mark_s` seconds: what a steady fleet costs the object store is this setting's.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import DecodeError

from skerry.adapters.objects.protocol import Change, Objects
from skerry.adapters.telemetry import logs
from skerry.core import errors, writers
from skerry.core.liveness import MARK_S
from skerry.gateway import desired, liveness, metrics, reports
from skerry.gateway.identity import Guard
from skerry.proto import fleet_pb2
from skerry.rpc.methods import Call, CallError, Status

_CLOSING_POLL_S = 0.02
_MAX_WRITERS = 4
_MAX_REMEMBERED = 100_000  # nodes whose last sequence is known; the longest silent one is forgotten first

_log = logs.logger("gateway")
_T = TypeVar("_T")


@dataclass(slots=True)
class _Session:
    """One stream, kept small: a gateway has thousands. `task` runs it; `ended` holds why the gateway ends it."""

    node: str
    call: Call
    task: "asyncio.Task[Any] | None"
    ended: CallError | None = None
    over: bool = False
    stale: bool = True
    pushing: "asyncio.Task[None] | None" = None
    sent: bytes = b""
    last_report: bytes = b""
    written_unix_ms: int = 0
    status_lost: bool = False

    def end(self, status: Status, message: str) -> None:
        """End the stream with this; the first word counts."""
        if self.ended is None and not self.over and self.task is not None:
            self.ended = CallError(status, message)
            self.task.cancel()


class Sessions:
    """Lives on one event loop. `clock` is wall time in Unix ms: written for others to see, never measured with."""

    def __init__(
        self,
        objects: Objects,
        view: desired.View,
        readings: liveness.Readings,
        numbers: metrics.Numbers,
        *,
        guard: Guard,
        clock: Callable[[], int],
        report_timeout_s: float,
        mark_s: int = MARK_S,
    ) -> None:
        self._objects, self._view, self._readings, self._numbers = objects, view, readings, numbers
        self._guard = guard
        self._clock, self._report_timeout_s, self._mark_s = clock, report_timeout_s, mark_s
        self._open: dict[str, _Session] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._boots: dict[str, tuple[str, int]] = {}
        self._writing = asyncio.Semaphore(_MAX_WRITERS)

    def apply(self, changes: Sequence[Change], revision: int) -> None:
        """Take in what the watch saw, and wake the streams that it concerns."""
        touched = self._view.apply(changes, revision)
        for node in self._open if touched is None else touched & self._open.keys():
            session = self._open[node]
            try:
                self._guard.check(session.call, node)
            except CallError as exc:
                session.end(exc.status, exc.message)
            self._push_soon(session)

    def end_all(self) -> None:
        """Ask every node to connect anew: this process ends."""
        for session in self._open.values():
            session.end(Status.UNAVAILABLE, "this gateway shuts down: connect again")

    async def closed(self) -> None:
        """Wait until every stream that has ended is written down as ended, also those whose call was cancelled."""
        while self._open or self._closing:
            await asyncio.wait([*self._closing, asyncio.create_task(asyncio.sleep(_CLOSING_POLL_S))])

    async def sync(self, call: Call) -> None:
        """Fleet.Sync. Raises CallError when the stream must end for a reason that the node should know."""
        data = await call.read()
        if data is None:
            return
        report = _parse(data)
        self._guard.check(call, report.node)
        session = _Session(report.node, call, asyncio.current_task())
        if (older := self._open.get(report.node)) is not None:
            older.end(Status.ABORTED, f"another stream of node {report.node} took over")
        self._open[report.node] = session
        self._numbers.streams.set(len(self._open))
        try:
            self._push_soon(session)
            await self._read(session, report, data)
        except asyncio.CancelledError:
            if session.ended is None:
                raise  # the caller's doing
            raise session.ended from None
        finally:
            session.over = True
            closing = asyncio.create_task(self._close(session))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            await asyncio.shield(closing)

    async def _read(self, session: _Session, report: fleet_pb2.NodeReport, data: bytes) -> None:
        """Until the node ends the stream or falls silent."""
        while True:
            if report.node != session.node:
                raise CallError(Status.INVALID_ARGUMENT, f"a stream of node {session.node} reports for {report.node}")
            await self._take(session, report, data)
            try:
                async with asyncio.timeout(self._report_timeout_s):
                    found = await session.call.read()
            except TimeoutError as exc:
                message = f"node {session.node} sent no report for {self._report_timeout_s:.0f} s"
                raise CallError(Status.UNAVAILABLE, message) from exc
            if found is None:
                return
            data, report = found, _parse(found)

    def _push_soon(self, session: _Session) -> None:
        """The desired state may differ: send it, unless somebody is about to."""
        session.stale = True
        if session.pushing is None and not session.over:
            session.pushing = asyncio.create_task(self._push(session))

    async def _push(self, session: _Session) -> None:
        """The whole desired state, when it differs from what was sent last; only its revision is no difference."""
        try:
            while session.stale:
                session.stale = False
                state = self._view.desired(session.node)
                fingerprint = _fingerprint(state)
                if fingerprint != session.sent:
                    await session.call.send(state.SerializeToString())
                    session.sent = fingerprint
                    self._numbers.desired_states.inc()
        except CallError as exc:
            session.end(exc.status, exc.message)
        finally:
            session.pushing = None

    async def _take(self, session: _Session, report: fleet_pb2.NodeReport, data: bytes) -> None:
        """Keep what a report says, unless a newer one of the same boot came before it, on this stream or another."""
        boot_id, sequence = self._boots.get(report.node, ("", -1))
        if report.boot_id == boot_id and report.sequence <= sequence:
            self._numbers.stale_reports.inc()
            return
        self._boots.pop(report.node, None)
        self._boots[report.node] = (report.boot_id, report.sequence)
        if len(self._boots) > _MAX_REMEMBERED:
            del self._boots[next(iter(self._boots))]
        self._numbers.reports.inc()
        session.last_report = data
        self._readings.offer(reports.readings(report, self._clock(), connected=True))
        marks = {} if self._mark_s == MARK_S else {"markSeconds": self._mark_s}
        await self._write(session, {**reports.status(report), **self._guard.about(session.call), **marks})

    async def _write(self, session: _Session, status: Mapping[str, Any]) -> None:
        """Write the status if it says something new or is five seconds old. Trouble is told once, and tried again with
        the next report: the stream does not end for it."""
        known, now = self._view.noted(session.node), self._clock()
        same = known is not None and known.fingerprint == desired.fingerprint(status)
        if same and now - session.written_unix_ms < 1000 * self._mark_s:
            return
        try:
            await self._blocking(self._put, session.node, {**status, "lastSeenUnixMs": now}, known is None)
        except errors.SkerryError as exc:
            if not session.status_lost:
                _log.error("status_not_written", node=session.node, message=str(exc))
            session.status_lost = True
            return
        session.written_unix_ms, session.status_lost = now, False
        self._view.note(session.node, {**status, "lastSeenUnixMs": now})
        self._numbers.status_writes.inc()

    def _put(self, node: str, status: dict[str, Any], create: bool) -> None:
        if create and not self._guard.enforced:
            with contextlib.suppress(errors.ConflictError):
                spec = {"labels": {}, "cordoned": False, "assignments": []}
                self._objects.create("EdgeNode", node, spec, manager=writers.GATEWAY)
                _log.info("node_enrolled", node=node)
        try:
            self._objects.patch("EdgeNode", node, manager=writers.GATEWAY, status=status)
        except errors.NotFoundError:
            if self._guard.enforced:
                return  # somebody deleted it: only enrolment makes it again
            if create:
                raise
            self._put(node, status, True)  # somebody deleted it; the node is there all the same

    async def _close(self, session: _Session) -> None:
        """Say that the node is gone, unless it has another stream by now, here or at another gateway."""
        if self._open.get(session.node) is not session:
            return
        del self._open[session.node]
        self._numbers.streams.set(len(self._open))
        if session.pushing is not None:
            session.pushing.cancel()
        if session.last_report:
            last = fleet_pb2.NodeReport.FromString(session.last_report)
            self._readings.offer(reports.readings(last, self._clock(), connected=False))
        known = self._view.noted(session.node)
        if known is not None and known.last_seen_ms > session.written_unix_ms > 0:
            return  # another gateway has heard of it since
        try:
            await self._blocking(self._put, session.node, {"connected": False}, False)
        except errors.SkerryError as exc:
            _log.error("status_not_written", node=session.node, message=str(exc))

    async def _blocking(self, function: Callable[..., _T], *args: Any) -> _T:
        """On a thread, and not on many at once: they would only wait for one another's lock.

        A thread cannot be cancelled: whoever is cancelled here leaves only when the write is done, so that what is
        written next (that the node is gone) is written last.
        """
        async with self._writing:
            work = asyncio.ensure_future(asyncio.to_thread(function, *args))
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                await asyncio.wait([work])
                raise


def _fingerprint(state: fleet_pb2.DesiredState) -> bytes:
    """Of all but the revision."""
    made = hashlib.blake2b(str(state.epoch).encode(), digest_size=16)
    for one in state.assignments:
        made.update(one.SerializeToString(deterministic=True))
    return made.digest()


def _parse(data: bytes) -> fleet_pb2.NodeReport:
    try:
        report = fleet_pb2.NodeReport.FromString(data)
        reports.check(report)
    except DecodeError as exc:
        raise errors.InputError(f"the report cannot be read: {exc}") from exc
    return report
