"""What was erased is not taken again, by whatever name the erasure means it, and nodes are told what to remove."""

from typing import Any

import ingesting
import pytest

from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.adapters.streams.memory import MemoryStreams
from skerry.core import contract, digests, writers
from skerry.core.uploads import Fault
from skerry.gateway import desired, ingest
from skerry.proto import fleet_pb2

SUBJECT = "ab" * 32


def example(**changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "model": "digits",
        "node": "north",
        "request_id": "visit#1",
        "subject": SUBJECT,
        "digest": ingesting.PUBLISHED,
        "answered_unix_ms": ingesting.NOW_MS,
        "inputs": [fleet_pb2.CapturedTensor(name="x", datatype="UINT8", shape=[1, 4], raw=b"1234")],
    }
    return bytes(fleet_pb2.Example(**(fields | changes)).SerializeToString(deterministic=True))


def record(data: bytes, kind: str = "example") -> fleet_pb2.UploadRequest:
    return fleet_pb2.UploadRequest(node="north", records=[{"id": digests.sha256(data), kind: data}])


@pytest.mark.parametrize(
    "spec",
    [
        {"node": "north"},
        {"example": digests.sha256(example())},
        {"beforeUnixMs": ingesting.NOW_MS + 1},
        {"request": "visit"},
        {"subject": SUBJECT},
    ],
    ids=lambda spec: "".join(spec),
)
def test_an_erased_example_is_refused_for_good_and_another_is_taken(spec: dict[str, Any]) -> None:
    known = ingesting.Known()
    intake = ingest.Ingest(MemoryBlobs(), MemoryStreams(), known.rules())
    known.objects.create("Erasure", "e1", {**spec, "model": "digits"}, manager=writers.OPERATOR)
    known.watch()
    reply = intake.upload(record(example()))
    assert [one.reason for one in reply.refused] == ["what the record is of was erased (e1): it is not taken again"]
    assert known.told == [("north", Fault.ERASED)]
    if "node" not in spec:
        other = example(request_id="other", subject="", answered_unix_ms=ingesting.NOW_MS + 2)
        assert intake.upload(record(other)).accepted
    known.objects.delete("Erasure", "e1")
    known.watch()
    assert intake.upload(record(example())).accepted


def test_the_truth_of_an_example_that_was_erased_is_refused() -> None:
    known, blobs = ingesting.Known(), MemoryBlobs()
    intake = ingest.Ingest(blobs, MemoryStreams(), known.rules())
    assert intake.upload(record(example())).accepted
    truth = {"model": "digits", "node": "north", "example_id": digests.sha256(example()), "label": 3}
    first = fleet_pb2.Truth(**truth).SerializeToString(deterministic=True)
    assert intake.upload(record(first, "truth")).accepted  # and the example's node is remembered
    known.objects.create("Erasure", "e1", {"subject": SUBJECT}, manager=writers.OPERATOR)
    known.watch()
    blobs.delete(contract.example_path("digits", digests.hex_of(digests.sha256(example()))))
    second = fleet_pb2.Truth(**(truth | {"label": 4})).SerializeToString(deterministic=True)
    assert intake.upload(record(second, "truth")).refused


def test_a_subject_that_is_no_hash_is_refused_and_not_repeated() -> None:
    intake = ingest.Ingest(MemoryBlobs(), MemoryStreams(), ingesting.Known().rules())
    (refused,) = intake.upload(record(example(subject="Jane Doe"))).refused
    assert "no keyed hash" in refused.reason and "Jane" not in refused.reason


def test_a_node_is_told_what_concerns_it_with_the_number_that_it_confirms() -> None:
    known, view = ingesting.Known(), desired.View()
    for number, (name, spec) in enumerate([("a", {"node": "south"}), ("b", {"request": "visit"})], start=1):
        known.objects.create("Erasure", name, spec, manager=writers.OPERATOR)
        known.objects.patch("Erasure", name, status={"number": number}, manager=writers.CONTROLLER)
    changes, revision = known.objects.changes(0, timeout_s=0, kinds=desired.KINDS)
    assert view.apply(changes, revision) is None
    north, south = view.desired("north"), view.desired("south")
    assert [one.WhichOneof("what") for one in north.erasures] == ["request"]
    assert [one.WhichOneof("what") for one in south.erasures] == ["node", "request"]
    assert north.erased_up_to == south.erased_up_to == 2


def test_an_erasure_that_cannot_be_read_means_nothing() -> None:
    known, view = ingesting.Known(), desired.View()
    known.objects.create("Erasure", "odd", {"node": "north", "request": "visit"}, manager=writers.OPERATOR)
    changes, revision = known.objects.changes(0, timeout_s=0, kinds=("Erasure",))
    assert view.apply(changes, revision) == frozenset()
    assert not view.desired("north").erasures
