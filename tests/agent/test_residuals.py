"""A truth that comes by feedback makes the next answers of its source hard where the answer was far off, and is counted
for the version that gave it; what waits for a truth is bounded."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import agent_cascade
import pytest
from agent_forecaster import HOUR_MS, LOAD, NARROW, forecaster, served

from skerry.agent.residual_memory import ResidualMemory
from skerry.agent.warning_watch import WarningWatch
from skerry.core import residuals
from skerry.core.inference import InferReply

FAR, NEAR = (50.0,), (5.5,)  # from 5, with a bound of 3


async def ask(node: agent_cascade.Node, request_id: str, hour: int = 0, series: str = "", **fields: Any) -> InferReply:
    stamp = ({"skerry_time": hour * HOUR_MS} if hour else {}) | ({"skerry_series": series} if series else {})
    return await node.ask(NARROW, id=request_id, parameters=stamp, remaining_s=0.2, **fields)


def tell(node: agent_cascade.Node, request_id: str, truth: tuple[float, ...]) -> None:
    node.residuals.settle("digits", request_id, f"answer to {request_id}", truth, LOAD.digest)


def route(reply: InferReply) -> tuple[str, bool]:
    """Where it went, and is it told as hard?"""
    return str(reply.parameters["skerry_route"]), float(str(reply.parameters["skerry_confidence"])) < 0.2


async def test_after_a_forecast_that_was_far_off_the_next_of_that_series_is_hard(tmp_path: Path) -> None:
    node = await forecaster(tmp_path)
    assert route(await ask(node, "q1", 10, "plant-1")) == ("local", False)
    tell(node, "q1", FAR)
    asked = {
        "the same series": await ask(node, "q2", 11, "plant-1"),
        "another series": await ask(node, "q3", 11, "plant-2"),
        "no series": await ask(node, "q4", 11),
        "two horizons later": await ask(node, "q5", 13, "plant-1"),
    }
    assert {name: route(reply) for name, reply in asked.items()} == {
        "the same series": ("cloud", True),
        "another series": ("local", False),
        "no series": ("local", False),
        "two horizons later": ("local", False),
    }
    assert [row.confidence < 0.2 for row in node.kept] == [False, True, False, False, False]
    tell(node, "q2", NEAR)
    assert route(await ask(node, "q6", 12, "plant-1")) == ("local", False), "the newest truth counts"


async def test_where_no_series_is_named_the_source_is_the_model(tmp_path: Path) -> None:
    node = await forecaster(tmp_path)
    await ask(node, "q1")
    tell(node, "q1", FAR)
    assert route(await ask(node, "q2")) == ("cloud", True)
    assert route(await ask(node, "q3", 11, "plant-1")) == ("local", False)
    node.now_s += 2 * LOAD.horizon_ms / 1000 + 1
    assert route(await ask(node, "q4")) == ("cloud", True), "a caller that asks once a step is a little late"
    node.now_s += LOAD.step_ms / 2000
    assert route(await ask(node, "q5")) == ("local", False), "by the node's clock a horizon after the truth was due"


async def test_another_version_is_not_blamed(tmp_path: Path) -> None:
    node = await forecaster(tmp_path)
    await ask(node, "q1", 10, "plant-1")
    await served(node, 4)
    tell(node, "q1", FAR)
    assert route(await ask(node, "q2", 11, "plant-1")) == ("local", False)
    assert node.load.read()[0].truths == 0, "the truth was about the version before"


async def test_readings_carry_truths_error_and_coverage_of_the_version(tmp_path: Path) -> None:
    node = await forecaster(tmp_path)
    for number, truth in enumerate([(5.5,), (4.0,), (9.0,), (6.0,)]):  # of 5 in 4 to 6
        await ask(node, f"q{number}", number + 1, "plant-1")
        tell(node, f"q{number}", truth)
        tell(node, f"q{number}", (1000.0,))  # of an answer the first truth counts
    tell(node, "never asked", (1.0,))
    (reading,) = node.load.read()
    assert (reading.truths, reading.absolute_error, reading.coverage) == (4, pytest.approx(6.5 / 4), 0.75)
    assert sum(reading.confidence_counts[:4]) == 0, "drift compares what the version says by itself"


async def test_rows_of_one_request_are_told_apart(tmp_path: Path) -> None:
    node = await forecaster(tmp_path)
    await node.ask(NARROW, [0.0, 0.0, 0.0, 2.0], id="q")
    for row, truth in (("q#1", (10.0,)), ("q#0", (5.0,))):
        node.residuals.settle("digits", row, "answer to q", truth, LOAD.digest)
    (reading,) = node.load.read()
    assert (reading.truths, reading.absolute_error) == (2, 0.0)


async def test_an_id_that_several_answers_have_tells_none_without_the_answers_name(tmp_path: Path) -> None:
    node = await forecaster(tmp_path)
    names = iter(("a", "b"))
    node.name = lambda model, request_id: (next(names), "")  # type: ignore[method-assign]
    await ask(node, "q")
    await ask(node, "q")
    node.residuals.settle("digits", "q", None, FAR, LOAD.digest)
    assert node.residuals.awaited == 2
    node.residuals.settle("digits", "q", "b", FAR, LOAD.digest)
    node.residuals.settle("digits", "q", None, NEAR, LOAD.digest)
    assert node.residuals.awaited == 0 and node.load.read()[0].truths == 2


async def test_classes_are_not_waited_for(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path)
    await node.ask(agent_cascade.UNSURE)
    assert len(node.kept) == 1 and node.residuals.awaited == 0 and not node.residuals.knows_sources


async def test_what_waits_is_bounded_in_bytes_and_sources(tmp_path: Path) -> None:
    node = await forecaster(tmp_path)
    await ask(node, "q", 1, "plant-1")
    (row,) = node.kept
    told: list[residuals.Residual] = []

    def filled(series: str = "s", **limits: int) -> ResidualMemory:
        watch = WarningWatch(lambda: 0)
        memory = ResidualMemory(lambda: 0.0, lambda model, digest, residual: told.append(residual), watch, **limits)
        for number in range(40):
            stamp = row.stamp._replace(series=f"{series}{number}")
            memory.remember(replace(row, request_id=f"q{number}", stamp=stamp), LOAD)
        return memory

    assert (filled(max_bytes=10_000).awaited, filled(max_bytes=10_000).not_awaited) == (8, 32)
    assert filled("ö" * 100, max_bytes=10_000).awaited == 6, "names weigh"
    memory = filled(max_sources=3)
    for number in range(40):
        memory.settle("digits", f"q{number}", row.answer, FAR, LOAD.digest)
    assert (memory.awaited, len(memory._sources), len(told)) == (0, 3, 40)
