"""What one node may send: so much, of models that exist, of versions that it can have had, about its own examples."""

import contextlib
from typing import Any

import pytest
from ingesting import NOW_MS, PUBLISHED, Known

from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.adapters.streams.memory import MemoryStreams
from skerry.core import contract, digests, errors, uploads, writers
from skerry.core.uploads import Fault
from skerry.gateway import given_versions, metrics, refusals
from skerry.gateway.ingest import Ingest
from skerry.gateway.rates import Rate
from skerry.proto import fleet_pb2

V2, V3 = ("sha256:" + pair * 32 for pair in ("cd", "ef"))


def example(seed: int, node: str = "north", size_bytes: int = 4, **fields: Any) -> fleet_pb2.Record:
    tensor = fleet_pb2.CapturedTensor(name="x", datatype="UINT8", shape=[1, size_bytes], raw=bytes(size_bytes))
    known: dict[str, Any] = {"model": "digits", "digest": PUBLISHED, "answered_unix_ms": NOW_MS}
    made = fleet_pb2.Example(node=node, request_id=f"r{seed}", inputs=[tensor], **(known | fields))
    data = made.SerializeToString(deterministic=True)
    return fleet_pb2.Record(id=digests.sha256(data), example=data)


def truth(about: str, node: str = "north") -> fleet_pb2.Record:
    data = fleet_pb2.Truth(model="digits", node=node, example_id=about, label=0).SerializeToString(deterministic=True)
    return fleet_pb2.Record(id=digests.sha256(data), truth=data)


class Door:
    """One gateway's ingest on memory."""

    def __init__(self, known: Known, **rates: Rate) -> None:
        self.known, self.blobs = known, MemoryBlobs()
        self.intake = Ingest(self.blobs, MemoryStreams(), known.rules(**rates))

    def send(self, *records: fleet_pb2.Record, node: str = "north") -> fleet_pb2.UploadReply:
        return self.intake.upload(fleet_pb2.UploadRequest(node=node, records=records))

    @property
    def stored(self) -> list[str]:
        return [*self.blobs.list("examples"), *self.blobs.list("truths")]


def test_an_attacker_stores_nothing_for_models_that_do_not_exist() -> None:
    door = Door(Known())
    for second in range(12):
        door.known.now_s = second
        for number in range(10):
            with contextlib.suppress(errors.UnavailableError):  # it is not known yet whether the model is new
                door.send(example(number, model=f"made-up-{number}", size_bytes=10_000))
    assert door.stored == []
    assert {fault for _, fault in door.known.told} == {Fault.UNKNOWN_MODEL}


def test_what_one_node_stores_in_ten_seconds_is_a_burst_and_its_rate_and_another_node_is_not_held_up() -> None:
    door = Door(Known(), size_bytes=Rate(1000.0, 16_000.0))
    taken = 0
    for tenth in range(100):
        door.known.now_s = tenth / 10
        try:
            taken += len(door.send(*(example(100 * tenth + n, size_bytes=1000) for n in range(20))).accepted)
        except errors.OverloadedError:
            continue
    assert 20 <= taken <= 26, "16 kB and 1 kB a second, of rows that have somewhat more than 1 kB"
    assert (len(door.stored), {fault for _, fault in door.known.told}) == (taken, {Fault.HELD_BACK})
    assert len(door.send(example(1, node="south"), node="south").accepted) == 1


def test_of_an_upload_beyond_the_rate_the_rest_is_left_unanswered_and_in_order() -> None:
    door = Door(Known(), records=Rate(1.0, 3.0))
    batch = [example(seed) for seed in range(5)]
    reply = door.send(*batch)
    assert [list(reply.accepted), list(reply.refused)] == [[one.id for one in batch[:3]], []]
    with pytest.raises(errors.OverloadedError, match="keeps the rest"):
        door.send(*batch[3:])
    door.known.now_s = 2.0
    assert len(door.send(*batch[3:]).accepted) == 2


