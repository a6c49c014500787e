"""What the agent's tests share: answers to capture, and a cloud that behaves as told."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from skerry.agent import erased
from skerry.agent.capture import spool, spool_thread
from skerry.agent.capture.captured_row import CapturedRow, CapturedTensor, Source
from skerry.core import errors, sampling, series_stamp
from skerry.proto import fleet_pb2

LABEL_MAP = "sha256:" + "c" * 64
SOURCE = Source("edge-1", "boot-a")


def captured_row(number: int, size: int = 64, request_id: str | None = None) -> CapturedRow:
    return CapturedRow(
        model="digits",
        request_id=f"r{number}" if request_id is None else request_id,
        digest="sha256:" + "a" * 64,
        kind=sampling.Kind.HARD,
        inputs=(CapturedTensor("image", "UINT8", (size,), bytes([number % 256]) * size),),
        local_logits=(0.1, 0.2),
        confidence=0.4,
        route="local",
        reason="LowConfidence",
        answered_unix_ms=1_700_000_000_000 + number,
        label_map=LABEL_MAP,
        stamp=series_stamp.NONE,
        answer=f"answer {number}",
    )


def make_spool_thread(folder: Path, limits: spool.Limits | None = None) -> spool_thread.SpoolThread:
    return spool_thread.SpoolThread(folder / "spool.db", limits or spool.Limits(), lambda: "x")


def nothing_erased(folder: Path) -> erased.Erased:
    return erased.Erased(folder / "erasures.pb", "edge-1", make_spool_thread(folder))


class Cloud:
    """Stores what it is sent, once by id. Switches: `up`, `lose_acks` (commits, then the reply is lost), `refuse` ids,
    `too_large` (refuses requests that hold such a record)."""

    def __init__(self) -> None:
        self.up, self.lose_acks = True, 0
        self.refuse: set[str] = set()
        self.too_large: set[str] = set()
        self.records: dict[str, bytes] = {}
        self.kinds: dict[str, str] = {}
        self.order: list[str] = []
        self.received: Counter[str] = Counter()
        self.sizes: list[tuple[int, int]] = []

    async def send(self, request: fleet_pb2.UploadRequest) -> fleet_pb2.UploadReply:
        await asyncio.sleep(0)
        self.sizes.append((len(request.records), request.ByteSize()))
        if not self.up:
            raise errors.UnavailableError("the gateway does not answer")
        if self.too_large & {record.id for record in request.records}:
            raise errors.InputError("a record is malformed")
        reply = fleet_pb2.UploadReply()
        for record in request.records:
            self.received[record.id] += 1
            if record.id in self.refuse:
                reply.refused.add(id=record.id, reason="never")
                continue
            if record.id not in self.records:
                self.order.append(record.id)
            self.records[record.id] = record.example or record.truth
            self.kinds[record.id] = record.WhichOneof("body")
            reply.accepted.append(record.id)
        if self.lose_acks:
            self.lose_acks -= 1
            raise errors.UnavailableError("the reply was lost")
        return reply

    def examples(self) -> list[fleet_pb2.Example]:
        return [fleet_pb2.Example.FromString(self.records[i]) for i in self.order if self.kinds[i] == "example"]

    def truths(self) -> list[fleet_pb2.Truth]:
        return [fleet_pb2.Truth.FromString(self.records[i]) for i in self.order if self.kinds[i] == "truth"]


async def until(condition: Callable[[], bool], *, timeout_s: float = 10.0) -> None:
    """Poll; fails when it does not come true in time."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - conditions are of many parts, none offers an event
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(*loops: object) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(loop) for loop in loops]  # type: ignore[call-overload]  # coroutines
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
