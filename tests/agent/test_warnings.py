"""A node warns of a series whose forecasts are off: by its next readings or by feedback, without any cloud, bounded."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import agent_cascade
import models
import numpy as np
import pytest
import streaming_models
from agent_forecaster import HOUR_MS, LOAD, NARROW, forecaster

from skerry.adapters.telemetry import metrics as telemetry
from skerry.agent import metrics, warning_servicer, warning_watch
from skerry.agent.sync import desired_state
from skerry.agent.update import ledger
from skerry.core import errors, tensors
from skerry.core.inference import InferReply, InferRequest
from skerry.core.residuals import Residual
from skerry.core.warnings import TruthSource, WarnPolicy
from skerry.proto import edge_pb2
from skerry.serving.predictor import Context, predict

POLICY = WarnPolicy(above=2.0, over_at=1.0, readings=3)
COLUMN = models.FEATURES - 1  # answers are 4, 5 and 6 times its mean
STEP_BY_STEP = replace(POLICY, column=COLUMN)


class Machine:
    """A streaming forecaster that says five times what it reads: of 1 it expects 5 next, and is off by 4."""

    def __init__(self, root: Path) -> None:
        self.node = agent_cascade.Node(root, has_teacher=False)

    async def serve(self, number: int = 1, policy: WarnPolicy | None = STEP_BY_STEP) -> None:
        await self.node.loader.swap(streaming_models.write_forecaster(self.node.root, "digits", number, LOAD))
        self.node.cascade.set_warn_policy("digits", policy)

    async def read(self, *values: float, key: str = "press-4", **parameters: Any) -> InferReply:
        steps = np.zeros((1, len(values), models.FEATURES), np.float32)
        steps[0, :, COLUMN] = values
        request = InferRequest(
            "digits", (tensors.Tensor.of("x", steps),), parameters={"sequence_id": key} | parameters, id="r"
        )
        return await predict(self.node.cascade, request, Context(None))

    @property
    def raised(self) -> Sequence[str]:
        return [one.series for one in self.node.watch.raised()]


async def machine(root: Path, **fields: Any) -> Machine:
    made = Machine(root)
    await made.serve(**fields)
    await made.read(0.0, sequence_start=True)
    return made


async def test_three_readings_that_were_not_expected_raise_a_warning_and_three_that_were_end_it(tmp_path: Path) -> None:
    press = await machine(tmp_path)
    seen = []
    for value in (1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0):  # off by 1, 4, 4, 4, 5, 0, 0, 0
        await press.read(value)
        seen.append(len(press.raised))
    assert seen == [0, 0, 0, 1, 1, 1, 1, 0]


async def test_the_series_is_named_by_its_stamp_and_its_time_says_which_reading_is_the_next(tmp_path: Path) -> None:
    press = await machine(tmp_path)
    for hour in (1, 2, 3, 4):
        await press.read(1.0, skerry_series="plant", skerry_time=hour * HOUR_MS)
    (raised,) = press.node.watch.raised()
    assert (raised.model, raised.series, raised.series_unix_ms) == ("digits", "plant", 4 * HOUR_MS)
    assert raised.text == "3 forecasts in a row are off by more than 2 kWh, the last by 4 kWh"
    other = await machine(tmp_path / "gap")
    for hour in (1, 2, 4, 5, 7, 8):  # nothing was expected for 4 and 7
        await other.read(1.0, skerry_series="plant", skerry_time=hour * HOUR_MS)
    assert len(other.raised) == 1, "a gap says nothing, and ends no count"


async def test_of_a_piece_the_first_step_is_the_next_one(tmp_path: Path) -> None:
    press = await machine(tmp_path)
    for hour in (2, 4, 6, 8):
        await press.read(1.0, 1.0, skerry_series="plant", skerry_time=hour * HOUR_MS)
    assert press.raised == ["plant"]


async def test_a_sequence_that_begins_again_is_not_compared_with_what_was_before(tmp_path: Path) -> None:
    press = await machine(tmp_path)
    for _ in range(6):
        await press.read(1.0, sequence_start=True)
    assert press.raised == []


async def test_a_reading_that_is_no_number_is_refused_and_ends_nothing(tmp_path: Path) -> None:
    press = await machine(tmp_path)
    for value in (1.0, 1.0, 1.0):
        await press.read(value)
    with pytest.raises(errors.InputError, match="NaN"):
        await press.read(float("nan"))
    await press.read(1.0)
    assert press.raised == ["press-4"]


async def test_a_hot_swap_keeps_the_warning_and_another_policy_begins_anew(tmp_path: Path) -> None:
    press = await machine(tmp_path)
    for value in (1.0,) * 4:
        await press.read(value)
    await press.serve(2)
    assert press.raised == ["press-4"]
    press.node.cascade.set_warn_policy("digits", replace(POLICY, above=9.0, column=COLUMN))
    assert press.raised == []
    press.node.cascade.set_warn_policy("digits", None)
    assert not press.node.watch.watches


async def test_windows_without_a_series_are_nobodys_and_with_one_are_compared(tmp_path: Path) -> None:
    node = await forecaster(tmp_path)
    node.cascade.set_warn_policy("digits", POLICY)
    window_like = {"skerry_series": "plant"}
    for hour in (1, 2, 3, 4):  # these rows have no steps: which of their numbers was read last is not known
        await node.ask(NARROW, parameters=window_like | {"skerry_time": hour * HOUR_MS})
    assert list(node.watch.raised()) == []


async def test_truths_by_feedback_raise_a_warning_where_the_policy_says_so(tmp_path: Path) -> None:
    node = await forecaster(tmp_path)
    node.cascade.set_warn_policy("digits", replace(POLICY, truth=TruthSource.FEEDBACK))
    for hour in (1, 2, 3):
        await node.ask(NARROW, id=f"q{hour}", parameters={"skerry_series": "plant", "skerry_time": hour * HOUR_MS})
        node.residuals.settle("digits", f"q{hour}", f"answer to q{hour}", (50.0,), LOAD.digest)
    (raised,) = node.watch.raised()
    assert (raised.series, raised.series_unix_ms) == ("plant", 3 * HOUR_MS)


def flooded(series: int) -> warning_watch.WarningWatch:
    watch = warning_watch.WarningWatch(lambda: 1_000_000)
    watch.set_policy("digits", replace(POLICY, truth=TruthSource.FEEDBACK))
    for number in range(series):
        for _ in range(3):
            watch.settled("digits", "sha256:1", f"s{number}", Residual(9.0, 0.0), 0, "kWh")
    return watch


def test_a_flood_is_bounded_counted_and_takes_no_earlier_warnings_place(capsys: pytest.CaptureFixture[str]) -> None:
    watch = flooded(6_000)
    raised = watch.raised()
    assert len(raised) == warning_watch.MAX_RAISED
    assert raised[0].series == "s0", "the first is still there"
    assert watch.not_kept == 6_000 - warning_watch.MAX_RAISED
    assert len(watch._quiet) <= warning_watch.MAX_SERIES
    shown = telemetry.Metrics()
    metrics.register_warnings(shown, watch)
    text = shown.render().decode()
    assert 'skerry_warnings{model="digits"} 256' in text
    assert re.search(r'skerry_warnings_raised_total\{model="digits"\} 6000', text)
    assert capsys.readouterr().err.count("warning_raised") <= 20


def test_a_series_that_is_silent_for_a_day_is_forgotten_with_its_warning() -> None:
    now = [1_000_000]
    watch = warning_watch.WarningWatch(lambda: now[0])
    watch.set_policy("digits", replace(POLICY, truth=TruthSource.FEEDBACK))
    for _ in range(3):
        watch.settled("digits", "sha256:1", "s", Residual(9.0, 0.0), 0, "kWh")
    assert len(watch.raised()) == 1
    now[0] += warning_watch.SILENT_MS + 1
    assert list(watch.raised()) == []


async def test_who_can_ask_for_answers_can_ask_what_is_warned_of() -> None:
    method = warning_servicer.methods(flooded(2))["/skerry.edge.v1.Edge/Warnings"]
    told = edge_pb2.WarningList.FromString(await method.handler(None, b""))  # type: ignore[arg-type, misc]
    assert ([one.series for one in told.warnings], told.raised, told.started_unix_ms) == (["s0", "s1"], 2, 1_000_000)


async def test_a_policy_outlives_the_process_and_what_was_raised_does_not(tmp_path: Path) -> None:
    kept = ledger.Ledger(tmp_path / "ledger")
    kept.point("digits", ledger.Pointers())
    kept.set_warn("digits", json.dumps({"residualAbove": 2, "targetColumn": COLUMN}))
    press = await machine(tmp_path, policy=None)
    desired_state.restore(ledger.Ledger(tmp_path / "ledger"), press.node.cascade)
    assert press.raised == []
    for value in (1.0,) * 5:
        await press.read(value)
    assert press.raised == ["press-4"]
