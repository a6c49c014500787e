"""Takes captured answers off the caller's path: a bounded queue in memory, grouped into a few durable commits a second.

An idle node commits nothing. When the disk refuses, the group is refused and counted, and the next one is tried again.
A late truth goes through the same queue, so it always finds the example that was captured before it. Which answers are
captured is `core.sampling`'s decision; sending them on is `uploader`'s.
"""

import asyncio
import collections
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from skerry.adapters.telemetry import logs
from skerry.agent.capture import captured_row, spool
from skerry.agent.capture.captured_row import CapturedRow, Source
from skerry.agent.capture.spool_thread import SpoolThread
from skerry.core import contract, erasures, errors
from skerry.core.tasks import Truth
from skerry.proto import fleet_pb2

log = logs.logger("agent.collector")


@dataclass(frozen=True, slots=True)
class _Truth:
    model: str
    request_id: str
    truth: Truth
    label_map: str
    answer: str | None
    recorded: "asyncio.Future[bool]"


class CaptureQueue:
    """`refused` counts answers that found no room: the queue or the disk was full. `too_large` those, by model, whose
    row no upload could hold; the spool counts them over restarts."""

    def __init__(
        self,
        spool_thread: SpoolThread,
        source: Source,
        *,
        flush_s: float = 0.3,
        reopen_s: float = 5.0,
        max_queued: int = 2_000,
        max_queued_bytes: int = 16 << 20,
        max_row_bytes: int = contract.MAX_EXAMPLE_BYTES,
    ) -> None:
        self.refused = 0
        self.too_large: collections.Counter[str] = collections.Counter()
        self._max_row_bytes, self._uncounted = max_row_bytes, 0
        self._spool_thread, self._source = spool_thread, source
        self._flush_s, self._reopen_s = flush_s, reopen_s
        self._max_queued, self._max_queued_bytes = max_queued, max_queued_bytes
        self._rows: collections.deque[tuple[int, CapturedRow]] = collections.deque()
        self._truths: list[_Truth] = []
        self._queued_bytes = self._sequence = 0
        self._disk_refuses = False
        self.is_standing_by = False
        self.erased: Callable[[], erasures.Rules] = erasures.Rules  # what must not be kept, as of now
        self._wake = asyncio.Event()

    def stand_by(self) -> None:
        """Another agent has the spool: until `run`, answers wait in memory and labels are refused."""
        self.is_standing_by = True

    @property
    def is_queueing(self) -> bool:
        return bool(self._rows)

    def check_open(self) -> None:
        """Raises UnavailableError while it stands by."""
        if self.is_standing_by:
            raise errors.UnavailableError("this agent stands by until the one before it has ended; try again")

    def offer(self, row: CapturedRow) -> bool:
        """Queue a row without waiting; False when there is no room, or will never be."""
        if (rules := self.erased()) and rules.match(self._facts(row)):
            return False
        if (size := row.size_bytes()) > self._max_row_bytes:
            self._tell_too_large(row.model, size)
            return False
        if len(self._rows) >= self._max_queued or self._queued_bytes + size > self._max_queued_bytes:
            self.refused += 1
            return False
        self._sequence += 1
        self._queued_bytes += size
        self._rows.append((self._sequence, row))
        self._wake.set()
        return True

    def _tell_too_large(self, model: str, size: int) -> None:
        if not self.too_large[model]:
            most = self._max_row_bytes
            text = f"a row has {size} bytes, at most {most} are kept: skerry_capture_too_large_total counts the next"
            log.error("capture_too_large", model=model, message=text)
        self.too_large[model] += 1
        self._uncounted += 1
        self._wake.set()

    async def feedback(
        self, model: str, request_id: str, truth: Truth, label_map: str, answer: str | None = None
    ) -> bool:
        """Record the truth of an earlier request, durably; False: that request was not captured. `label_map`: the
        digest of what the truth counts in. `answer` names which of several requests with that id.

        Raises UnavailableError (disk full, standing by) and OverloadedError: try again later; RejectedError: without
        `answer` the id means several.
        """
        self.check_open()
        if len(self._truths) >= self._max_queued:
            raise errors.OverloadedError(f"{self._max_queued} labels are waiting for the disk; try again later")
        recorded: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._truths.append(_Truth(model, request_id, truth, label_map, answer, recorded))
        self._wake.set()
        return await recorded

    async def run(self) -> None:
        """Write what is queued, group by group, until cancelled. The spool is ours from now on."""
        self.is_standing_by = False
        await self._open()
        while True:
            await self._wake.wait()
            await asyncio.sleep(self._flush_s)
            await self.flush()

    async def _open(self) -> None:
        """Open the spool before anything is captured: what an earlier run left is to be uploaded."""
        while True:
            try:
                await self._spool_thread.call(lambda opened: None)
            except (errors.UnavailableError, errors.IntegrityError) as exc:
                self._log_refused(exc)
                await asyncio.sleep(self._reopen_s)
            else:
                return

    async def flush(self) -> None:
        """Write all that is queued now. Never raises: what the disk does not take is refused and counted."""
        self._wake.clear()
        rows, truths = list(self._rows), self._truths
        self._rows.clear()
        self._truths, self._queued_bytes = [], 0
        if rows or self._uncounted:
            await self._write_rows(rows)
        if truths:
            await self._write_truths(truths)

    def give_up(self) -> None:
        """Drop all that is queued, counted and logged: the spool never became ours."""
        if self._rows:
            self.refused += len(self._rows)
            log.error("captures_lost", count=len(self._rows), message="another agent held the spool to the end")
        self._rows.clear()
        self._queued_bytes = 0

    async def _write_rows(self, rows: list[tuple[int, CapturedRow]]) -> None:
        too_large, self._uncounted = self._uncounted, 0

        def write(opened: spool.Spool) -> None:
            rules = self.erased()  # now: what was erased while this waited is not kept either
            kept = ((sequence, row) for sequence, row in rows if not (rules and rules.match(self._facts(row))))
            opened.append((captured_row.record(self._source, *one) for one in kept), too_large)

        try:
            await self._spool_thread.call(write)
        except (errors.UnavailableError, errors.IntegrityError) as exc:
            self.refused += len(rows)
            self._uncounted += too_large
            self._log_refused(exc)
            return
        if self._disk_refuses:
            log.info("capture_resumed", refused=self.refused)
        self._disk_refuses = False

    def _log_refused(self, exc: errors.SkerryError) -> None:
        if not self._disk_refuses:
            log.error("capture_refused", message=f"{exc}. Answers go on; nothing is captured until this is mended")
        self._disk_refuses = True

    async def _write_truths(self, truths: list[_Truth]) -> None:
        def write(opened: spool.Spool) -> list[bool | errors.RejectedError]:
            found = [_example_of(opened, truth) for truth in truths]
            opened.add_truths(
                [self._truth(t, one) for t, one in zip(truths, found, strict=True) if isinstance(one, str)]
            )
            return [one if isinstance(one, errors.RejectedError) else one is not None for one in found]

        try:
            outcomes = await self._spool_thread.call(write)
        except (errors.UnavailableError, errors.IntegrityError) as exc:
            _settle(truths, [exc] * len(truths))
        else:
            _settle(truths, outcomes)

    def _facts(self, row: CapturedRow) -> erasures.Facts:
        node = self._source.node
        return erasures.Facts(row.model, node, "", row.request_id, row.subject, row.answered_unix_ms)

    def _truth(self, truth: _Truth, example_id: str) -> spool.Row:
        message = fleet_pb2.Truth(
            model=truth.model,
            node=self._source.node,
            example_id=example_id,
            request_id=truth.request_id,
            label=truth.truth if isinstance(truth.truth, int) else 0,
            values=() if isinstance(truth.truth, int) else truth.truth,
            label_map=truth.label_map,
        )
        return spool.row(spool.TRUTH, message.SerializeToString(deterministic=True), example_id)


def _example_of(opened: spool.Spool, truth: _Truth) -> str | errors.RejectedError | None:
    try:
        return opened.example_of(truth.model, truth.request_id, truth.answer)
    except errors.RejectedError as exc:  # of this one alone
        return exc


def _settle(truths: Sequence[_Truth], outcomes: Sequence[bool | errors.SkerryError]) -> None:
    for truth, outcome in zip(truths, outcomes, strict=True):
        if truth.recorded.done():  # the caller may have given up
            continue
        if isinstance(outcome, errors.SkerryError):
            truth.recorded.set_exception(outcome)
        else:
            truth.recorded.set_result(outcome)
