"""An answer with a time that cannot be counts in no verdict, and its row is learned from."""

import curating
import pytest

from skerry.core import uploads
from skerry.proto import fleet_pb2

NOW_MS = 1_000_000  # of the world's clock
DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("answered_unix_ms", "counts"),
    [
        pytest.param(NOW_MS, True, id="now"),
        pytest.param(NOW_MS + uploads.SKEW_MS, True, id="by a clock that is somewhat ahead"),
        pytest.param(NOW_MS + uploads.SKEW_MS + 1, False, id="in the future"),
        pytest.param(4_102_444_800_000, False, id="in 2100"),
        pytest.param(-DAY_MS, False, id="before any counter that is kept"),
    ],
)
def test_what_the_clock_may_be(answered_unix_ms: int, counts: bool) -> None:
    world = curating.World()
    assert world.clock.unix_ms() == NOW_MS
    world.upload(curating.example(1, kind=fleet_pb2.EXPLORATION, answered_unix_ms=answered_unix_ms))
    world.work(3)
    counted = curating.counted(world, "digits", curating.VERSION, "north", answered_unix_ms)
    assert counted == 2 * [(1 if counts else 0, counted[0][1])]
    assert world.state.captured_rows.counts.exploration == 1
