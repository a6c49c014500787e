"""What a model answers: classes and forecasts behind one table, each refusing what belongs to the other."""

import json
import math
from dataclasses import replace
from typing import Any

import manifests
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import errors, manifest, specs
from skerry.core.confidence import Calibration, Outputs
from skerry.core.tasks import Classification, Forecast, Task

TRAFFIC = Forecast("traffic_volume", "vehicles/h", (100, 500, 900), 3600, horizon=3, steps=2, naive=(1, 168))
RANGED = replace(TRAFFIC, least=0.0, most=7000.1)
CLASSES = Classification(("ok", "worn"))
FORECAST = TRAFFIC.to_json()["forecast"]
MODEL: dict[str, Any] = {"input": {"name": "window", "datatype": "FP32", "shape": [24, 3]}}


def forecasts(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


def model(**spec: Any) -> specs.EdgeModel:
    return specs.parse_edge_model("traffic", MODEL | spec)


def test_a_forecaster_is_read_with_its_target_and_quantiles() -> None:
    read = model(task="Forecast", forecast=FORECAST)
    assert read.task == TRAFFIC and read.class_names == () and read.task.width == 6
    assert model(classNames=["ok", "worn"]).task == CLASSES
    least = {"target": "load", "unit": "kWh", "stepSeconds": 900}
    assert model(task="Forecast", forecast=least).task == Forecast("load", "kWh", (100, 500, 900), 900)
    assert (read.gates.margin_permille, model(classNames=["ok", "worn"]).gates.margin_permille) == (50, 10)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"task": "Forecast", "forecast": FORECAST, "classNames": ["a", "b"]}, "classNames belongs to task Classif"),
        ({"classNames": ["a", "b"], "forecast": FORECAST}, "forecast belongs to task Forecast"),
        ({"task": "Forecast"}, "forecast is missing"),
        ({"task": "Classification"}, "classNames is missing"),
        ({"task": "Forecasts", "forecast": FORECAST}, "must be one of Classification, Forecast"),
        ({"task": "Forecast", "forecast": FORECAST | {"quantilesPermille": [100, 900]}}, "with 500 between"),
        ({"task": "Forecast", "forecast": FORECAST | {"quantilesPermille": [500, 600, 700]}}, "with 500 between"),
        ({"task": "Forecast", "forecast": FORECAST | {"quantilesPermille": [100, 500, 500]}}, "that increase"),
        ({"task": "Forecast", "forecast": FORECAST | {"quantilesPermille": [100, 500, 1000]}}, "in 1..999"),
        ({"task": "Forecast", "forecast": FORECAST | {"steps": 4}}, "at most the horizon, 3"),
        ({"task": "Forecast", "forecast": FORECAST | {"naive": []}}, "seasons in steps"),
        ({"task": "Forecast", "forecast": FORECAST | {"naive": [1, 1]}}, "each once"),
        ({"task": "Forecast", "forecast": FORECAST | {"unit": " "}}, "forecast.unit must be a printable text"),
        ({"task": "Forecast", "forecast": FORECAST | {"stepSeconds": 0}}, "stepSeconds must be in 1.."),
        ({"task": "Forecast", "forecast": FORECAST | {"lags": [1]}}, "lags is not a known field"),
        ({"task": "Forecast", "forecast": FORECAST | {"min": 5, "max": 5}}, "forecast.max must be above min, 5"),
        ({"task": "Forecast", "forecast": FORECAST | {"min": "0"}}, "forecast.min must be a number"),
        ({"task": "Forecast", "forecast": FORECAST | {"max": float("nan")}}, "forecast.max must be a number"),
        ({"task": "Forecast", "forecast": FORECAST, "gates": {"minAccuracyPermille": 9}}, "minAccuracyPermille is of"),
        (
            {"task": "Forecast", "forecast": FORECAST, "gates": {"maxLabelErrorPermille": 9}},
            "maxLabelErrorPermille is of",
        ),
    ],
)
def test_fields_that_do_not_go_together_are_refused_by_name(spec: dict[str, Any], told: str) -> None:
    with pytest.raises(errors.InputError, match=told):
        model(**spec)


def forecaster(**changes: Any) -> manifest.Manifest:
    widths = tuple(float(at) for at in range(21))
    return manifests.digits(task=TRAFFIC, confidence=Calibration(widths=widths, bound=2.5), **changes)


def test_the_manifest_of_a_forecaster_reads_back_as_itself() -> None:
    assert manifest.from_json(forecaster().to_json()) == forecaster()
    assert "classNames" not in json.loads(forecaster().to_json())


