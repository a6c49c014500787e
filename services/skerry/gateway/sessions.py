"""The open streams of nodes: reports in, the whole desired state out at once and whenever it changes.

One stream per node: the newest wins, unless it is of a process that was displaced (`core.name_claim`). A gateway has
thousands of streams that are silent most of the time: each is one small object, without a task or a timer of its own.
What reports say is written by `node_status`.
"""

import asyncio
import hashlib
import itertools
from collections.abc import Callable, Sequence

from google.protobuf.message import DecodeError

from skerry.adapters.events import Events
from skerry.adapters.objects.protocol import Change, Objects
from skerry.core import errors, name_claim
from skerry.core.identity import Peer
from skerry.core.liveness import HEARTBEAT_S
from skerry.gateway import (
    desired,
    metrics,
    name_conflicts,
    node_status,
    rates,
    readings_writer,
    reports,
    request_counts,
)
from skerry.gateway.identity import Guard, certificate_status
from skerry.proto import fleet_pb2
from skerry.rpc import grpc_status
from skerry.rpc.methods import Call, CallError, Status

REPORTS = rates.Rate(10.0, 100.0)  # of one node; each is whole, so that one passed over is in the next
_MAX_REMEMBERED = 100_000  # nodes that are gone whose last sequence is known; the one gone longest is forgotten first


class Stream:
    """One node's stream, as the transport tells it (`methods.Receiver`); of no node until the first report."""

    __slots__ = (
        "_sessions",
        "boot_id",
        "call",
        "earlier",
        "has_failed",
        "heard_at_s",
        "is_finished",
        "is_stale",
        "node",
        "peer",
        "pushing",
        "readings_report",
        "sent",
        "sequence",
        "totals",
        "written_unix_ms",
    )  # fmt: skip

    def __init__(self, sessions: "Sessions", call: Call) -> None:
        self._sessions, self.call = sessions, call
        self.node = ""
        self.peer: Peer | None = None  # where nodes have certificates
        self.boot_id, self.sequence = "", -1  # of the newest report
        self.totals: request_counts.NodeTotals | None = None  # of the newest report; None: none of this boot is known
        self.earlier: tuple[str, ...] = ()  # processes of this name whose place this one took
        self.readings_report = b""  # of the newest report, what is said once more when the node goes
        self.heard_at_s = 0.0  # by the loop's clock
        self.is_finished = False  # the node says no more
        self.sent = b""  # fingerprint of the desired state that the node has
        self.is_stale = False  # that state may differ from what it should have
        self.pushing: asyncio.Task[None] | None = None
        self.written_unix_ms = 0
        self.has_failed = False

    def received(self, message: bytes) -> None:
        try:
            self._sessions.take(self, message)
        except errors.SkerryError as exc:
            raise grpc_status.call_error(exc) from exc

    def finished(self) -> None:
        self.is_finished = True
        if self.pushing is None:
            self.call.finish()

    def closed(self) -> None:
        self._sessions.leave(self)


