"""Drains the spool to the cloud, in order and at least once: a row is forgotten only when the cloud says it holds it.

Rows are named by content, so sending one twice changes nothing. A row that the cloud will never take is dropped,
counted and logged; one bad row does not hold up the others. Nor does what was captured before privacy became stricter:
it is deleted instead of sent. How bytes travel is the `Send` it is given.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from skerry.adapters.telemetry import logs
from skerry.agent.capture import spool
from skerry.agent.capture.spool_thread import SpoolThread
from skerry.core import backoff, contract, errors
from skerry.core.privacy import Privacy
from skerry.proto import fleet_pb2

_FRAMING_BYTES = 96  # id and tags of one record
log = logs.logger("agent.upload")

# Raises UnavailableError (try again) or InputError (the cloud refuses this request as it is).
Send = Callable[[fleet_pb2.UploadRequest], Awaitable[fleet_pb2.UploadReply]]


class Privacies(Protocol):
    """What holds on this node now."""

    @property
    def holds_back(self) -> bool:
        """Is there a model of which not everything may leave?"""
        ...

    def privacy_of(self, model: str) -> Privacy: ...


class Uploader:
    """`draw()` gives uniform numbers in [0, 1) for jitter. `privacies` None: everything may leave."""

    def __init__(
        self,
        spool_thread: SpoolThread,
        node: str,
        send: Send,
        draw: Callable[[], float],
        *,
        privacies: Privacies | None = None,
        base_s: float = 0.5,
        cap_s: float = 30.0,
    ) -> None:
        self._privacies = privacies
        self._spool_thread, self._node, self._send, self._draw = spool_thread, node, send, draw
        self._base_s, self._cap_s = base_s, cap_s
        self._max_records = contract.MAX_UPLOAD_RECORDS
        self._failures = 0
        self._is_reachable = asyncio.Event()

    def resume(self) -> None:
        """The gateway is heard again: waiting out a long back-off would only delay."""
        self._failures = 0
        self._is_reachable.set()

    async def run(self) -> None:
        """Upload whatever is pending, until cancelled."""
        while True:
            await self._spool_thread.has_pending.wait()
            try:
                progress = await self.step()
            except (errors.UnavailableError, errors.IntegrityError) as exc:
                if self._failures == 0:
                    log.warning("upload_waits", message=str(exc), pending=self._spool_thread.counts.pending)
                progress = False
            if progress:
                self._failures = 0
            else:
                await self._back_off()

    async def _back_off(self) -> None:
        delay_s = backoff.delay_s(self._failures, base_s=self._base_s, cap_s=self._cap_s, u=self._draw())
        self._failures += 1
        self._is_reachable.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._is_reachable.wait()

    async def step(self) -> bool:
        """Send one batch and settle it; False when the cloud took and refused nothing of it.

        Raises UnavailableError and IntegrityError as sending and the spool do.
        """
        limit = self._max_records
        room = contract.SHARED_UPLOAD_BYTES - limit * _FRAMING_BYTES - contract.MAX_UPLOAD_FRAMING_BYTES
        batch = await self._spool_thread.call(lambda opened: opened.next_batch(limit, room))
        if not batch:
            return True
        if held := self._held_back(batch):
            await self._spool_thread.call(lambda opened: opened.settle([], [], held))
            log.warning("records_held_back", message="privacy is stricter now: they are deleted", records=len(held))
            return True
        try:
            reply = await self._send(_request(self._node, batch))
        except errors.InputError as exc:
            return await self._narrow(batch, exc)
        self._max_records = min(contract.MAX_UPLOAD_RECORDS, self._max_records * 2)
        refused = {record.id: record.reason for record in reply.refused}
        uploaded, dropped = await self._spool_thread.call(
            lambda opened: opened.settle(list(reply.accepted), list(refused))
        )
        if dropped:
            log.error("records_refused", message="the cloud will never take these; they are dropped", refused=refused)
        return uploaded + dropped > 0

    def _held_back(self, batch: Sequence[spool.Row]) -> Sequence[str]:
        """Ids of those that may not leave any more."""
        if self._privacies is None or not self._privacies.holds_back:
            return ()
        return [row.id for row in batch if not _may_leave(row, self._privacies)]

    async def _narrow(self, batch: Sequence[spool.Row], exc: errors.InputError) -> bool:
        """The cloud refused the request itself: halve it until the row at fault stands alone, then drop that one."""
        if len(batch) > 1:
            self._max_records = len(batch) // 2
            return True
        log.error("records_refused", message=f"the cloud will never take this; it is dropped: {exc}", id=batch[0].id)
        await self._spool_thread.call(lambda opened: opened.settle([], [batch[0].id]))
        self._max_records = contract.MAX_UPLOAD_RECORDS
        return True


def _may_leave(row: spool.Row, privacies: Privacies) -> bool:
    if row.kind == spool.TRUTH:
        return privacies.privacy_of(fleet_pb2.Truth.FromString(row.body).model).may_upload
    example = fleet_pb2.Example.FromString(row.body)
    return privacies.privacy_of(example.model).holds_for(tuple(example.redacted), has_row=bool(example.inputs))


def _request(node: str, batch: Sequence[spool.Row]) -> fleet_pb2.UploadRequest:
    request = fleet_pb2.UploadRequest(node=node)
    for row in batch:
        if row.kind == spool.EXAMPLE:
            request.records.add(id=row.id, example=row.body)
        else:
            request.records.add(id=row.id, truth=row.body)
    return request
