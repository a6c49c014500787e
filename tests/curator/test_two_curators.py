"""Two curators at once: both label, one publishes; and what is left when one is killed."""

import json
from typing import Any

import curating

from skerry.core import contract
from skerry.proto import fleet_pb2


def beside(world: curating.World, name: str = "c2") -> curating.World:
    """Another curator on the same storage and servers."""
    return curating.World(
        blobs=world.blobs,
        streams=world.streams,
        fleetstate=world.fleetstate,
        objects=world.objects,
        teacher=world.teacher,
        clock=world.clock,
        settings=world.settings,
        board=world.board,
        has_ended=lambda curator: curator.startswith("dead"),
        name=name,
        is_second=True,
    )


def upload(world: curating.World, seeds: range) -> set[str]:
    return {world.upload(curating.example(seed, kind=fleet_pb2.EXPLORATION)) for seed in seeds}


def work(*worlds: curating.World, rounds: int = 6) -> None:
    for _ in range(rounds):
        for world in worlds:
            world.work(1)


def reading(world: curating.World) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(world.fleetstate.get(contract.CURATOR_READINGS)["curator:digits"])
    return told


def rows_in(world: curating.World, digest: str) -> int:
    return sum(map(len, world.dataset(digest)[1].values()))


def test_two_label_and_one_publishes_all_of_it() -> None:
    first = curating.World(settings=curating.settings(batch_rows=64))
    second = beside(first)
    for start in range(0, 60, 10):
        upload(first, range(start, start + 5))
        second.work(1)
        upload(first, range(start + 5, start + 10))
        first.work(1)
    work(first, second)
    assert len(first.labels) == 60 and first.teacher.asked == 60, "each is labelled once"
    assert second.state.published is None and first.state.published is not None
    assert rows_in(first, first.state.published.digest) == 60
    assert (reading(first)["labeled"], reading(first)["captured"]) == (60, 60)


def test_a_reading_is_of_the_one_that_publishes() -> None:
    first = curating.World()
    upload(first, range(20))
    work(first)
    second = beside(first)
    before = reading(first)
    work(second)
    assert reading(first) == before and second.state.published is None


def test_when_the_publisher_is_killed_the_other_goes_on_from_what_it_published() -> None:
    first = curating.World(settings=curating.settings(batch_rows=64), name="dead")
    second = beside(first)
    upload(first, range(30))
    work(first, second)
    before = first.state.published
    upload(first, range(30, 40))
    first.work(1)  # it has labelled some, and published none of it
    first._lease.release()  # as the system does when a process ends
    work(second, rounds=10)
    assert second.state.published is not None and second.state.published.digest != before.digest
    assert rows_in(second, second.state.published.digest) == 40 and first.teacher.asked == 40
    assert reading(second)["captured"] == 40


def test_what_a_labeler_that_is_killed_had_in_its_queue_is_labelled_by_another() -> None:
    first = curating.World(settings=curating.settings(batch_rows=64))
    second = beside(first, name="dead")
    work(first, second)
    first.teacher.away = True
    upload(first, range(20))
    second.work(2)  # it has read the entries, and the teacher did not answer
    first.teacher.away = False
    first.work(2)
    assert first.labels == []
    first.fleetstate.put(contract.labeler_reading(f"{second.name}-{second.lives}"), "{}", ttl_s=0.0)
    work(first, rounds=12)
    assert len(first.labels) == 20 and rows_in(first, first.state.published.digest) == 20


class Deaf(curating.MemoryStreams):
    """Takes entries for labelers, and none for the publisher."""

    def append(self, stream: str, entries: Any) -> None:
        if stream == contract.LABELLED:
            raise curating.errors.UnavailableError("Redis did not answer")
        super().append(stream, entries)


def test_labels_that_the_publisher_is_not_told_of_are_found_by_its_next_scan() -> None:
    first = curating.World(streams=Deaf(), settings=curating.settings(batch_rows=64))
    second = beside(first)
    upload(first, range(12))
    work(second, rounds=3)
    assert len(first.labels) == 12
    first.clock.now_s += first.settings.rescan_seconds
    work(first)
    assert rows_in(first, first.state.published.digest) == 12 and first.teacher.asked == 12


def test_a_publisher_that_lost_the_lease_publishes_no_more() -> None:
    first = curating.World(settings=curating.settings(batch_rows=64))
    second = beside(first)
    upload(first, range(10))
    work(first, second)
    first.board.holder = second._lease
    work(second, first)
    upload(first, range(10, 20))
    work(first, second)
    assert first.state.published is None
    assert rows_in(second, second.state.published.digest) == 20 and reading(second)["captured"] == 20
