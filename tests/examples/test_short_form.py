"""The short form of the examples on a synthetic series with gaps (a day's sine with noise): what is left out is
counted, what is asked has the form of what was imported, and rows say what they are of."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import short_form
from cli_system import StillSystem

from examples import float_network, results, rows, score, spans
from examples.loop import Played
from examples.scenario import Bar, Scenario
from skerry.cli.importing.series import Choices
from skerry.core.tasks import Forecast

NOISE, DAYS = 6.0, 90
MODEL = """
name: sine
spec:
  task: Forecast
  forecast: {target: load, unit: kWh, quantilesPermille: [100, 500, 900], stepSeconds: 3600, naive: [1, 24]}
  network: {factory: "skerry.nets.forecasting:gru", options: {features: 4, hidden: 8, dense: 16}}
  input: {name: window, datatype: FP32, shape: [6, 4]}
  retrain: {epochs: 4, augment: none, learningRatePpm: 10000}
  gates: {minHoldout: 200}
"""


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    """A gap of two hours, one hour twice, and a sensor that was away on the last day."""
    folder = tmp_path_factory.mktemp("sine")
    (folder / "model.yaml").write_text(MODEL)
    hours = np.arange(DAYS * 24)
    load = 100 + 30 * np.sin(hours / 24 * 2 * np.pi) + np.random.default_rng(0).normal(size=len(hours)) * NOISE
    stamps = (np.datetime64("2020-01-01T00:00", "m") + hours * np.timedelta64(60, "m")).astype(str)
    lines = [f"{stamp.replace('T', ' ')},{value:.2f}" for stamp, value in zip(stamps, load.tolist(), strict=True)]
    gone = {500, 501, *range(len(lines) - 20, len(lines) - 16)}
    kept = [line for at, line in enumerate(lines) if at not in gone]
    (folder / "sine.csv").write_text("\n".join(["when,load", *kept[:700], *kept[699:]]) + "\n")
    return Scenario(
        name="synthetic-sine",
        data="sine.csv",
        folder=folder,
        choices=Choices(time_column="when", lags=(24,), calendar=("hour",), holdout_share=0.3),
        bars={"mae": Bar(high=NOISE), "coverage": Bar(0.7, 0.9)},
    )


@pytest.fixture(scope="module")
def cut(example: Scenario, tmp_path_factory: pytest.TempPathFactory) -> spans.Spans:
    return spans.cut(
        example, example.folder / "sine.csv", short_form.model_of(example), tmp_path_factory.mktemp("spans")
    )


def test_spans_share_no_moment_and_what_is_left_out_of_the_final_is_counted(
    example: Scenario, cut: spans.Spans
) -> None:
    base = np.array([line[:16] for line in cut.base.read_text().splitlines()[1:]], dtype="datetime64[ms]").astype(int)
    hour = 3_600_000
    assert base.max() < cut.replay.time.min() + hour
    assert cut.replay.time.max() + cut.replay.horizon_ms < cut.final.time.min() + hour
    assert cut.moments == round((DAYS * 24 - 6) * 0.2)
    assert cut.left_out == {"gapInWindow": 6}, "the window of six hours, after four that are missing"
    assert len(cut.final) + sum(cut.left_out.values()) == cut.moments
    assert (np.diff(cut.final.time) > 0).all()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, example: Scenario, cut: spans.Spans) -> StillSystem:
    state = tmp_path_factory.mktemp("state")
    made = StillSystem(state)
    short_form.imported(made, example, cut)
    return made


def test_what_is_asked_has_the_form_of_what_was_imported(
    system: StillSystem, example: Scenario, tmp_path: Path
) -> None:
    """The same moments, cut from the base alone by the command and from the whole table by the example."""
    imported = np.concatenate([rows.x for rows in system.dataset("sine")[1].values()])
    times = np.concatenate([rows.time for rows in system.dataset("sine")[1].values()])
    early = Scenario(**{**fields(example), "base_share": 0.05, "final_share": 0.5})
    asked = spans.cut(early, example.folder / "sine.csv", short_form.model_of(example), tmp_path).replay
    _, ours, theirs = np.intersect1d(asked.time, times, return_indices=True)
    assert len(ours) > 600
    np.testing.assert_array_equal(asked.x[ours], imported[theirs])


def test_a_version_of_the_base_answers_the_final_within_its_bars(
    system: StillSystem, example: Scenario, cut: spans.Spans
) -> None:
    model = short_form.model_of(example)
    assert isinstance(model.task, Forecast)
    verdict = short_form.trained(system, model, "first")
    assert verdict.passed, verdict
    version = short_form.shipped(system, "first")
    answers = short_form.answered(version, model.task, cut.final)
    before = float_network.network(system.blobs, "first")
    float_mae = float_network.error(before, answers, cut.final, model)
    played = Played(final=answers, run="first", runs=["first"], float_mae=float_mae)
    made = rows.of_played(example, 0, played, cut, model, "0" * 64)
    found = {row.metric: row for row in made}
    assert found["mae"].passed and found["coverage"].passed, results.table(made)
    assert found["mae"].value < found["mae"].baseline == min(found["mae_naive_1"].value, found["mae_naive_24"].value)
    assert found["mae"].float_value == pytest.approx(found["mae"].value, abs=1e-4), "this one is float itself"
    assert found["answered"].value == len(cut.final) and "left out" in found["answered"].note
    assert score.of(answers, cut.final, "another version", model.task.naive) is None


def fields(example: Scenario) -> dict[str, Any]:
    return {name: getattr(example, name) for name in example.__dataclass_fields__}
