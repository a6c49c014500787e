"""What the gateway takes in: every byte checked, stored before it is acknowledged, and once however often it comes."""

import errno
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ingesting
import numpy as np
import pytest

from skerry.adapters import blobs as blob_store
from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.adapters.streams.memory import MemoryStreams
from skerry.core import contract, digests, errors, untold
from skerry.gateway import ingest
from skerry.gateway.ingest import check
from skerry.proto import fleet_pb2

OTHER_ID = "sha256:" + "cd" * 32


def intake_on(blobs: Any, streams: Any) -> ingest.Ingest:
    return ingest.Ingest(blobs, streams, ingesting.Known().rules())


def tensor(**changes: Any) -> fleet_pb2.CapturedTensor:
    return fleet_pb2.CapturedTensor(**({"name": "x", "datatype": "UINT8", "shape": [1, 4], "raw": b"1234"} | changes))


def example(seed: int = 0, **changes: Any) -> bytes:
    known = {"digest": ingesting.PUBLISHED, "answered_unix_ms": ingesting.NOW_MS}
    fields = {"model": "digits", "node": "north", "request_id": f"r{seed}", "inputs": [tensor()]} | known | changes
    return bytes(fleet_pb2.Example(**fields).SerializeToString(deterministic=True))


EXAMPLE_ID = digests.sha256(example())


def truth(**changes: Any) -> bytes:
    fields = {"model": "digits", "node": "north", "example_id": EXAMPLE_ID, "label": 3} | changes
    return bytes(fleet_pb2.Truth(**fields).SerializeToString(deterministic=True))


def record(data: bytes, kind: str = "example", **changes: Any) -> fleet_pb2.Record:
    return fleet_pb2.Record(**({"id": digests.sha256(data), kind: data} | changes))


def upload(*records: fleet_pb2.Record, node: str = "north") -> fleet_pb2.UploadRequest:
    return fleet_pb2.UploadRequest(node=node, records=records)


def entries(streams: MemoryStreams) -> list[dict[str, str]]:
    return [dict(one.fields) for one in streams.read(contract.STREAM, "g", "c", count=1000, block_s=0)]


def test_an_example_and_a_truth_are_stored_told_and_acknowledged() -> None:
    blobs, streams = MemoryBlobs(), MemoryStreams()
    one, other = record(example()), record(truth(), "truth")
    reply = intake_on(blobs, streams).upload(upload(one, other))
    assert list(reply.accepted) == [one.id, other.id]
    assert list(blobs.list("examples")) == [f"examples/digits/{one.id[7:]}"]
    assert blobs.read(f"truths/digits/{EXAMPLE_ID[7:]}", max_bytes=1000) == truth()
    assert entries(streams) == [
        {"model": "digits", "id": one.id, "kind": "example"},
        {"model": "digits", "id": EXAMPLE_ID, "kind": "truth"},
    ]


