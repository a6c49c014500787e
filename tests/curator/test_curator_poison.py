"""An example that kills its reader, or that no reader can bear, is set aside; everything else is labelled meanwhile."""

import json
from collections.abc import Callable
from typing import Any

import curating
import pytest

from skerry.core import digests, set_aside
from skerry.curator import examples, in_hand
from skerry.curator.set_aside import SetAsideStore
from skerry.proto import fleet_pb2

POISON = 3


@pytest.fixture
def poisonous(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Makes reading example POISON end in that."""
    real = examples.read

    def make(harm: BaseException) -> None:
        def read(data: bytes, example_id: str, task: Any) -> Any:
            if fleet_pb2.Example.FromString(data).request_id == f"r{POISON}":
                raise harm
            return real(data, example_id, task)

        monkeypatch.setattr(examples, "read", read)

    return make


def live(world: curating.World, rounds: int) -> bool:
    """A curator's life; False when it died in it. The dead tidy nothing up."""
    world.restart()
    try:
        world.work(rounds)
    except curating.Death:
        return False
    return True


def impatient_world() -> curating.World:
    """What a curator had in hand counts as a dead one's after 10 s."""
    return curating.World(settings=curating.settings(idle_seconds=6, teacher_timeout_seconds=4))


def record_of(world: curating.World, name: str) -> set_aside.SetAside | None:
    return SetAsideStore(world.blobs).find("digits", name, set_aside.EXAMPLE)


def killing_world(poisonous: Callable[[BaseException], None]) -> tuple[curating.World, list[str]]:
    poisonous(curating.Death())
    world = impatient_world()
    return world, [world.upload(curating.example(seed)) for seed in range(8)]


def test_an_example_that_kills_its_reader_is_set_aside_after_three_deaths_and_labelling_goes_on(
    poisonous: Callable[[BaseException], None],
) -> None:
    world, names = killing_world(poisonous)
    lives = [live(world, rounds) for rounds in (20, 20, 20, 20, *[2] * 8)]
    assert lives == [False] * in_hand.DEATHS + [True] * (12 - in_hand.DEATHS)
    assert set(world.labels) == {*names} - {names[POISON]}
    record = record_of(world, names[POISON])
    assert record is not None
    assert (record.reason, record.kind) == ("ReaderDied", "example")
    (event,) = world.events.told
    assert event[:3] == ("EdgeModel", "digits", "SetAside")
    assert event[3].startswith(f"ReaderDied: example {names[POISON][:12]}… is set aside: 3 curators died")
    assert world.state.dropped == {"ReaderDied": 1}


def test_what_the_dead_had_in_hand_waits_a_while_and_all_else_goes_on(
    poisonous: Callable[[BaseException], None],
) -> None:
    world, names = killing_world(poisonous)
    assert not live(world, 10)
    labelled = set(world.labels)
    more = {world.upload(curating.example(seed)) for seed in range(8, 28)}
    assert live(world, 8)  # less than 10 s: what was in hand may be a living one's
    assert labelled | more <= set(world.labels)
    assert [live(world, 20) for _ in range(2)] == [False, False]
    assert set(world.labels) == {*names, *more} - {names[POISON]}  # it was tried alone, at last behind all others


def test_a_labelled_example_that_kills_whoever_starts_is_set_aside_too(
    poisonous: Callable[[BaseException], None],
) -> None:
    world = impatient_world()
    names = [world.upload(curating.example(seed)) for seed in range(8)]
    world.work(4)
    assert set(world.labels) == {*names}
    for path in list(world.blobs.list("catalogue")):  # else nobody reads it at a start
        world.blobs.delete(path)
    poisonous(curating.Death())
    assert [live(world, 20) for _ in range(4)] == [False, False, False, True]
    assert world.state.captured_rows.counts.labeled == 7
    assert record_of(world, names[POISON]) is not None


def test_a_labelled_example_that_the_catalogue_knows_kills_nobody(poisonous: Callable[[BaseException], None]) -> None:
    world = impatient_world()
    for seed in range(8):
        world.upload(curating.example(seed))
    world.work(4)
    poisonous(curating.Death())
    assert [live(world, 20) for _ in range(2)] == [True, True]
    assert world.state.captured_rows.counts.labeled == 8


def catalogued_world() -> tuple[curating.World, list[str]]:
    """Eight rows that the catalogue knows and that lie in no part, as where a publisher dies between the two."""
    world = impatient_world()
    names = [world.upload(curating.example(seed)) for seed in range(8)]
    world.work(4)
    for path in list(world.blobs.list("sha256")):
        world.blobs.delete(path)
    return world, names


def rows_published(world: curating.World) -> set[str]:
    _, rows = world.dataset(world.state.published.digest)
    return {name.decode().removeprefix("sha256:") for some in rows.values() for name in some.id.tolist()}


def test_a_row_of_the_catalogue_that_kills_who_packs_it_is_set_aside_and_all_others_are_published(
    poisonous: Callable[[BaseException], None],
) -> None:
    world, names = catalogued_world()
    poisonous(curating.Death())
    assert [live(world, 40) for _ in range(in_hand.DEATHS + 1)] == [False] * in_hand.DEATHS + [True]
    assert record_of(world, names[POISON]) is not None
    assert rows_published(world) == {*names} - {names[POISON]}
    assert len(list(world.blobs.list("aside/digits"))) == 1, "its neighbours are not set aside"
    assert live(world, 20) and rows_published(world) == {*names} - {names[POISON]}


def test_a_row_of_the_catalogue_whose_reading_fails_is_set_aside_and_all_others_are_published(
    poisonous: Callable[[BaseException], None],
) -> None:
    world, names = catalogued_world()
    poisonous(MemoryError())
    assert live(world, 40)
    assert record_of(world, names[POISON]) is not None
    assert rows_published(world) == {*names} - {names[POISON]}


@pytest.mark.parametrize("harm", [MemoryError(), RecursionError("too deep")], ids=["no memory", "a bug"])
def test_an_example_whose_reading_fails_otherwise_is_set_aside_and_its_neighbours_are_not(
    poisonous: Callable[[BaseException], None], harm: Exception
) -> None:
    poisonous(harm)
    world = curating.World()
    names = [world.upload(curating.example(seed)) for seed in range(8)]
    world.work(30)
    assert set(world.labels) == {*names} - {names[POISON]}
    record = record_of(world, names[POISON])
    assert record is not None
    assert record.reason == "ReadFailed"
    assert type(harm).__name__ in record.message


def test_a_failure_that_passes_sets_nothing_aside(
    poisonous: Callable[[BaseException], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    poisonous(MemoryError())
    world = curating.World()
    names = [world.upload(curating.example(seed)) for seed in range(8)]
    world.work(4)
    monkeypatch.undo()
    world.work(20)
    assert set(world.labels) == {*names}
    assert list(world.blobs.list("aside/digits")) == []


def test_what_is_set_aside_is_tried_again_when_a_person_says_so(
    poisonous: Callable[[BaseException], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, names = killing_world(poisonous)
    assert [live(world, 20) for _ in range(4)][-1]
    monkeypatch.undo()
    SetAsideStore(world.blobs).forget("digits", names[POISON], set_aside.EXAMPLE)
    world.work(int(world.settings.rescan_seconds) + 4)
    assert set(world.labels) == {*names}


def test_deaths_of_others_set_nothing_aside() -> None:
    world = impatient_world()
    names = {world.upload(curating.example(seed)) for seed in range(8)}
    for life in range(5):  # an operator kills it in the middle of a batch, again and again
        path = f"labeling/dead-{life}.json"
        held = [["digits", name] for name in sorted(names)[life : life + 3]]
        world.blobs.write(path, json.dumps({"serial": 1, "inHand": held, "suspects": []}).encode())
        assert live(world, 20)
    assert set(world.labels) == names
    assert list(world.blobs.list("aside/digits")) == []
    assert list(world.blobs.list("labeling")) == []


@pytest.mark.parametrize("trouble", ["away", "missing"])
def test_a_suspect_whose_teacher_fails_is_acquitted_and_waits_as_any_other(trouble: str) -> None:
    """Before: it was tried again every five seconds, for ever, and held a suspect's place."""
    world = impatient_world()
    world.teacher.away, known = trouble == "away", world.teacher.models
    world.teacher.models = set() if trouble == "missing" else known
    name = world.upload(curating.example(1))
    world.blobs.write(
        "labeling/dead.json", json.dumps({"serial": 1, "inHand": [["digits", name]], "suspects": []}).encode()
    )
    assert live(world, 24)
    assert list(world.blobs.list("labeling")) == []
    assert len(world.state.teaching) == 1
    assert (world.state.teaching.is_missing, bool(world.state.teaching.trouble)) == (trouble == "missing", True)
    world.teacher.away, world.teacher.models = False, known
    world.work(8)
    assert world.labels == [name]


def test_a_curator_that_ends_in_order_leaves_nothing_in_hand() -> None:
    world = curating.World()
    world.teacher.away = True
    world.upload(curating.example(1))
    world.work(1)
    assert list(world.blobs.list("labeling")) == []


def test_a_list_that_cannot_be_read_is_removed_and_stops_nothing() -> None:
    world = curating.World()
    world.blobs.write("labeling/other-1.json", b'{"inHand": [["../x", "y"]], "suspects": []}')
    name = world.upload(curating.example(1))
    world.work(4)
    assert world.labels == [name]
    assert list(world.blobs.list("labeling")) == []


def test_a_damaged_record_stops_nothing_and_its_example_stays_aside() -> None:
    world = curating.World()
    names = [world.upload(curating.example(seed)) for seed in range(3)]
    world.blobs.write(f"aside/digits/{names[0]}.example.json", b"{")
    world.work(4)
    assert set(world.labels) == {*names[1:]}
    assert world.state.dropped == {"RecordDamaged": 1}


def in_hand_of(world: curating.World, curator: str) -> in_hand.InHand:
    return in_hand.InHand(world.blobs, curator, world.clock, stale_s=40.0)


def test_a_living_curators_list_is_left_alone_however_long_it_works() -> None:
    world = curating.World()
    mine, other = in_hand_of(world, "mine"), in_hand_of(world, "other")
    ref = in_hand.Ref("digits", digests.hex_of(digests.sha256(b"1")))
    for _ in range(10):
        other.take([ref])
        mine.look(5.0)
        assert not mine.lets(ref)
        world.clock.now_s += 30
    assert mine.condemned() == []
    other.lay_down([ref])
    other.tidy()
    mine.look(5.0)
    assert mine.lets(ref)


def test_a_death_counts_once_whoever_adopts_it() -> None:
    world = curating.World()
    dead, ref = in_hand_of(world, "dead"), in_hand.Ref("digits", digests.hex_of(digests.sha256(b"1")))
    dead.take([ref])
    document = world.blobs.read("labeling/dead.json", max_bytes=1 << 20)
    for heir in ("a", "b", "c", "d"):  # each dies before it has removed the list that it adopted
        one = in_hand_of(world, heir)
        for _ in range(2):
            one.look(1.0)
            world.clock.now_s += 41
        one.look(1.0)
        assert one.condemned() == []
        assert one.next_suspect() == ref
        world.blobs.write("labeling/dead.json", document)
