"""What the curator cannot use is counted and stops nothing; a full disk and a server that is away lose nothing."""

import json
from typing import Any

import curating
import pytest

from skerry.core import digests, errors
from skerry.curator.set_aside import SetAsideStore
from skerry.proto import fleet_pb2


def read_label(world: curating.World, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.blobs.read(f"labels/digits/{name}.json", max_bytes=10_000))
    return found


BAD_INPUTS: dict[str, dict[str, Any]] = {
    "a model of another name": {"model": "faces"},
    "two inputs": {"inputs": [fleet_pb2.CapturedTensor(name="image", datatype="UINT8", shape=[2, 2], raw=b"1234")]},
}


@pytest.mark.parametrize("fields", BAD_INPUTS.values(), ids=BAD_INPUTS.keys())
def test_an_example_that_cannot_be_used_is_counted_and_stops_nothing(fields: dict[str, Any]) -> None:
    world = curating.World()
    world.upload(curating.example(1, **fields))
    good = world.upload(curating.example(2))
    world.work(3)
    assert world.labels == [good]
    assert sum(world.state.dropped.values()) == 1
    world.clock.now_s += world.settings.rescan_seconds
    world.work(3)
    assert sum(world.state.dropped.values()) == 1


def test_bytes_that_are_no_example_or_not_of_their_digest_are_counted() -> None:
    world = curating.World()
    world.upload(b"\xff\xff\xff")
    damaged = world.upload(curating.example(1))
    world.blobs.write(f"examples/digits/{damaged}", curating.example(2))
    world.work(3)
    assert world.labels == []
    assert world.state.dropped == {"malformed": 1, "damaged": 1}


def test_an_example_that_the_teacher_refuses_is_refused_alone_and_asked_again_later() -> None:
    world = curating.World()
    world.teacher.refuses = 1
    names = [world.upload(curating.example(seed)) for seed in range(4)]
    world.work(3)
    assert set(world.labels) == {names[0], names[2], names[3]}
    assert world.state.dropped == {"refusedByTeacher": 1}
    world.teacher.refuses = None
    world.clock.now_s += 601
    world.work(3)
    assert set(world.labels) == set(names)
    assert world.state.dropped == {}


def test_an_answer_that_is_not_finite_is_no_label() -> None:
    world = curating.World()
    world.teacher.infinite = 1
    names = [world.upload(curating.example(seed)) for seed in range(3)]
    world.work(3)
    assert set(world.labels) == {names[0], names[2]}
    assert world.state.dropped == {"teacherNotFinite": 1}


def test_a_damaged_label_is_made_again() -> None:
    world = curating.World()
    name = world.upload(curating.example(1))
    world.work(2)
    world.blobs.write(f"labels/digits/{name}.json", b"{")
    for path in list(world.blobs.list("catalogue")):  # that knows what the label was
        world.blobs.delete(path)
    world.restart()
    world.work(3)
    assert read_label(world, name)["label"] == 1


def test_entries_that_are_malformed_or_of_a_model_nobody_has_do_not_stay() -> None:
    world = curating.World()
    good = curating.example(1)
    for fields in (
        {},
        {"model": "digits", "id": "x", "kind": "example"},
        {"model": "digits", "id": "sha256:", "kind": ""},
        {"model": "../digits", "id": digests.sha256(good), "kind": "example"},
    ):
        world.streams.append("skerry:examples", [fields])
    world.streams.append("skerry:examples", [{"model": "faces", "id": digests.sha256(good), "kind": "example"}])
    world.upload(good)
    world.work(4)
    assert len(world.labels) == 1
    assert world.streams.read("skerry:examples", "curator", "other", count=10, block_s=0) == []
    store = SetAsideStore(world.blobs)
    records = [store.find("", name, kind) for name, kind in store.names("")]
    assert [record.reason for record in records if record] == ["EntryMalformed"] * 4
    assert world.setting_aside.entries == {"EntryMalformed": 4}