NAN = np.array([np.nan], dtype="<f4").tobytes()
REFUSED: dict[str, tuple[fleet_pb2.Record, str]] = {
    "no body": (fleet_pb2.Record(id="x"), "neither"),
    "an id that is not the digest": (record(example(), id=OTHER_ID), "digest"),
    "bytes that are no example": (record(b"\xff\xff"), "cannot be read"),
    "bytes that are no truth": (record(b"\xff\xff", "truth"), "cannot be read"),
    "an example of another node": (record(example(node="south")), "of node 'south'"),
    "a truth of another node": (record(truth(node="south"), "truth"), "of node 'south'"),
    "a model name that is a path": (record(example(model="../x")), "name"),
    "an empty model name": (record(truth(model=""), "truth"), "name"),
    "an example of no version": (record(example(digest="")), "digest of the version"),
    "an example of nothing": (record(example(inputs=[], local_logits=[])), "neither inputs nor outputs"),
    "more steps of redaction than there can be": (record(example(redacted=["zero[0]"] * 33)), "more than 32 steps"),
    "an input of text": (record(example(inputs=[tensor(datatype="BYTES")])), "only numbers"),
    "an input cut short": (record(example(inputs=[tensor(raw=b"123")])), "cannot be 3 bytes"),
    "an input with a negative axis": (record(example(inputs=[tensor(shape=[-2, -2])])), "shape"),
    "an input with an axis of nothing": (record(example(inputs=[tensor(shape=[0], raw=b"")])), "shape"),
    "an input whose size overflows": (record(example(inputs=[tensor(shape=[1 << 62, 1 << 62])])), "cannot be"),
    "an input of too many axes": (record(example(inputs=[tensor(shape=[1] * 40, raw=b"1")])), "shape"),
    "a pixel that is not finite": (
        record(example(inputs=[tensor(datatype="FP32", shape=[1], raw=NAN)])),
        "input 'x' holds a number that is not finite",
    ),
    "logits that are not finite": (record(example(local_logits=[1.0, float("inf")])), "logits"),
    "a request id without end": (record(example(request_id="x" * 1000)), "256 characters"),
    "a truth about nothing": (record(truth(example_id="x"), "truth"), "example_id"),
    "a value that is not finite": (record(truth(values=[1.0, float("nan")]), "truth"), "values are not finite"),
    "more values than a forecast has": (record(truth(values=[1.0] * 1001), "truth"), "or more than 1000"),
    "a time before 1970": (record(example(series_unix_ms=-1)), "the time of a series"),
    "a series without a name that can be shown": (record(example(series="a\n")), "printable text"),
    "a label below zero": (record(truth(label=-1), "truth"), "label"),
    "a label beyond all classes": (record(truth(label=1 << 40), "truth"), "label"),
    "a truth without end": (record(truth(request_id="x" * 70_000), "truth"), "70"),
}


