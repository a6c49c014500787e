"""Where more answers wait for their truth than fit, a part still settles, no source crowds out the others, and what was
not kept is counted. What waits is compared with a truth of its own task alone, and tells finite numbers."""

import math
import warnings
from dataclasses import replace

import pytest

from skerry.adapters.telemetry import metrics as telemetry
from skerry.agent import metrics
from skerry.agent.capture.capture_queue import CapturedRow
from skerry.agent.residual_memory import ResidualMemory
from skerry.agent.warning_watch import WarningWatch
from skerry.core import sampling, series_stamp
from skerry.core.residuals import Residual
from skerry.core.tasks import Forecast

LOAD = Forecast("load", "kW", (100, 500, 900), 60, horizon=30)
ROOM_FOR_TEN = 12_500
FLOAT32_MAX = 3.4028234663852886e38


class Memory(ResidualMemory):
    def __init__(self, max_bytes: int = ROOM_FOR_TEN) -> None:
        self.now_s, self.told = 1000.0, list[Residual]()
        super().__init__(
            lambda: self.now_s,
            lambda model, digest, one: self.told.append(one),
            WarningWatch(lambda: 0),
            max_bytes=max_bytes,
        )

    def answer(
        self, request_id: str, series: str = "s", outputs: tuple[float, ...] = (1.0, 2.0, 3.0), unix_ms: int = 0
    ) -> None:
        row = CapturedRow(
            "m", request_id, "sha256:" + "0" * 64, sampling.Kind.EXPLORATION, (), outputs, 0.5, "", "", 0, LOAD.digest,
            series_stamp.Stamp(series, unix_ms), "a",
        )  # fmt: skip
        self.remember(row, LOAD)

    def truth(self, request_id: str, value: float = 2.0, task: Forecast = LOAD) -> bool:
        """Did it settle?"""
        before = len(self.told)
        self.settle("m", request_id, "a", (value,), task.digest)
        return len(self.told) > before


def settled(series: int, max_bytes: int) -> int:
    """Of the truths of 120 minutes: each series is asked once a minute, its truth comes a horizon later."""
    memory, count = Memory(max_bytes), 0
    for minute in range(120):
        memory.now_s += 60
        for one in range(series):
            memory.answer(f"{one}:{minute}", f"meter-{one}")
            count += minute >= LOAD.horizon and memory.truth(f"{one}:{minute - LOAD.horizon}")
    return count


def test_a_node_with_more_awaited_answers_than_fit_still_settles_a_part() -> None:
    for series in (1, 3, 20):
        assert settled(series, ROOM_FOR_TEN) >= 25, f"{series} series"
    assert settled(3, 1 << 20) == 3 * 90


def test_answers_whose_truth_never_came_make_room_a_horizon_after_it_was_due() -> None:
    memory = Memory()
    for number in range(20):
        memory.answer(f"never told {number}", f"s{number}")
    assert memory.awaited < 20 and memory.not_awaited == 20 - memory.awaited
    kept = memory.awaited
    memory.now_s += 2 * LOAD.horizon_ms / 1000
    memory.answer("too early")
    assert not memory.truth("too early")
    memory.now_s += 2
    memory.answer("in time")
    assert memory.truth("in time") and memory.not_awaited == 21 - kept


def test_one_source_does_not_crowd_out_the_others() -> None:
    memory = Memory(100_000)
    memory.answer("before", "honest")
    for number in range(500):
        memory.answer(f"x{number}", "greedy")
    for number in range(5):
        memory.answer(f"h{number}", "honest")
    assert all(memory.truth(name) for name in ("before", "h0", "h4")), "the greedy one gave way"
    assert memory.truth("x0") and not memory.truth("x499"), "and of it the oldest still settle"
    assert memory.awaited + memory.not_awaited + len(memory.told) == 506


def test_what_was_not_kept_is_told_as_a_metric() -> None:
    memory, families = Memory(), telemetry.Metrics()
    metrics.register_capture(families, None, memory)  # type: ignore[arg-type]  # no queue is asked here
    memory.not_awaited = 7
    gauge = families._families["skerry_forecasts_not_awaited_total"]
    assert list(gauge.lines()) == ["skerry_forecasts_not_awaited_total 7"]


def test_a_truth_in_another_task_than_the_answers_is_no_truth_of_it() -> None:
    for other in (replace(LOAD, unit="W"), replace(LOAD, steps=3)):
        memory = Memory()
        memory.answer("q")
        assert not memory.truth("q", task=other) and not memory.knows_sources
    memory.answer("q")
    assert memory.truth("q", task=replace(LOAD, naive=(7,))), "what a version must beat is no part of the task"


def test_an_answer_beyond_float32_is_off_by_a_finite_error_and_one_that_is_no_number_by_none() -> None:
    memory = Memory()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, outputs in enumerate([(1e39,) * 3, (math.inf,) * 3, (1.0, math.nan, 3.0)]):
            memory.answer(f"q{number}", outputs=outputs)
            memory.truth(f"q{number}", -3e38)
    assert [residual.error for residual in memory.told] == [pytest.approx(FLOAT32_MAX + 3e38)]


def test_after_an_answer_of_the_future_the_next_truths_of_its_series_still_count() -> None:
    memory = Memory()
    future_ms, now_ms = 4_000_000_000_000, 1_790_000_000_000
    for name, unix_ms in (("far", future_ms), ("near", now_ms)):
        memory.now_s += 60
        memory.answer(name, unix_ms=unix_ms)
        assert memory.truth(name, 100.0)
    assert memory._sources["m", "s"].answered.series_ms == now_ms
