"""Whatever becomes of one model's teacher, the labels, truths and verdicts of the others go on."""

import asyncio
from typing import Any

import curating
import pytest
from numpy.typing import NDArray

from skerry.core import digests
from skerry.curator.label_task import LabelTask
from skerry.curator.teacher import Answer, TeacherError
from skerry.curator.teaching_queue import TeachingQueue, Work
from skerry.proto import fleet_pb2

FLOOD = 5000


def of_faces(seed: int, **fields: Any) -> bytes:
    example = fleet_pb2.Example.FromString(curating.example(seed, **fields))
    example.model = "faces"
    return bytes(example.SerializeToString(deterministic=True))


def truth_of_faces(data: bytes, label: int) -> bytes:
    truth = fleet_pb2.Truth.FromString(curating.truth(data, label))
    truth.model = "faces"
    return bytes(truth.SerializeToString(deterministic=True))


def world_of_two(teacher: curating.FakeTeacher | None = None) -> curating.World:
    world = curating.World(teacher=teacher or curating.FakeTeacher(), settings=curating.settings(batch_rows=64))
    world.objects.create("EdgeModel", "faces", curating.SPEC, manager="operator")
    world.clock.now_s += 1
    world.schedule.tick()
    return world


def test_a_flood_for_a_model_without_a_teacher_holds_up_no_label_of_another() -> None:
    world = world_of_two()
    for seed in range(FLOOD):
        world.upload(of_faces(seed), model="faces")
    names = {world.upload(curating.example(seed)) for seed in range(300)}
    world.work(2 + (FLOOD + 300) // 256 + 300 // 64)
    assert set(world.labels) == names
    assert len(world.labeling.models["faces"].teaching) == 1  # it asks with this one


def test_truths_and_evidence_need_no_teacher() -> None:
    world = world_of_two()
    exploration = fleet_pb2.EXPLORATION
    examples = [of_faces(seed, kind=exploration, answered_unix_ms=7_000) for seed in range(20)]
    for data in examples:
        world.upload(data, model="faces")
    world.work(2)
    for data in examples:
        world.upload(truth_of_faces(data, 1), kind="truth", about=data, model="faces")
    world.work(2)
    assert len(world.labels_of("faces")) == 20
    assert curating.counted(world, "faces", curating.VERSION, "north", 7_000) == 2 * [(20, 20)]


def test_a_truth_that_came_before_its_example_labels_it_without_a_teacher() -> None:
    world = world_of_two()
    world.upload(of_faces(0), model="faces")  # holds the one place that a model without a teacher has
    world.work(1)
    data = of_faces(1)
    world.upload(truth_of_faces(data, 2), kind="truth", about=data, model="faces")
    name = world.upload(data, model="faces")
    world.clock.now_s += world.settings.rescan_seconds
    world.work(3)
    assert world.labels_of("faces") == [name]


def test_a_teacher_that_appears_labels_all_that_waited() -> None:
    world = world_of_two()
    names = {world.upload(of_faces(seed), model="faces") for seed in range(500)}
    world.work(8)
    world.teacher.models.add("faces")
    world.work(15)  # less than a rescan
    assert set(world.labels_of("faces")) == names


class SilentTeacher(curating.FakeTeacher):
    """Never answers for `faces`."""

    async def ask(self, task: LabelTask, rows: NDArray[Any]) -> Answer:
        if task.model == "faces":
            await asyncio.Event().wait()
        return await super().ask(task, rows)


def test_a_teacher_that_is_slow_for_one_model_is_not_slow_for_the_others() -> None:
    world = world_of_two(SilentTeacher())
    for seed in range(100):
        world.upload(of_faces(seed), model="faces")
    world.work(1)
    names = {world.upload(curating.example(seed)) for seed in range(130)}
    world.work(4)
    assert set(world.labels) == names
    assert len(world.labeling.models["faces"].teaching) == 100


class FragileTeacher(curating.FakeTeacher):
    """Dies of one row, and of any request that holds it."""

    deaths = 0

    async def ask(self, task: LabelTask, rows: NDArray[Any]) -> Answer:
        if (rows.reshape(len(rows), -1)[:, 2] == 7).any():
            self.deaths += 1
            raise TeacherError("the teacher's link broke")
        return await super().ask(task, rows)


def test_a_row_that_the_teacher_cannot_bear_costs_its_neighbours_one_retry_and_is_set_aside_in_the_end() -> None:
    world = world_of_two(FragileTeacher())
    names = [world.upload(curating.example(seed)) for seed in range(20)]
    world.work(30)
    assert set(world.labels) == {*names} - {names[7]}
    assert world.state.dropped == {}  # it failed again and again, and there is nobody to compare it with
    for seed in range(20, 24):
        names.append(world.upload(curating.example(seed)))
        world.work(12)
    assert set(world.labels) == {*names} - {names[7]}
    assert world.state.dropped == {"TeacherFailed": 1}
    assert len(world.state.teaching) == 0


@pytest.mark.parametrize("order", ["truth first", "truth last", "truth after a restart"])
def test_a_truth_labels_the_row_that_the_teacher_cannot_bear_for_good(order: str) -> None:
    world = world_of_two(FragileTeacher())
    data = curating.example(7)

    def tell() -> None:
        world.upload(curating.truth(data, 2), kind="truth", about=data)

    if order == "truth first":
        tell()
    name = world.upload(data)
    for seed in range(20, 24):
        world.upload(curating.example(seed))
        world.work(12)
    assert world.state.backlog.set_aside == {"TeacherFailed": 1}
    deaths = world.teacher.deaths
    if order == "truth last":
        tell()
        world.work(2)
    for _ in range(2):
        world.restart()
        world.work(8)
        if order == "truth after a restart":
            tell()
    row = next(row for row in world.state.captured_rows.rows if row.hex == name)
    assert (row.label.source, row.label.label) == ("GroundTruth", 2)
    assert world.state.published.captured == 5
    assert world.state.dropped == {} and world.state.backlog.set_aside == {"TeacherFailed": 1}
    assert world.teacher.deaths == deaths, "it is not asked again"


def test_a_teacher_that_is_away_however_long_sets_nothing_aside() -> None:
    world = world_of_two()
    world.teacher.away = True
    names = {world.upload(curating.example(seed)) for seed in range(3)}
    world.work(60)
    world.teacher.away = False
    world.work(12)
    assert set(world.labels) == names
    assert world.events.told == []


def works(count: int) -> list[Work]:
    return [Work("digits", digests.hex_of(digests.sha256(b"%d" % number)), truth=False) for number in range(count)]


def queue_of(count: int, batch_rows: int = 8) -> TeachingQueue:
    queue = TeachingQueue(batch_rows, places=100)
    for work in works(count):
        assert queue.offer(work)
    return queue


def test_a_teacher_that_fails_is_asked_less_and_less_often_and_with_less() -> None:
    queue = queue_of(20)
    now_s, sizes, waits = 0.0, [], []
    for _ in range(7):
        sizes.append(len(queue.take(now_s)))
        queue.failed("it is away", now_s, teacher=True)
        waits.append(next(step / 10 for step in range(1, 100) if queue.is_due(now_s + step / 10 + 1e-9)))
        now_s += waits[-1] + 1e-9
    assert sizes == [8, 4, 2, 1, 1, 1, 1]
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_after_a_failure_of_storage_the_same_are_asked_together_again() -> None:
    queue = queue_of(5)
    asked = queue.take(0.0)
    queue.failed("the disk is full", 0.0, teacher=False)
    assert queue.take(60.0) == asked


@pytest.mark.parametrize("missing", [False, True], ids=["away", "missing"])
def test_the_queue_holds_what_it_has_places_for(missing: bool) -> None:
    queue = queue_of(100)
    if missing:
        queue.take(0.0)
        queue.missing("there is none", 0.0)
    assert not queue.offer(Work("digits", "ab" * 32, truth=False))
    assert queue.turned_away
    assert not queue.wants_scan
    assert len(queue) == (1 if missing else 100)