@pytest.mark.parametrize("widths", [(1.0, 0.0), (0.0,) * 20 + (-1.0,), (2.0,) * 20 + (1.0,)])
def test_widths_that_fall_are_refused(widths: tuple[float, ...]) -> None:
    with pytest.raises(errors.InputError, match="widths must be none or 21 numbers"):
        manifest.check(replace(forecaster(), confidence=Calibration(widths=widths)))


def test_a_width_of_four_hundred_digits_is_refused() -> None:
    """json reads a whole number of any length, and a float holds three hundred digits."""
    document = json.loads(forecaster().to_json())
    document["confidence"]["widths"][-1] = 10**400
    with pytest.raises(errors.InputError, match="widths must be none or 21 numbers"):
        manifest.from_json(json.dumps(document).encode())


def test_a_version_that_forecasts_something_else_differs() -> None:
    others = (replace(TRAFFIC, unit="vehicles"), replace(TRAFFIC, quantiles_permille=(50, 500, 950)), CLASSES)
    told = ["unit 'vehicles', that of the model 'vehicles/h'", "[50, 500, 950]", "one of 2 classes, the model"]
    for other, text in zip(others, told, strict=True):
        assert text in TRAFFIC.difference(other)
        assert TRAFFIC.change(other) and TRAFFIC.meanings(other.digest) is None
    assert not TRAFFIC.difference(replace(TRAFFIC, naive=(24,)))
    assert TRAFFIC.meanings(replace(TRAFFIC, naive=(24,)).digest) == range(6)


def test_the_confidence_of_a_forecast_is_uniform_on_the_holdout_and_falls_with_the_width() -> None:
    rng = np.random.default_rng(0)
    wide = rng.gamma(2.0, 3.0, size=(2000, 1))
    outputs = np.concatenate([100 - wide, np.full_like(wide, 100), 100 + wide] * 2, axis=1).astype(np.float32)
    truth = 100 + rng.normal(size=(2000, 2)).astype(np.float32)
    found = TRAFFIC.calibrate(outputs, truth, 0.1, Outputs.LOGITS)
    sure = np.array(TRAFFIC.confidences(outputs, found))
    assert abs(np.mean(sure < found.threshold) - 0.1) < 0.01 and abs(sure.mean() - 0.5) < 0.02
    assert min(found.reference) > 60 and sum(found.reference) == 2000
    assert (np.diff(sure[np.argsort(wide[:, 0])]) <= 1e-9).all()
    assert abs(TRAFFIC.is_bad(outputs, truth, found.bound).mean() - 0.1) < 0.01


def test_an_answer_that_is_not_finite_or_turned_round_is_never_trusted() -> None:
    rows = forecasts((1, 2, 3, 1, 2, 3), (1, 2, 3, 3, 2, 1), (1, 2, np.nan, 1, 2, 3), (1, 2, 3, 1, 2, np.inf))
    found = Calibration(widths=tuple(np.linspace(0, 10, 21).tolist()))
    assert TRAFFIC.confidences(rows, found) == [pytest.approx(0.8), 0.0, 0.0, 0.0]
    assert TRAFFIC.crossing(rows).tolist() == [False, True, False, False]
    truth = forecasts(*[(2, 2)] * 4)
    assert np.isfinite(TRAFFIC.row_loss(rows, truth)).tolist() == [True, True, False, False]
    assert TRAFFIC.is_bad(rows, truth, 1e9).tolist() == [False, False, True, True]


def test_the_loss_of_a_forecast_is_the_pinball_loss() -> None:
    # .1 · 4 + .5 · 2 below, .1 · 0 above; the other step is right in its median, 1 away at both ends.
    rows, truth = forecasts((6, 8, 10, 1, 2, 3)), forecasts((10, 2))
    first, second = (0.1 * 4 + 0.5 * 2 + 0) / 3, (0.1 * 1 + 0 + 0.1 * 1) / 3
    assert TRAFFIC.row_loss(rows, truth).tolist() == [pytest.approx((first + second) / 2)]
    assert TRAFFIC.errors(rows, truth).tolist() == [1.0]
    assert TRAFFIC.covered(rows, truth).tolist() == [1.0]


