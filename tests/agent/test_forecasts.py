"""A node that forecasts: values with their unit, hard where the interval is wide, its truth a number that is later."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import agent_fakes
import pytest
from agent_forecaster import HOUR_MS, LOAD, NARROW, WIDE, forecaster

from skerry.agent.capture import capture_queue
from skerry.agent.feedback_servicer import truth_of
from skerry.core import errors
from skerry.core.series_stamp import Stamp
from skerry.core.tasks import Classification
from skerry.proto import edge_pb2, fleet_pb2


async def test_a_forecast_is_told_with_its_interval_and_unit(tmp_path: Path) -> None:
    node = await forecaster(tmp_path)
    reply = await node.ask(NARROW)
    told = {name: reply.parameters[f"skerry_{name}"] for name in ("route", "value", "low", "high", "unit")}
    assert told == {"route": "local", "value": "5", "low": "4", "high": "6", "unit": "kWh"}
    assert float(str(reply.parameters["skerry_confidence"])) == pytest.approx(0.9)
    assert "skerry_local_class" not in reply.parameters


async def test_a_wide_interval_is_hard_and_what_is_told_is_the_clouds(tmp_path: Path) -> None:
    node = await forecaster(tmp_path)
    reply = await node.ask(WIDE, remaining_s=0.2)
    assert (reply.parameters["skerry_route"], reply.parameters["skerry_reason"]) == ("cloud", "LowConfidence")
    assert (reply.parameters["skerry_value"], reply.parameters["skerry_high"]) == ("2", "4")
    assert node.kept[0].local_logits == (36.0, 45.0, 54.0) and node.kept[0].label_map == LOAD.digest


async def test_a_row_is_kept_with_its_series_and_the_series_own_time(tmp_path: Path) -> None:
    node = await forecaster(tmp_path)
    await node.ask(NARROW, parameters={"skerry_series": "plant-1", "skerry_time": 7 * HOUR_MS})
    await node.ask(NARROW, parameters={"skerry_series": "plant-1", "skerry_time": str(8 * HOUR_MS)})
    await node.ask(NARROW)
    stamps = [tuple(row.stamp) for row in node.kept]
    assert stamps == [("plant-1", 7 * HOUR_MS), ("plant-1", 8 * HOUR_MS), ("", 0)]


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"skerry_time": -1}, "skerry_time: must be whole Unix milliseconds"),
        ({"skerry_time": 0}, "skerry_time"),
        ({"skerry_time": 1.5}, "skerry_time"),
        ({"skerry_time": True}, "skerry_time"),
        ({"skerry_time": "2018-01-02"}, "'2018-01-02'"),
        ({"skerry_time": 1 << 60}, "skerry_time"),
        ({"skerry_series": ""}, "skerry_series: must be a text"),
        ({"skerry_series": 7}, "skerry_series: must be a text"),
        ({"skerry_series": "x" * 121}, "at most 120 bytes"),
        ({"skerry_series": "ü" * 61}, "at most 120 bytes"),
        ({"skerry_series": "a\ud800"}, "printable text"),
        ({"skerry_series": "a\nb"}, "printable text"),
    ],
)
async def test_a_series_or_time_that_cannot_be_is_refused_and_not_answered(
    tmp_path: Path, parameters: dict[str, Any], told: str
) -> None:
    node = await forecaster(tmp_path)
    with pytest.raises(errors.InputError, match=told):
        await node.ask(NARROW, parameters=parameters)
    assert node.kept == [] and node.teacher.asked == []


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"values": [3210.5]}, ""),
        ({"label": 2}, "give its value in kWh"),
        ({"values": [1.0, 2.0]}, "2 values were given, an answer has 1"),
        ({"values": [float("nan")]}, "not finite"),
        ({"values": [float("inf")]}, "not finite"),
        ({"values": [3.5e38]}, "the largest number that a dataset holds"),
    ],
)
def test_the_truth_of_a_forecast_is_a_number(fields: dict[str, Any], told: str) -> None:
    request = edge_pb2.FeedbackRequest(model="load", request_id="q", **fields)
    if told:
        with pytest.raises(errors.InputError, match=told):
            truth_of(request, LOAD)
    else:
        assert truth_of(request, LOAD) == (3210.5,)


def test_a_value_is_no_truth_of_a_classifier() -> None:
    request = edge_pb2.FeedbackRequest(model="press", request_id="q", values=[3210.5])
    with pytest.raises(errors.InputError, match="the model answers a class: give the label"):
        truth_of(request, Classification(("ok", "worn")))


async def test_a_truth_and_a_stamp_are_uploaded_as_they_were_given(tmp_path: Path) -> None:
    spool_thread = agent_fakes.make_spool_thread(tmp_path)
    queue = capture_queue.CaptureQueue(spool_thread, agent_fakes.SOURCE, flush_s=0.01, reopen_s=0.01)
    async with agent_fakes.running(queue.run()):
        queue.offer(replace(agent_fakes.captured_row(1), stamp=Stamp("plant-1", HOUR_MS)))
        assert await queue.feedback("digits", "r1", (3210.5, -2.0), LOAD.digest)
    example, truth = await spool_thread.call(lambda spool: spool.next_batch(10, 1 << 20))
    await spool_thread.close()
    kept, told = fleet_pb2.Example.FromString(example.body), fleet_pb2.Truth.FromString(truth.body)
    assert (kept.series, kept.series_unix_ms) == ("plant-1", HOUR_MS)
    assert (list(told.values), told.label, told.label_map) == ([3210.5, -2.0], 0, LOAD.digest)
