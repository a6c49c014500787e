"""`skerry infer` of a forecast: values with unit and interval, and which series it is of, without which nothing is
learned."""

import json
from collections.abc import Iterator
from pathlib import Path

import models
import numpy as np
import pytest
import teacher_process
from cli_system import StillSystem

from skerry.cli import agent_client, system_file
from skerry.core import errors, writers
from skerry.core.tasks import Classification, Forecast, Task

NO_TIME = r"--time '\S+' is no time: give 2018-01-31T13:00Z or Unix milliseconds, after 1970"
STAMP = {"skerry_series": "plant", "skerry_time": 1_515_121_200_000}


@pytest.mark.parametrize("moment", ["2018-01-05T03:00Z", "2018-01-05 04:00+01:00", "1515121200000"])
def test_a_time_is_iso_8601_with_its_offset_or_unix_milliseconds(moment: str) -> None:
    assert agent_client.stamp_of("plant", moment) == STAMP


@pytest.mark.parametrize(
    ("series", "moment", "said"),
    [
        pytest.param("plant", "2018-01-05T03:00", "says no offset from UTC: add it", id="an hour of some zone"),
        pytest.param("plant", "1515121200", "may be seconds: give Unix milliseconds", id="seconds"),
        pytest.param("plant", "05/01/2018", NO_TIME, id="day or month first"),
        pytest.param("plant", "yesterday", NO_TIME, id="a word"),
        pytest.param("plant", "2018-02-30T03:00Z", NO_TIME, id="a day that is none"),
        pytest.param("plant", "1969-12-31T23:00Z", NO_TIME, id="before 1970"),
        pytest.param("plant", "9" * 5000, NO_TIME, id="more digits than python reads"),
        pytest.param("plant", "9" * 15, NO_TIME, id="a year that no clock shows"),
        pytest.param("pl\u202eant", "", "a series is named by printable text", id="a name that is not shown as it is"),
    ],
)
def test_a_series_that_can_be_read_in_two_ways_is_refused(series: str, moment: str, said: str) -> None:
    with pytest.raises(errors.InputError, match=said) as refused:
        agent_client.stamp_of(series, moment)
    assert "row 0" not in str(refused.value) and "--time-format" not in str(refused.value)


LOAD, CLASSES = Forecast("load", "kWh", (100, 500, 900), 3600, horizon=2, steps=2), Classification(("worn", "ok"))


@pytest.mark.parametrize(
    ("task", "truth", "said"),
    [
        pytest.param(LOAD, ["about", "3"], "'about 3' is no value, and the model answers a forecast", id="a text"),
        pytest.param(LOAD, ["worn"], "'worn' is no value", id="a label for a forecaster"),
        pytest.param(LOAD, ["3.5"], "1 values were given, an answer has 2", id="a step is missing"),
        pytest.param(LOAD, ["nan", "1"], "a value is not finite", id="no number"),
        pytest.param(CLASSES, ["3210.5"], "3210.5", id="a value for a classifier"),
        pytest.param(CLASSES, ["1", "2"], "the model answers a class: give the label", id="values for a classifier"),
    ],
)
def test_a_truth_that_is_none_of_the_models_is_refused(task: Task, truth: list[str], said: str) -> None:
    with pytest.raises(errors.InputError, match=said):
        agent_client.truth_of(truth, task)


@pytest.fixture
def system(tmp_path: Path) -> Iterator[StillSystem]:
    """A server whose three numbers a row the EdgeModel tells as the quantiles of a forecast."""
    models.write_linear(tmp_path / "models", "load", 1)
    with teacher_process.started(tmp_path / "models", "h2") as server:
        (tmp_path / "state").mkdir()
        agents = [system_file.Agent("edge-1", server.wait_ready().address)]
        still = StillSystem(tmp_path / "state", agents=agents)
        spec = {
            "task": "Forecast",
            "forecast": {"target": "load", "unit": "kWh", "stepSeconds": 3600},
            "input": {"name": "x", "datatype": "FP32", "shape": [models.FEATURES]},
        }
        still.objects.create("EdgeModel", "load", spec, manager=writers.OPERATOR)
        yield still


def test_a_forecast_is_told_with_unit_and_interval_and_what_it_lacks(system: StillSystem, tmp_path: Path) -> None:
    row = np.array([0.5, -1.0, 2.0, 0.25], dtype=np.float32)
    np.savez(tmp_path / "one.npz", x=row)
    words = ("infer", "load", "--input", tmp_path / "one.npz", "--node", "edge-1")
    low, value, high = (row @ models.weights(1.0)).tolist()
    asked = system.run(*words, "--json")
    assert asked.exit_code == 0, asked.output
    [answer] = json.loads(asked.stdout)["rows"]
    assert answer["steps"] == [{"value": pytest.approx(value), "low": pytest.approx(low), "high": pytest.approx(high)}]
    assert answer["text"] == f"{value:.6g} ({low:.6g} to {high:.6g}) kWh"
    assert "nothing is learned from a forecast that names no --series and --time" in asked.stderr
    asked = system.run(*words, "--series", "plant", "--time", "2018-01-05T03:00Z")
    assert f"({low:.6g} to {high:.6g}) kWh" in asked.stdout
    assert "nothing is learned" not in asked.stderr