@pytest.mark.parametrize(("bad", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_record_that_will_never_be_good_is_refused_alone(bad: fleet_pb2.Record, words: str) -> None:
    blobs, streams = MemoryBlobs(), MemoryStreams()
    good = record(example(1))
    reply = intake_on(blobs, streams).upload(upload(bad, good))
    assert list(reply.accepted) == [good.id]
    ((refused),) = reply.refused
    assert refused.id == bad.id
    assert words in refused.reason
    assert len(entries(streams)) == 1


@pytest.mark.parametrize("cut", range(0, 40, 3))
def test_an_example_cut_at_any_byte_is_refused(cut: int) -> None:
    whole = record(example(7, local_logits=[1.0, 2.0], reason="r"))
    with pytest.raises(errors.InputError):
        check(fleet_pb2.Record(id=whole.id, example=whole.example[:cut]), "north")


def test_an_upload_beyond_its_limits_is_refused_as_a_whole_with_the_limit() -> None:
    intake = intake_on(MemoryBlobs(), MemoryStreams())
    with pytest.raises(errors.TooLargeError, match="at most 64"):
        intake.upload(upload(*[record(example(seed)) for seed in range(contract.MAX_UPLOAD_RECORDS + 1)]))
    with pytest.raises(errors.TooLargeError, match=f"at most {contract.MAX_UPLOAD_BYTES}"):
        intake.upload(upload(record(example(inputs=[tensor(shape=[9 << 20], raw=bytes(9 << 20))]))))
    with pytest.raises(errors.InputError, match="name"):
        intake.upload(upload(node="../etc"))


def test_an_upload_whose_answer_was_lost_twenty_times_is_held_once() -> None:
    blobs, streams = MemoryBlobs(), MemoryStreams()
    request = upload(*(record(example(seed)) for seed in range(20)))
    for _ in range(21):
        reply = intake_on(blobs, streams).upload(request)
        assert len(reply.accepted) == 20
    assert len(list(blobs.list("examples"))) == 20
    assert len({entry["id"] for entry in entries(streams)}) == 20


def test_a_truth_that_is_corrected_replaces_the_one_before_and_is_told_again() -> None:
    blobs, streams = MemoryBlobs(), MemoryStreams()
    intake = intake_on(blobs, streams)
    intake.upload(upload(record(example())))
    for data in (truth(), truth(), truth(label=4)):
        intake.upload(upload(record(data, "truth")))
    assert blobs.read(f"truths/digits/{EXAMPLE_ID[7:]}", max_bytes=1000) == truth(label=4)
    assert len(entries(streams)) == 4, "also one that changed nothing: who took it first may have died before it told"


class AwayStreams(MemoryStreams):
    def append(self, stream: str, entries: Any) -> None:
        raise errors.UnavailableError("Redis did not answer")


def test_while_the_stream_is_away_examples_are_taken_all_the_same() -> None:
    blobs = MemoryBlobs()
    reply = intake_on(blobs, AwayStreams()).upload(upload(record(example()), record(truth(), "truth")))
    assert len(reply.accepted) == 2
    assert len(list(blobs.list("examples"))) == 1
    (path,) = blobs.list(contract.UNTOLD_FOLDER)
    told = untold.unpack(blobs.read(path, max_bytes=untold.MAX_BYTES), path)
    assert [(entry["kind"], entry["id"]) for entry in told] == [("example", EXAMPLE_ID), ("truth", EXAMPLE_ID)]


def test_what_neither_the_stream_nor_storage_is_told_of_is_not_acknowledged() -> None:
    with pytest.raises(errors.UnavailableError, match="no space"):
        intake_on(FullBlobs(room=1), AwayStreams()).upload(upload(record(example())))


class FullBlobs(MemoryBlobs):
    """A disk with room for so many blobs."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, path: str, data: bytes) -> None:
        if self.room <= 0:
            raise errors.UnavailableError("cannot write: no space left on device; free space")
        self.room -= 1
        super().write(path, data)


def test_a_full_disk_acknowledges_nothing_and_what_was_written_is_told() -> None:
    blobs, streams = FullBlobs(room=2), MemoryStreams()
    request = upload(*(record(example(seed)) for seed in range(4)))
    with pytest.raises(errors.UnavailableError, match="no space"):
        intake_on(blobs, streams).upload(request)
    blobs.room = 10
    assert len(intake_on(blobs, streams).upload(request).accepted) == 4
    assert len({entry["id"] for entry in entries(streams)}) == 4


def test_a_real_full_disk_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    intake = intake_on(blob_store.open_blobs(f"file://{tmp_path}"), MemoryStreams())

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(errors.UnavailableError, match="No space left"):
            intake.upload(upload(record(example())))
    assert len(intake.upload(upload(record(example()))).accepted) == 1


def test_two_gateways_that_take_the_same_upload_hold_it_once(tmp_path: Path) -> None:
    streams = MemoryStreams()
    gateways = [intake_on(DirectoryBlobs(tmp_path), streams) for _ in range(2)]
    request = upload(*(record(example(seed)) for seed in range(30)))
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda index: gateways[index % 2].upload(request), range(8)))
    assert all(len(reply.accepted) == 30 for reply in replies)
    names = list(DirectoryBlobs(tmp_path).list("examples"))
    assert len(names) == 30
    for name in names:
        data = DirectoryBlobs(tmp_path).read(name, max_bytes=10_000)
        assert digests.hex_of(digests.sha256(data)) == name.rsplit("/", 1)[1]


def upload_until_killed(folder: str, steps: str) -> None:
    """The child: an upload of three, killed right before one of its effects."""
    left = int(steps)

    class MortalBlobs(DirectoryBlobs):
        def write(self, path: str, data: bytes) -> None:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            super().write(path, data)

    class MortalStreams(MemoryStreams):
        def append(self, stream: str, entries: Any) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

    intake_on(MortalBlobs(Path(folder)), MortalStreams()).upload(upload(*(record(example(seed)) for seed in range(3))))


@pytest.mark.parametrize("steps", range(4))
def test_a_gateway_killed_between_any_two_steps_leaves_whole_blobs_and_takes_the_rest_later(
    tmp_path: Path, steps: int
) -> None:
    paths = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, __file__, str(tmp_path), str(steps)]
    child = subprocess.run(command, capture_output=True, timeout=60, env=os.environ | {"PYTHONPATH": paths})
    assert child.returncode == -signal.SIGKILL, child.stderr
    blobs = DirectoryBlobs(tmp_path)
    assert len(list(blobs.list("examples"))) == steps
    reply = intake_on(blobs, MemoryStreams()).upload(upload(*(record(example(seed)) for seed in range(3))))
    assert len(reply.accepted) == 3
    assert len(list(blobs.list("examples"))) == 3


if __name__ == "__main__":
    upload_until_killed(*sys.argv[1:])
