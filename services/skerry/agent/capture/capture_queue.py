"""Takes captured answers off the caller's path: a bounded queue in memory, grouped into a few durable commits a second.

An idle node commits nothing. When the disk refuses, the group is refused and counted, and the next one is tried anew.
A late truth goes through the same queue, so it always finds the example that was captured before it. Which answers are
captured is `core.sampling`'s decision; sending them on is `agent.upload`'s.
"""

import asyncio
import collections
from dataclasses import dataclass

from skerry.adapters.telemetry import logs
from skerry.agent.capture import spool, spool_thread
from skerry.core import errors, sampling
from skerry.proto import fleet_pb2

log = logs.logger("agent.collector")
_KINDS = {sampling.Kind.HARD: fleet_pb2.HARD, sampling.Kind.EXPLORATION: fleet_pb2.EXPLORATION}


@dataclass(frozen=True, slots=True)
class CapturedTensor:
    """One input row as the caller sent it; `raw` is OIP v2 raw contents."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """One answered row worth keeping. `answered_unix_ms` is the node's wall clock: for people and coarse grouping."""

    model: str
    request_id: str
    digest: str
    kind: sampling.Kind
    inputs: tuple[CapturedTensor, ...]
    local_logits: tuple[float, ...]
    confidence: float
    route: str
    reason: str
    answered_unix_ms: int

    def size_bytes(self) -> int:
        return sum(len(one.raw) for one in self.inputs) + 512


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose examples these are. `boot_id` and the sequence order them even where the clock is wrong."""

    node: str
    boot_id: str


@dataclass(frozen=True, slots=True)
class _Truth:
    model: str
    request_id: str
    label: int
    recorded: "asyncio.Future[bool]"


class Collector:
    """`refused` counts answers that found no room: the queue or the disk was full, or the row too large to upload."""

    def __init__(
        self,
        store: spool_thread.Keeper,
        identity: Identity,
        *,
        flush_s: float = 0.3,
        reopen_s: float = 5.0,
        max_queued: int = 2_000,
        max_queued_bytes: int = 16 << 20,
    ) -> None:
        self.refused = 0
        self._store, self._identity = store, identity
        self._flush_s, self._reopen_s = flush_s, reopen_s
        self._max_queued, self._max_queued_bytes = max_queued, max_queued_bytes
        self._answers: collections.deque[tuple[int, Answered]] = collections.deque()
        self._truths: list[_Truth] = []
        self._queued_bytes = self._sequence = 0
        self._disk_refuses = False
        self.is_standing_by = False
        self._wake = asyncio.Event()

    def stand_by(self) -> None:
        """Another agent has the spool: until `run`, answers wait in memory and labels are refused."""
        self.is_standing_by = True

    @property
    def is_queueing(self) -> bool:
        return bool(self._answers)

    def check_open(self) -> None:
        """Raises UnavailableError while it stands by."""
        if self.is_standing_by:
            raise errors.UnavailableError("this agent stands by until the one before it has ended; try again")

    def offer(self, answered: Answered) -> bool:
        """Queue an answer without waiting; False when there is no room."""
        size = answered.size_bytes()
        if len(self._answers) >= self._max_queued or self._queued_bytes + size > self._max_queued_bytes:
            self.refused += 1
            return False
        self._sequence += 1
        self._queued_bytes += size
        self._answers.append((self._sequence, answered))
        self._wake.set()
        return True

    async def feedback(self, model: str, request_id: str, label: int) -> bool:
        """Record the true class of an earlier request, durably; False: that request was not captured.

        Raises UnavailableError (disk full, standing by) and OverloadedError: try again later.
        """
        self.check_open()
        if len(self._truths) >= self._max_queued:
            raise errors.OverloadedError(f"{self._max_queued} labels are waiting for the disk; try again later")
        recorded: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._truths.append(_Truth(model, request_id, label, recorded))
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
                await self._store.call(lambda store: None)
            except (errors.UnavailableError, errors.IntegrityError) as exc:
                self._say_refused(exc)
                await asyncio.sleep(self._reopen_s)
            else:
                return

    async def flush(self) -> None:
        """Write all that is queued now. Never raises: what the disk does not take is refused and counted."""
        self._wake.clear()
        answers, truths = list(self._answers), self._truths
        self._answers.clear()
        self._truths, self._queued_bytes = [], 0
        if answers:
            await self._store_answers(answers)
        if truths:
            await self._store_truths(truths)

    def give_up(self) -> None:
        """Drop all that is queued, counted and aloud: the spool never became ours."""
        if self._answers:
            self.refused += len(self._answers)
            log.error("captures_lost", count=len(self._answers), message="another agent held the spool to the end")
        self._answers.clear()
        self._queued_bytes = 0

    async def _store_answers(self, answers: list[tuple[int, Answered]]) -> None:
        def write(store: spool.Spool) -> int:
            return store.append([self._captured(sequence, answered) for sequence, answered in answers])

        try:
            self.refused += await self._store.call(write)
        except (errors.UnavailableError, errors.IntegrityError) as exc:
            self.refused += len(answers)
            self._say_refused(exc)
            return
        if self._disk_refuses:
            log.info("capture_resumed", refused=self.refused)
        self._disk_refuses = False

    def _say_refused(self, exc: errors.SkerryError) -> None:
        if not self._disk_refuses:
            log.error("capture_refused", message=f"{exc}. Answers go on; nothing is captured until this is mended")
        self._disk_refuses = True

    async def _store_truths(self, truths: list[_Truth]) -> None:
        def write(store: spool.Spool) -> list[bool]:
            examples = [store.example_of(truth.model, truth.request_id) for truth in truths]
            store.add_truths([self._truth(t, example) for t, example in zip(truths, examples, strict=True) if example])
            return [example is not None for example in examples]

        try:
            outcomes = await self._store.call(write)
        except (errors.UnavailableError, errors.IntegrityError) as exc:
            for truth in truths:
                if not truth.recorded.done():
                    truth.recorded.set_exception(exc)
            return
        for truth, outcome in zip(truths, outcomes, strict=True):
            if not truth.recorded.done():  # the caller may have given up
                truth.recorded.set_result(outcome)

    def _captured(self, sequence: int, answered: Answered) -> spool.Captured:
        example = fleet_pb2.Example(
            model=answered.model,
            node=self._identity.node,
            request_id=answered.request_id,
            digest=answered.digest,
            kind=_KINDS[answered.kind],
            inputs=[
                fleet_pb2.CapturedTensor(name=one.name, datatype=one.datatype, shape=one.shape, raw=one.raw)
                for one in answered.inputs
            ],
            local_logits=answered.local_logits,
            confidence=answered.confidence,
            route=answered.route,
            reason=answered.reason,
            answered_unix_ms=answered.answered_unix_ms,
            boot_id=self._identity.boot_id,
            boot_sequence=sequence,
        )
        row = spool.row(spool.EXAMPLE, example.SerializeToString(deterministic=True))
        return spool.Captured(row, answered.model, answered.request_id)

    def _truth(self, truth: _Truth, example_id: str) -> spool.Row:
        message = fleet_pb2.Truth(
            model=truth.model,
            node=self._identity.node,
            example_id=example_id,
            request_id=truth.request_id,
            label=truth.label,
        )
        return spool.row(spool.TRUTH, message.SerializeToString(deterministic=True), example_id)