class Fleet(Known):
    """v2 was rolled out to `canary` and taken back, v3 is at its canary, `late`; v1 is stable."""

    def __init__(self) -> None:
        super().__init__()
        for number, digest, node, succeeded in ((2, V2, "canary", "False"), (3, V3, "late", "Unknown")):
            name = f"digits-v{number}"
            self.publish("digits", number, digest)
            self.objects.create("ModelRollout", name, {"model": "digits", "version": name}, manager=writers.CONTROLLER)
            waves = [{"name": "canary", "nodes": [node]}, {"name": "rest", "nodes": ["north", "south"]}]
            condition = {"type": "Succeeded", "status": succeeded, "reason": "x", "message": ""}
            status = {"waves": waves, "wave": 0, "stableVersion": "digits-v1", "conditions": [condition]}
            self.objects.patch("ModelRollout", name, manager=writers.CONTROLLER, status=status)
        self.watch()


@pytest.mark.parametrize(
    ("node", "digest", "fault"),
    [
        pytest.param("north", PUBLISHED, None, id="the stable version is every node's"),
        pytest.param("canary", V2, None, id="a spool of a canary that was taken back"),
        pytest.param("canary", V3, Fault.VERSION_NOT_GIVEN, id="a node says what only another canary can"),
        pytest.param("late", V3, None, id="the canary itself"),
        pytest.param("late", V2, None, id="what is older decides nothing"),
        pytest.param("north", V2, Fault.VERSION_NOT_GIVEN, id="a wave that was never reached gave nothing"),
        pytest.param("made-anew", PUBLISHED, None, id="a node whose object was made anew, or that is new"),
        pytest.param("north", "sha256:" + "99" * 32, Fault.UNKNOWN_VERSION, id="a version that nobody published"),
    ],
)
def test_the_version_is_one_that_the_node_can_have_had(node: str, digest: str, fault: Fault | None) -> None:
    door = Door(Fleet())
    record = example(1, node=node, digest=digest)
    if fault is not None:
        with pytest.raises(errors.UnavailableError, match="not known here yet"):
            door.send(record, node=node)
        door.known.now_s = given_versions.WAIT_S
    reply = door.send(record, node=node)
    assert bool(reply.accepted) is (fault is None)
    assert door.known.told == ([] if fault is None else [(node, fault)])


def test_an_assignment_counts_also_after_the_object_of_the_node_was_deleted() -> None:
    known = Fleet()
    given = [{"model": "digits", "digest": V2, "version": 2, "targetPath": "x"}]
    known.objects.create("EdgeNode", "north", {"assignments": given}, manager=writers.GATEWAY)
    known.watch()
    known.objects.delete("EdgeNode", "north")
    known.watch()
    assert len(Door(known).send(example(1, digest=V2)).accepted) == 1


@pytest.mark.parametrize(
    "odd", ["none", None, 7, {"model": 1}, ["x"], [{"model": []}], [{"nodes": 3}], [{"nodes": [[]]}]]
)
def test_an_odd_object_hides_nothing_of_the_others(odd: Any) -> None:
    known = Known()
    known.objects.create("EdgeNode", "a", {"assignments": odd}, manager=writers.GATEWAY)
    known.objects.create("ModelVersion", "b", {"model": odd, "version": odd, "digest": odd}, manager=writers.OPERATOR)
    known.objects.create("ModelRollout", "c", {"model": "digits", "version": odd}, manager=writers.CONTROLLER)
    status = {"waves": odd, "wave": 0, "stableVersion": odd, "conditions": odd}
    known.objects.patch("ModelRollout", "c", manager=writers.CONTROLLER, status=status)
    known.publish("digits", 2, V2)
    known.settle("digits", 2)
    assert len(Door(known).send(example(1, digest=V2)).accepted) == 1


def test_a_version_that_another_gateway_saw_first_is_waited_for() -> None:
    door = Door(Known())
    with pytest.raises(errors.UnavailableError):
        door.send(example(1, digest=V2))
    door.known.publish("digits", 2, V2)
    door.known.settle("digits", 2)
    assert len(door.send(example(1, digest=V2)).accepted) == 1
    assert door.known.told == []


def test_a_truth_waits_with_its_example_and_is_not_refused_for_ever() -> None:
    door = Door(Known())
    early, other = example(1, digest=V2), example(2)
    reply = door.send(early, truth(early.id), other)
    assert (list(reply.accepted), list(reply.refused)) == ([other.id], [])
    with pytest.raises(errors.UnavailableError, match="it is kept"):
        door.send(early, truth(early.id))
    door.known.publish("digits", 2, V2)
    door.known.settle("digits", 2)
    assert len(door.send(early, truth(early.id)).accepted) == 2
    assert door.known.told == []


