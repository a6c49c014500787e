"""The short form of the examples on a real series that a package carries: the highest temperature of each day in
Seattle, 2012 to 2015 (vega_datasets), a day ahead."""

import importlib.util
from pathlib import Path

import pytest
import short_form
from cli_system import StillSystem

from examples import results, rows, spans
from examples.loop import Played
from examples.scenario import Bar, Scenario
from skerry.cli.importing.series import Choices
from skerry.core import gates
from skerry.core.tasks import Forecast

MODEL = """
name: weather
spec:
  task: Forecast
  forecast: {target: temp_max, unit: °C, stepSeconds: 86400, naive: [1], min: -60, max: 60}
  network: {factory: "skerry.nets.forecasting:gru", options: {features: 6, hidden: 16, dense: 16}}
  input: {name: window, datatype: FP32, shape: [7, 6]}
  retrain: {epochs: 12, augment: none, learningRatePpm: 8000}
  gates: {minHoldout: 100}
"""


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    folder = tmp_path_factory.mktemp("weather")
    (folder / "model.yaml").write_text(MODEL)
    return Scenario(
        name="weather",
        data="seattle-weather.csv",
        folder=folder,
        choices=Choices(
            time_column="date",
            time_format="%Y/%m/%d",
            features=("temp_min", "precipitation", "wind"),
            calendar=("yearday",),
            holdout_share=0.3,
        ),
        bars={"mae": Bar(high=2.2), "coverage": Bar(0.7, 0.9)},
    )


def table() -> Path:
    """Found without importing the package, which would bring pandas."""
    found = importlib.util.find_spec("vega_datasets")
    assert found is not None and found.submodule_search_locations, "vega_datasets is one of the development packages"
    return Path(found.submodule_search_locations[0]) / "_data" / "seattle-weather.csv"


def test_a_version_is_better_than_the_last_value_and_its_gates_say_whether_that_is_sure(
    example: Scenario, tmp_path: Path
) -> None:
    """Of 260 days of holdout a tenth of a degree is no proof: the gates say so, and take the version for neither."""
    model = short_form.model_of(example)
    assert isinstance(model.task, Forecast)
    cut = spans.cut(example, table(), model, tmp_path)
    assert len(cut.final) == cut.moments == 292, "no day is missing"
    (tmp_path / "state").mkdir()
    system = StillSystem(tmp_path / "state")
    short_form.imported(system, example, cut)
    verdict = short_form.trained(system, model, "first")
    unsure = {one.name for one in verdict.gates if one.outcome is not gates.Outcome.PASS}
    assert unsure <= {"imported-beats-naive-1", "imported-coverage"}, verdict
    assert verdict.passed is (not unsure) and verdict.outcome is not gates.Outcome.FAIL, verdict
    answers = short_form.answered(short_form.shipped(system, "first"), model.task, cut.final)
    made = rows.of_played(example, 0, Played(final=answers, run="first", runs=["first"]), cut, model, "0" * 64)
    found = {row.metric: row for row in made}
    assert found["mae"].value < found["mae_naive_1"].value == found["mae"].baseline, results.table(made)
    assert found["coverage"].passed and found["mae"].passed, results.table(made)
