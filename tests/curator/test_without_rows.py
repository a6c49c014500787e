"""Examples of a model whose privacy keeps no row: their truth counts for rollouts, and nobody learns from them."""

import curating

from skerry.proto import fleet_pb2


def rowless(seed: int) -> bytes:
    made = fleet_pb2.Example.FromString(curating.example(seed, kind=fleet_pb2.EXPLORATION))
    made.ClearField("inputs")
    return bytes(made.SerializeToString(deterministic=True))


def test_without_a_row_the_teacher_is_not_asked_and_the_truth_is_evidence_once() -> None:
    world = curating.World()
    data = rowless(1)
    world.upload(data)
    world.work(8)
    assert world.teacher.asked == 0 and world.labels == []
    world.upload(curating.truth(data, 2), kind="truth", about=data)
    world.upload(curating.truth(data, 2), kind="truth", about=data)
    world.work(8)
    world.restart()
    world.work(8)
    assert world.teacher.asked == 0 and world.state.captured_rows.rows == []
    answered = fleet_pb2.Example.FromString(data)
    counted = curating.counted(world, "digits", curating.VERSION, "north", answered.answered_unix_ms)
    assert set(counted) == {(1, 1)}
    assert world.state.dropped == {"noRow": 1} and world.state.backlog.refused == {}