def test_classes_are_lost_or_not() -> None:
    rows, truth = forecasts((2, 1), (1, 2), (np.nan, 1)), np.array([0, 0, 1])
    assert CLASSES.row_loss(rows, truth).tolist() == [0, 1, 1] and CLASSES.is_bad(rows, truth, 0).tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("task", "truth", "told"),
    [
        (CLASSES, 1, ""),
        (CLASSES, 2, "must be in 0..1"),
        (CLASSES, -1, "must be in 0..1"),
        (CLASSES, (3210.5,), "the model answers a class"),
        (TRAFFIC, (3210.5, 2900.0), ""),
        (TRAFFIC, 3210, "give its value in vehicles/h"),
        (TRAFFIC, (3210.5,), "1 values were given, an answer has 2"),
        (TRAFFIC, (float("nan"), 1.0), "not finite"),
        (TRAFFIC, (1.0, float("inf")), "not finite"),
        (TRAFFIC, (1.0, -3.5e38), "beyond 3.403e+38"),
        (TRAFFIC, (1.0, -3.4e38), ""),
        (RANGED, (0.0, 7000.1), ""),
        (
            RANGED,
            (1.0, 7000.2),
            "cannot be: traffic_volume is at least 0 (forecast.min) and at most 7000.1",
        ),
        (RANGED, (-1e-6, 1.0), "-1e-06 vehicles/h cannot be"),
        (replace(TRAFFIC, most=10.0), (11.0, 1.0), "traffic_volume is at most 10 (forecast.max)"),
        (replace(TRAFFIC, most=10.0), (-1e30, 1.0), ""),
    ],
)
def test_a_truth_must_be_of_the_models_kind(task: Task, truth: Any, told: str) -> None:
    fault = task.truth_fault(truth)
    assert told in fault if told else not fault


def test_which_values_can_be_may_change_and_changes_no_meaning() -> None:
    assert RANGED.digest == TRAFFIC.digest and TRAFFIC.difference(RANGED) == "" == RANGED.change(TRAFFIC)
    assert RANGED.to_json()["forecast"] == FORECAST | {"min": 0.0, "max": 7000.1}
    assert model(task="Forecast", **RANGED.to_json()).task == RANGED
    made = forecaster()
    ranged = replace(made, task=RANGED)
    assert manifest.from_json(ranged.to_json()).task == RANGED


def test_a_series_that_is_forecast_without_an_error_has_a_bound_all_the_same() -> None:
    """Before: 0, which says that none is known, and no rollout of the model ever got a verdict."""
    answers = np.tile(np.array([[90, 100, 110, 90, 100, 110]], dtype=np.float32), (50, 1))
    truth = np.full((50, 2), 100, dtype=np.float32)
    bound = TRAFFIC.calibrate(answers, truth, 0.1, "").bound
    assert 0 < bound < 1e-30
    assert not TRAFFIC.is_bad(answers, truth, bound).any() and TRAFFIC.is_bad(answers, truth + 1, bound).all()


def test_an_answer_is_off_by_the_mean_over_its_steps() -> None:
    (row,) = forecasts((90, 100, 110, 80, 100, 120))
    assert TRAFFIC.residual(row, (104.0, 140.0)) == (22.0, 0.5)
    assert TRAFFIC.residual(row, (110.0, 80.0)) == (15.0, 1.0), "the ends of the interval belong to it"
    assert TRAFFIC.residual(np.full_like(row, math.inf), (110.0, 80.0)) is None, "an error is a number"
    assert CLASSES.residual(row, 1) is None and CLASSES.horizon_ms == CLASSES.coverage == 0


def test_a_truth_at_the_end_of_the_interval_is_covered_as_float32_writes_both() -> None:
    one_step = Forecast("load", "kW", (100, 500, 900), 60)
    for truth in (0.1, 0.7, 1e-3, 16_777_217.0):
        assert one_step.residual(np.full(3, truth, dtype=np.float32), (truth,)) == (0.0, 1.0)


def test_a_forecast_is_told_as_values_with_their_unit() -> None:
    (row,) = forecasts((3000.4, 3210.54, 3500, 10, 20.25, 30))
    assert TRAFFIC.told(row, row) == {
        "skerry_value": "3210.54,20.25",
        "skerry_low": "3000.4,10",
        "skerry_high": "3500,30",
        "skerry_unit": "vehicles/h",
    }
    assert CLASSES.told(row[:2], row[:2]) == {"skerry_local_class": 1}


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8), st.floats(0, 1e6))
def test_confidences_lie_between_0_and_1(widths: list[float], wide: float) -> None:
    found = Calibration(widths=tuple(sorted([*widths, *[0.0] * (21 - len(widths))])))
    (sure,) = TRAFFIC.confidences(forecasts((0, wide / 2, wide, 0, wide / 2, wide)), found)
    assert 0.0 <= sure <= 1.0