def test_a_truth_is_refused_with_its_example_once_that_was_waited_for() -> None:
    door = Door(Known())
    made_up = example(1, digest=V2)
    with pytest.raises(errors.UnavailableError):
        door.send(made_up, truth(made_up.id))
    door.known.now_s = given_versions.WAIT_S
    assert len(door.send(made_up, truth(made_up.id)).refused) == 2
    assert [fault for _, fault in door.known.told] == [Fault.UNKNOWN_VERSION, Fault.NO_EXAMPLE]


def test_a_miss_of_days_ago_takes_nothing_off_the_wait_of_today() -> None:
    door = Door(Known())
    for now_s in (0.0, 300_000.0):
        door.known.now_s = now_s
        with pytest.raises(errors.UnavailableError):
            door.send(example(1, model="new"))
    door.known.now_s += given_versions.WAIT_S
    assert len(door.send(example(1, model="new")).refused) == 1


def test_while_the_objects_are_away_nothing_is_refused_for_what_cannot_be_known() -> None:
    door = Door(Known())
    door.known.versions.silent_s = lambda: 60.0
    for now_s in (0.0, 100.0):
        door.known.now_s = now_s
        with pytest.raises(errors.UnavailableError):
            door.send(example(1, model="new"))
    assert len(door.send(example(1)).accepted) == 1


@pytest.mark.parametrize("answered_unix_ms", [0, 4_102_444_800_000, NOW_MS + 600_000], ids=["1970", "2100", "early"])
def test_a_row_of_a_time_that_cannot_be_is_kept_and_counted(answered_unix_ms: int) -> None:
    door = Door(Known())
    assert len(door.send(example(1, answered_unix_ms=answered_unix_ms)).accepted) == 1
    assert len(door.stored) == 1
    assert door.known.told == [("north", Fault.CLOCK_OFF)]


def test_a_truth_belongs_to_an_example_of_its_own_node() -> None:
    door = Door(Known())
    mine, others = example(1), example(2, node="south")
    door.send(others, node="south")
    reply = door.send(mine, truth(mine.id), truth(others.id), truth("sha256:" + "77" * 32))
    assert list(reply.accepted) == [mine.id, truth(mine.id).id]
    assert [fault for _, fault in door.known.told] == [Fault.OTHER_NODES_EXAMPLE, Fault.NO_EXAMPLE]
    assert [path for path in door.stored if path.startswith("truths/")] == [
        contract.truth_path("digits", mine.id.removeprefix("sha256:"))
    ]


def test_what_was_refused_stands_on_the_node_and_in_the_metrics() -> None:
    known, instruments = Known(), metrics.Instruments()
    known.objects.create("EdgeNode", "north", {}, manager=writers.GATEWAY)
    told = refusals.Refusals(known.objects, instruments, lambda: NOW_MS)
    for _ in range(3):
        told.tell("north", Fault.UNKNOWN_MODEL, "there is no EdgeModel x")
    told.tell("nobody", Fault.DAMAGED, "damaged")
    told.write()
    told.tell("north", Fault.UNKNOWN_MODEL, "there is no EdgeModel y")
    told.write()
    told.write()
    assert known.objects.get("EdgeNode", "north").status["refusals"] == {
        "counts": {"UnknownModel": 4},
        "message": "there is no EdgeModel y",
        "atUnixMs": NOW_MS,
    }
    assert b'skerry_gateway_upload_faults_total{reason="UnknownModel"} 4' in instruments.render()


def test_a_whole_fleet_that_is_held_back_is_written_a_few_nodes_at_a_time() -> None:
    known = Known()
    told = refusals.Refusals(known.objects, metrics.Instruments(), lambda: NOW_MS)
    for number in range(250):
        known.objects.create("EdgeNode", f"n-{number}", {}, manager=writers.GATEWAY)
        told.tell(f"n-{number}", Fault.HELD_BACK, "later")
    for written in (200, 250, 250):
        told.write()
        assert sum("refusals" in node.status for node in known.objects.list("EdgeNode")) == written


def test_every_fault_has_words() -> None:
    assert set(uploads.TEXTS) == set(Fault)