class Sessions:
    """Lives on one event loop. `clock` is wall time in Unix ms: written for others to see, never measured with."""

    def __init__(
        self,
        objects: Objects,
        view: desired.View,
        readings: readings_writer.ReadingsWriter,
        instruments: metrics.Instruments,
        *,
        guard: Guard,
        events: Events,
        clock: Callable[[], int],
        report_timeout_s: float,
        heartbeat_s: int = HEARTBEAT_S,
    ) -> None:
        self._view, self._readings, self._instruments, self._guard = view, readings, instruments, guard
        self._statuses = node_status.StatusWriter(
            objects, view, instruments, enrols=not guard.enforced, heartbeat_s=heartbeat_s
        )
        self._conflicts = name_conflicts.NameConflicts(objects, view, events, instruments, clock)
        self._clock, self._report_timeout_s = clock, report_timeout_s
        self._open: dict[str, Stream] = {}  # who was heard last is last
        self._report_rates = rates.Rates(REPORTS, max_keys=_MAX_REMEMBERED)
        self._silence: asyncio.TimerHandle | None = None
        self._boots: dict[str, tuple[str, int, request_counts.NodeTotals | None]] = {}

    def open(self, call: Call) -> Stream:
        """Fleet.Sync."""
        return Stream(self, call)

    def apply(self, changes: Sequence[Change], revision: int) -> None:
        """Take in what the watch saw, and send to the streams that it concerns."""
        touched = self._view.apply(changes, revision)
        for node in tuple(self._open) if touched is None else touched & self._open.keys():
            stream = self._open[node]
            try:
                self._guard.check_again(stream.peer, node)
            except CallError as exc:
                self._end(stream, exc.status, exc.message)
            else:
                self._push_soon(stream)

    def end_all(self) -> None:
        """Ask every node to connect again: this process ends."""
        for stream in tuple(self._open.values()):
            self._end(stream, Status.UNAVAILABLE, "this gateway shuts down: connect again")

    async def written(self) -> None:
        """Wait until every stream that has ended is written down as ended."""
        await self._statuses.written()
        await self._conflicts.written()

    def take(self, stream: Stream, data: bytes) -> None:
        """A report. Raises CallError or SkerryError when the stream must end for a reason that the node should know."""
        if stream.node and not self._report_rates.take(stream.node):
            self._instruments.hasty_reports.add()
            return
        report = _parse(data)
        if not stream.node:
            stream.peer = self._guard.check(stream.call, report.node)
            self._enter(stream, report)
        elif report.node != stream.node:
            raise CallError(Status.INVALID_ARGUMENT, f"a stream of node {stream.node} reports for {report.node}")
        stream.earlier = self._claim(stream, report, self._holder_elsewhere(report))
        stream.heard_at_s = asyncio.get_running_loop().time()
        self._open[stream.node] = self._open.pop(stream.node)
        self._watch_silence()
        self._keep(stream, report)

    def leave(self, stream: Stream) -> None:
        """The stream has ended: say that the node is gone, unless it has another stream by now."""
        node = stream.node
        if self._open.get(node) is not stream:
            return
        del self._open[node]
        self._instruments.streams = len(self._open)
        if stream.pushing is not None:
            stream.pushing.cancel()
        self._boots[node] = (stream.boot_id, stream.sequence, stream.totals)
        if len(self._boots) > _MAX_REMEMBERED:
            del self._boots[next(iter(self._boots))]
        if stream.readings_report:
            last = fleet_pb2.NodeReport.FromString(stream.readings_report)
            self._readings.offer(reports.readings(last, self._clock(), connected=False))
        self._statuses.write_disconnected(stream)

    def _enter(self, stream: Stream, report: fleet_pb2.NodeReport) -> None:
        """The stream's first report has named its node. Raises CallError when another process holds the name."""
        node, older = report.node, self._open.get(report.node)
        if older is not None:
            stream.earlier = self._claim(stream, report, name_claim.Holder(older.boot_id, older.earlier))
        stream.node = node
        stream.boot_id, stream.sequence, stream.totals = self._boots.pop(node, ("", -1, None))
        self._open.pop(node, None)
        self._open[node] = stream
        if older is not None:
            stream.boot_id, stream.sequence, stream.totals = older.boot_id, older.sequence, older.totals
            self._end(older, Status.ABORTED, f"another stream of node {node} took over")
        self._instruments.streams = len(self._open)
        self._push_soon(stream)

    def _claim(self, stream: Stream, report: fleet_pb2.NodeReport, holder: name_claim.Holder | None) -> tuple[str, ...]:
        """The processes that this one has displaced. Raises CallError (ALREADY_EXISTS): it may not have the name."""
        earlier = name_claim.claim(report.boot_id, stream.earlier, holder)
        if earlier is None:
            assert holder is not None
            other = self._open.get(report.node)
            address = "" if other is None or other is stream else other.call.peer_address
            text = name_claim.message(report.node, holder.boot_id, address, stream.call.peer_address)
            self._conflicts.refused(report.node, text)
            raise CallError(Status.ALREADY_EXISTS, name_claim.refusal(report.node))
        return earlier

    def _holder_elsewhere(self, report: fleet_pb2.NodeReport) -> name_claim.Holder | None:
        """The process that the object names as connected, perhaps to another gateway; None when it is silent."""
        written = self._view.written_status(report.node)
        if written is None or not written.connected:
            return None
        is_heard = self._clock() - written.last_seen_ms < 1000 * self._report_timeout_s
        return written.holder if is_heard else None

    def _end(self, stream: Stream, status: Status, message: str) -> None:
        stream.call.fail(status, message)
        self.leave(stream)

    def _keep(self, stream: Stream, report: fleet_pb2.NodeReport) -> None:
        """Keep what a report says, unless a newer one of the same boot came before it, on this stream or another."""
        if report.boot_id == stream.boot_id and report.sequence <= stream.sequence:
            self._instruments.stale_reports.add()
            return
        self._count_requests(stream, report)
        stream.boot_id, stream.sequence = report.boot_id, report.sequence
        stream.readings_report = reports.readings_report(report)
        self._instruments.reports.add()
        self._readings.offer(reports.readings(report, now := self._clock(), connected=True))
        self._instruments.spools.heard(report)
        status = {**reports.status(report, self._view.erasures.number), **certificate_status(stream.peer)}
        status["earlierBootIds"] = list(stream.earlier) or None
        self._statuses.tell(stream, status, now)
        self._conflicts.heard(stream.node)

    def _count_requests(self, stream: Stream, report: fleet_pb2.NodeReport) -> None:
        """Hand on what each version met since the report before; the first report of a boot whose beginning was not
        heard only says where to count from."""
        now = request_counts.read(report.readings)
        before = stream.totals
        if stream.boot_id and stream.boot_id != report.boot_id:
            before = {}
        if before is not None:
            for model, digest, more in request_counts.rises(before, now):
                counters = request_counts.counters_of(model, digest, self._clock(), self._view.comparisons(model))
                self._readings.count(stream.node, counters, more)
        stream.totals = request_counts.merge(before or {}, now)

    def _watch_silence(self) -> None:
        """One timer for all: for the stream that was heard the longest ago."""
        if self._silence is None and self._open:
            first = next(iter(self._open.values()))
            due = first.heard_at_s + self._report_timeout_s
            self._silence = asyncio.get_running_loop().call_at(due, self._end_silent)

    def _end_silent(self) -> None:
        self._silence, since = None, asyncio.get_running_loop().time() - self._report_timeout_s
        for stream in tuple(itertools.takewhile(lambda stream: stream.heard_at_s <= since, self._open.values())):
            message = f"node {stream.node} sent no report for {self._report_timeout_s:.0f} s"
            self._end(stream, Status.UNAVAILABLE, message)
        self._watch_silence()

    def _push_soon(self, stream: Stream) -> None:
        """The desired state may differ: send it, unless somebody is about to."""
        stream.is_stale = True
        if stream.pushing is None:
            stream.pushing = asyncio.create_task(self._push(stream))

    async def _push(self, stream: Stream) -> None:
        """The whole desired state, when it differs from what was sent last; only its revision is no difference."""
        try:
            while stream.is_stale:
                stream.is_stale = False
                state = self._view.desired(stream.node)
                fingerprint = _fingerprint(state)
                if fingerprint != stream.sent:
                    await stream.call.send(state.SerializeToString())
                    stream.sent = fingerprint
                    self._instruments.desired_states.add()
        except CallError as exc:
            self._end(stream, exc.status, exc.message)
        finally:
            stream.pushing = None
            if stream.is_finished:
                stream.call.finish()


def _fingerprint(state: fleet_pb2.DesiredState) -> bytes:
    """Of all but the revision."""
    said = fleet_pb2.DesiredState()
    said.CopyFrom(state)
    said.revision = 0
    return hashlib.blake2b(said.SerializeToString(deterministic=True), digest_size=16).digest()


def _parse(data: bytes) -> fleet_pb2.NodeReport:
    try:
        report = fleet_pb2.NodeReport.FromString(data)
        reports.check(report)
    except DecodeError as exc:
        raise errors.InputError(f"the report cannot be read: {exc}") from exc
    return report