def test_a_flood_of_malformed_entries_fills_no_storage() -> None:
    world = curating.World()
    world.streams.append("skerry:examples", [{"n": str(n)} for n in range(150)])
    good = world.upload(curating.example(1))
    world.work(3)
    assert world.labels == [good]
    assert len(list(SetAsideStore(world.blobs).names(""))) == 100
    assert world.setting_aside.entries == {"EntryMalformed": 150}


def test_entries_that_a_person_dropped_make_room_for_others() -> None:
    world = curating.World()
    world.streams.append("skerry:examples", [{"n": str(n)} for n in range(100)])
    world.work(2)
    store = SetAsideStore(world.blobs)
    for name, kind in list(store.names(""))[:40]:
        store.drop("", name, kind)
    world.clock.now_s += world.settings.rescan_seconds
    world.work(2)
    world.streams.append("skerry:examples", [{"more": str(n)} for n in range(50)])
    world.work(2)
    assert len(list(store.names(""))) == 100


class KillingStreams(curating.MemoryStreams):
    """An entry whose content kills whoever reads it."""

    def read(self, *args: Any, **limits: Any) -> Any:
        entries = super().read(*args, **limits)
        if any("poison" in entry.fields for entry in entries):
            raise MemoryError
        return entries


def test_an_entry_that_kills_whoever_reads_it_is_read_no_more_after_five_times() -> None:
    world = curating.World(streams=KillingStreams(idle_s=0.0))
    good = world.upload(curating.example(1))
    world.streams.append("skerry:examples", [{"poison": "x"}])
    deaths = 0
    for _ in range(12):
        world.restart()
        try:
            world.work(3)
        except MemoryError:
            deaths += 1
    assert deaths == 5
    assert world.labels == [good]
    (record,) = SetAsideStore(world.blobs).names("")
    assert record[1] == "entry"
    assert list(world.streams.read("skerry:examples", "curator", "other", count=10, block_s=0)) == []


class BrokenBlobs(curating.MemoryBlobs):
    """Storage that fails at one write of some kind, and then works again."""

    def __init__(self, prefix: str, failures: int) -> None:
        super().__init__()
        self.prefix, self.failures = prefix, failures

    def write(self, path: str, data: bytes) -> None:
        if path.startswith(self.prefix) and self.failures > 0:
            self.failures -= 1
            raise errors.UnavailableError("no space left on device")
        super().write(path, data)


@pytest.mark.parametrize("prefix", ["labels/", "sha256/", "datasets/", "labeling/"])
def test_a_full_disk_is_waited_out_at_any_write(prefix: str) -> None:
    world = curating.World(blobs=BrokenBlobs(prefix, failures=3))
    names = {world.upload(curating.example(seed)) for seed in range(6)}
    for _ in range(6):
        world.work(6)
        world.clock.now_s += 6
    assert set(world.labels) == names
    assert world.state.published.captured == 6


class AwayStreams(curating.MemoryStreams):
    """A server that is away for a while, and comes back with all it had."""

    away = False

    def read(self, *args: Any, **limits: Any) -> Any:
        if self.away:
            raise errors.UnavailableError("Redis did not answer")
        return super().read(*args, **limits)

    def ack(self, *args: Any) -> None:
        if self.away:
            raise errors.UnavailableError("Redis did not answer")
        super().ack(*args)


def test_while_the_server_is_away_scans_go_on_and_when_it_is_back_all_is_looked_at_again() -> None:
    streams = AwayStreams(idle_s=0.0)
    world = curating.World(streams=streams)
    world.work(1)
    streams.away = True
    first = world.upload(curating.example(1), entry=False)
    world.clock.now_s += world.settings.rescan_seconds
    world.work(2)
    assert world.labels == [first]
    second = world.upload(curating.example(2), entry=False)
    streams.away = False
    world.work(2)  # no rescan is due yet: the return of the server is what makes it look
    assert set(world.labels) == {first, second}
