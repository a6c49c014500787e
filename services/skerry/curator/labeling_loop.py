"""The loop that turns what came in into labels: entries of the stream and what scans find, labeled with the help of
the teacher. An entry is acknowledged when its label is in storage; while the teacher or storage is away, work is held
and tried again, later and later, and no more than a bounded amount is taken.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from skerry.adapters.streams.protocol import Streams
from skerry.adapters.telemetry import logs
from skerry.core import contract, digests, errors
from skerry.curator import examples
from skerry.curator.evidence import EvidenceCounts
from skerry.curator.label_task import LabelTask
from skerry.curator.labeling import Labeling, Work
from skerry.curator.teacher import Teacher

MAX_HELD = 1024
_BLOCK_S = 0.2
_FIRST_RETRY_S, _LAST_RETRY_S = 0.2, 5.0
_MAX_REQUEST_BYTES = 8 << 20

_log = logs.logger("curator")
_T = TypeVar("_T")


class Run(Protocol):
    """Runs a blocking function on the one thread of `Labeling`."""

    def __call__(self, function: Callable[..., _T], /, *args: Any) -> Awaitable[_T]: ...


class LabelingLoop:
    """`monotonic` gives seconds. One per process; `consumer` names it among others of the group."""

    def __init__(
        self,
        labeling: Labeling,
        streams: Streams,
        teacher: Teacher,
        evidence: EvidenceCounts,
        *,
        run: Run,
        monotonic: Callable[[], float],
        consumer: str,
        batch_rows: int,
    ) -> None:
        self._labeling, self._streams, self._teacher, self._evidence = labeling, streams, teacher, evidence
        self._run, self._monotonic, self._consumer, self._batch_rows = run, monotonic, consumer, batch_rows
        self._held: dict[Work, None] = {}
        self._entries: dict[Work, set[str]] = {}
        self._failures = 0
        self._retry_at_s = float("-inf")
        self._epoch = ""
        self._stream_lost = False

    @property
    def held(self) -> int:
        """Pieces of work that wait for the teacher or storage."""
        return len(self._held)

    async def step(self) -> int:
        """One round; returns how many pieces of work were finished."""
        works = await self._gather()
        due = self._monotonic() >= self._retry_at_s
        if due:
            works = [*list(self._held)[: self._batch_rows], *(work for work in works if work not in self._held)]
        finished = await self._work(works, ask=due) if works else []
        for work in finished:
            self._held.pop(work, None)
        await self._acknowledge(finished)
        return len(finished)

    async def _gather(self) -> list[Work]:
        """New work, as much as may be held."""
        room = min(self._batch_rows, MAX_HELD - len(self._held))
        if room <= 0:
            await asyncio.sleep(_BLOCK_S)
            return []
        works = dict.fromkeys(await self._found_by_scans(room))
        for work in await self._read_stream(room, block_s=0.0 if works or self._held else _BLOCK_S):
            works[work] = None
        if not works and self._held:
            await asyncio.sleep(_BLOCK_S / 4)
        return list(works)

    async def _found_by_scans(self, count: int) -> list[Work]:
        try:
            return await self._run(self._labeling.backlog, count)
        except errors.UnavailableError as exc:
            _log.warning("scan_failed", message=str(exc))
            return []

    async def _read_stream(self, count: int, block_s: float) -> list[Work]:
        try:
            epoch, works = await asyncio.to_thread(self._read, count, block_s)
        except errors.UnavailableError as exc:
            if not self._stream_lost:
                _log.warning("stream_lost", message=str(exc))
            self._stream_lost = True
            await asyncio.sleep(_BLOCK_S)
            return []
        if self._stream_lost or (self._epoch and epoch != self._epoch):
            # Entries may be gone with a flush, or were never written while the server was away: look at the blobs.
            _log.info("stream_found_again", epoch=epoch)
            await self._run(self._labeling.rescan, list(self._labeling.models))
        self._stream_lost, self._epoch = False, epoch
        return works

    def _read(self, count: int, block_s: float) -> tuple[str, list[Work]]:
        entries = self._streams.read(contract.STREAM, contract.CURATORS, self._consumer, count=count, block_s=block_s)
        epoch, works, malformed = self._streams.epoch(contract.STREAM), [], []
        for entry in entries:
            work = parse(entry.fields)
            if work is None:
                malformed.append(entry.id)
            else:
                self._entries.setdefault(work, set()).add(entry.id)
                works.append(work)
        if malformed:
            _log.warning("stream_entries_malformed", count=len(malformed))
            self._streams.ack(contract.STREAM, contract.CURATORS, malformed)
        return epoch, works

    async def _work(self, works: Sequence[Work], *, ask: bool) -> list[Work]:
        """Do what can be done now, hold the rest; returns what is finished."""
        try:
            prepared = await self._run(self._labeling.prepare, works)
        except errors.UnavailableError as exc:
            self._hold(works, exc)
            return []
        finished, failures = prepared.finished, self._failures
        for task, pairs in prepared.to_teach.items():
            if not ask:
                self._held.update(dict.fromkeys(work for work, _ in pairs))
                continue
            try:
                await self._teach(task, [captured for _, captured in pairs])
            except errors.SkerryError as exc:
                self._hold([work for work, _ in pairs], exc)
            else:
                finished += [work for work, _ in pairs]
        if ask and self._failures == failures:
            self._failures = 0
        return finished

    def _hold(self, works: Sequence[Work], exc: errors.SkerryError) -> None:
        wait_s = min(_LAST_RETRY_S, _FIRST_RETRY_S * 2**self._failures)
        if self._failures == 0:
            _log.warning("labeling_waits", examples=len(works), message=str(exc))
        self._failures = min(self._failures + 1, 16)
        self._retry_at_s = self._monotonic() + wait_s
        self._held.update(dict.fromkeys(works))

    async def _teach(self, task: LabelTask, captured: Sequence[examples.Captured]) -> None:
        """Labels for these examples; one that the teacher refuses is refused alone."""
        size = max(1, min(self._batch_rows, _MAX_REQUEST_BYTES // max(1, task.input.row_bytes)))
        for start in range(0, len(captured), size):
            batch = captured[start : start + size]
            try:
                answer = await self._teacher.ask(task, np.stack([example.row for example in batch]))
            except errors.InputError as exc:
                if len(batch) == 1:
                    await self._run(self._labeling.refuse, task, batch[0], "refusedByTeacher", str(exc))
                    continue
                for example in batch:
                    await self._teach(task, [example])
            else:
                await self._run(self._labeling.record, task, batch, answer.outputs, answer.by)

    async def _acknowledge(self, finished: Sequence[Work]) -> None:
        """Acknowledge what is done. An entry whose acknowledgment is lost comes again and is found labelled."""
        if not finished and not self._evidence.waiting:
            return
        ids = [entry for work in finished for entry in self._entries.pop(work, ())]
        try:
            await self._run(self._evidence.flush)
            await asyncio.to_thread(self._streams.ack, contract.STREAM, contract.CURATORS, ids)
        except errors.UnavailableError as exc:
            _log.warning("acknowledging_failed", entries=len(ids), message=str(exc))


def parse(fields: Mapping[str, str]) -> Work | None:
    """What an entry of the stream asks for; None when it is malformed."""
    try:
        name, model, kind = digests.hex_of(fields["id"]), fields["model"], fields["kind"]
    except (KeyError, errors.InputError):
        return None
    return Work(model, name, truth=kind == contract.TRUTH) if kind in (contract.EXAMPLE, contract.TRUTH) else None
