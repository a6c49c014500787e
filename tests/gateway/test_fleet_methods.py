"""The Fleet service's bytes and statuses: what a node is told when its upload or report cannot be taken."""

import asyncio
import threading
from typing import Any

import ingesting
import pytest

from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.adapters.events import Silent
from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.adapters.objects.memory import MemoryObjects
from skerry.adapters.streams.memory import MemoryStreams
from skerry.core import digests, errors
from skerry.gateway import desired, identity, ingest, methods, metrics, readings_writer, sessions
from skerry.proto import fleet_pb2
from skerry.rpc.methods import CallError, Status


class Call:
    peer_address, is_finished = "10.0.0.1:1", False

    def finish(self) -> None:
        self.is_finished = True


class SlowBlobs(MemoryBlobs):
    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def write(self, path: str, data: bytes) -> None:
        self.go_on.wait(10)
        super().write(path, data)


class AwayBlobs(MemoryBlobs):
    def write(self, path: str, data: bytes) -> None:
        raise errors.UnavailableError("cannot write: no space left on device; free space")


def service(blobs: MemoryBlobs) -> Any:
    instruments, view = metrics.Instruments(), desired.View()
    guard = identity.Guard(view)
    fleet = sessions.Sessions(
        MemoryObjects(),
        view,
        readings_writer.ReadingsWriter(MemoryFleetState()),
        instruments,
        guard=guard,
        events=Silent(),
        clock=lambda: 0,
        report_timeout_s=1.0,
    )
    return methods.build(
        fleet, ingest.Ingest(blobs, MemoryStreams(), ingesting.Known().rules()), instruments, guard, None
    )


def request(count: int = 1, node: str = "north") -> bytes:
    records = []
    for seed in range(count):
        tensor = fleet_pb2.CapturedTensor(name="x", datatype="UINT8", shape=[1], raw=b"1")
        example = fleet_pb2.Example(
            model="digits", node="north", request_id=f"r{seed}", inputs=[tensor], digest=ingesting.PUBLISHED
        )
        data = example.SerializeToString()
        records.append(fleet_pb2.Record(id=digests.sha256(data), example=data))
    return bytes(fleet_pb2.UploadRequest(node=node, records=records).SerializeToString())


async def upload(table: Any, data: bytes) -> fleet_pb2.UploadReply:
    answer = await table["/skerry.fleet.v1.Fleet/Upload"].handler(Call(), data)
    return fleet_pb2.UploadReply.FromString(answer)


async def test_an_upload_is_answered_record_by_record() -> None:
    assert len((await upload(service(MemoryBlobs()), request(3))).accepted) == 3


@pytest.mark.parametrize(
    ("data", "blobs", "status", "words"),
    [
        pytest.param(b"\xff\xff", MemoryBlobs(), Status.INVALID_ARGUMENT, "cannot be read", id="bytes of nothing"),
        pytest.param(request(node="A"), MemoryBlobs(), Status.INVALID_ARGUMENT, "lower-case", id="no name of a node"),
        pytest.param(request(65), MemoryBlobs(), Status.RESOURCE_EXHAUSTED, "at most 64", id="too many records"),
        pytest.param(request(), AwayBlobs(), Status.UNAVAILABLE, "no space left", id="a full disk"),
    ],
)
async def test_an_upload_that_cannot_be_taken_ends_with_a_status_and_a_reason(
    data: bytes, blobs: MemoryBlobs, status: Status, words: str
) -> None:
    with pytest.raises(CallError, match=words) as caught:
        await upload(service(blobs), data)
    assert caught.value.status is status


async def test_more_uploads_than_are_held_are_told_to_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "MAX_UPLOADS", 2)
    blobs = SlowBlobs()
    table = service(blobs)
    running = [asyncio.create_task(upload(table, request())) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(CallError, match="try again later") as caught:
        await upload(table, request())
    assert caught.value.status is Status.RESOURCE_EXHAUSTED
    blobs.go_on.set()
    assert all(len(reply.accepted) == 1 for reply in await asyncio.gather(*running))


async def test_a_report_that_cannot_be_read_ends_the_stream_with_a_status() -> None:
    stream = service(MemoryBlobs())["/skerry.fleet.v1.Fleet/Sync"].handler(Call())
    with pytest.raises(CallError, match="cannot be read") as caught:
        stream.received(b"\xff\xff")
    assert caught.value.status is Status.INVALID_ARGUMENT


async def test_a_stream_without_any_report_just_ends() -> None:
    call = Call()
    service(MemoryBlobs())["/skerry.fleet.v1.Fleet/Sync"].handler(call).finished()
    assert call.is_finished
