"""Forecasts through the whole cycle in seconds: trained, exported, judged against naive forecasts and the version
before, proposed."""

from dataclasses import replace

import numpy as np
import pytest
from forecast_world import HELD_DAYS, INPUT, NOISE, TASK, TRAIN_DAYS, ForecastWorld, rows
from training_runs import play, proposal, publish, shipped

from skerry.core import errors, gates
from skerry.core.tasks import Classification
from skerry.trainer import measures

PASS, FAIL, OPEN, _ = gates.Outcome


@pytest.fixture(scope="module")
def trained() -> ForecastWorld:
    """A world with one finished run, `first`, that is the stable version."""
    world = ForecastWorld()
    verdict = play(world, "first", world.series())
    assert verdict.passed, verdict.reason
    publish(world, "first", 1)
    return world


def outcomes(verdict: gates.Verdict) -> dict[str, gates.Outcome]:
    return {gate.name: gate.outcome for gate in verdict.gates}


def test_a_forecaster_is_proposed_with_what_people_want_to_know_of_it(trained: ForecastWorld) -> None:
    made, told = shipped(trained, "first").manifest, proposal(trained, "first")["report"]["holdouts"]["imported"]
    assert made.task == TASK and made.outputs[0].name == "quantiles" and made.outputs[0].shape == (3,)
    assert told["mae"] < 1.1 * NOISE * np.sqrt(2 / np.pi) + 0.5, "noise that nobody can know"
    assert told["mae"] < told["naive"]["24"] < told["naive"]["1"] and abs(told["coverage"] - 0.8) < 0.05
    assert made.metrics["imported"]["mae"] == told["mae"] and made.metrics["imported"]["coverage"] == told["coverage"]
    confidence = made.confidence
    assert len(confidence.widths) == 21 and sum(confidence.reference) == HELD_DAYS * 24
    assert confidence.bound == pytest.approx(1.645 * NOISE, rel=0.25), "nine of ten errors are smaller"


def test_the_shipped_file_answers_in_kilowatt_hours_and_its_head_is_float(trained: ForecastWorld) -> None:
    version, held = shipped(trained, "first"), rows(TRAIN_DAYS + 1, HELD_DAYS)
    answers = version.logits(held.x)
    assert np.abs(TASK.medians(answers) - held.y).mean() == pytest.approx(
        proposal(trained, "first")["report"]["holdouts"]["imported"]["mae"], rel=1e-4
    )
    assert {"GRU", "Gemm"} <= {layer.op for layer in version.manifest.quantization.float_nodes}


@pytest.mark.long
def test_the_next_version_is_compared_and_inherits_the_bound_of_the_one_it_replaces(trained: ForecastWorld) -> None:
    found = play(trained, "second", trained.series(), overrides={"seed": 3})
    assert {"imported-not-worse", "imported-worst-block"} <= set(outcomes(found))
    assert found.passed, found.reason
    bounds = [shipped(trained, run).manifest.confidence.bound for run in ("first", "second")]
    assert bounds[0] == bounds[1]
    told = proposal(trained, "second")["report"]["holdouts"]["imported"]
    assert told["baseline"] == proposal(trained, "first")["report"]["holdouts"]["imported"]["candidate"]


def test_a_version_that_learned_another_plant_is_refused_as_worse_and_by_the_naive_forecast(
    trained: ForecastWorld,
) -> None:
    other = rows(0, TRAIN_DAYS)
    verdict = play(trained, "worse", trained.series(train=replace(other, y=other.y + np.float32(25))))
    found = outcomes(verdict)
    assert verdict.outcome is FAIL
    assert found["imported-not-worse"] is FAIL and found["imported-beats-naive-24"] is FAIL
    assert "imported-beats-naive-24" in verdict.reason and "the value of 24 steps before" in verdict.reason
    assert found["imported-coverage"] is FAIL


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        pytest.param({"steps": 2}, r"\[2, 6\] for 2 rows, it should be \[2, 3\]", id="wider than the model"),
        pytest.param({"quantiles_permille": [50, 500, 950]}, "quantiles 50, 500, 950", id="other quantiles"),
        pytest.param({"features": 4}, "does not take inputs", id="more features"),
    ],
)
def test_a_network_that_does_not_fit_the_forecast_is_refused_in_words(changes: dict[str, object], word: str) -> None:
    options = {"features": 3, "hidden": 4, "dense": 4} | changes
    world = ForecastWorld(network={"factory": "skerry.nets.forecasting:gru", "options": options})
    with pytest.raises(errors.InputError, match=word):
        play(world, "run", world.series())


def test_a_users_own_network_whose_quantiles_cross_is_refused_by_the_gate() -> None:
    world = ForecastWorld(network={"factory": "own_networks:crossing", "options": {}}, retrain={"epochs": 1})
    verdict = play(world, "run", world.series())
    assert outcomes(verdict)["imported-quantiles"] is FAIL and "quantiles cross" in verdict.reason


def test_training_rows_that_reach_into_the_holdout_are_left_out() -> None:
    """Without an embargo the last windows and truths of training are steps of the holdout."""
    world = ForecastWorld(retrain={"epochs": 1})
    play(world, "run", world.series(train=rows(0, TRAIN_DAYS + 1)))
    told = proposal(world, "run")["report"]["training"]
    assert told["dropped"]["in-holdout"] == 12
    assert told["trainedOn"]["imported"] == (TRAIN_DAYS + 1) * 24 - 12
    held, near = rows(10, 1), rows(9, 3)
    reached = measures.of(TASK).reaches_into(near, held, INPUT)
    assert near.time is not None and held.time is not None
    apart = np.abs(near.time[:, None] - held.time[None, :]).min(axis=1) // 3_600_000
    assert (reached == (apart <= 12)).all()
    assert not measures.of(TASK).reaches_into(rows(9, 3, series="another"), held, INPUT).any()


@pytest.mark.parametrize(
    ("edit", "word"),
    [
        pytest.param(lambda y: np.full_like(y, np.nan), "no training samples", id="no truth at all"),
        pytest.param(lambda y: np.where(np.arange(len(y))[:, None] < 9, np.inf, y), "finite", id="an infinite truth"),
    ],
)
def test_truths_that_cannot_be_learned_from_are_refused(edit: object, word: str) -> None:
    world, good = ForecastWorld(), rows(0, TRAIN_DAYS)
    with pytest.raises(errors.InputError, match=word):
        play(world, "run", world.series(train=replace(good, y=edit(good.y))))  # type: ignore[operator]


def test_a_dataset_in_another_unit_is_not_trained_on() -> None:
    world = ForecastWorld(**replace(TASK, unit="MWh").to_json())
    with pytest.raises(errors.InputError, match="unit 'kWh', that of the model 'MWh': import the data again"):
        play(world, "run", world.series())


@pytest.mark.long
def test_of_several_students_the_one_is_taken_that_is_best_in_weeks_kept_aside(trained: ForecastWorld) -> None:
    world = ForecastWorld(retrain={"epochs": 1, "students": 2, "augment": "generic"})
    play(world, "run", world.series())
    aside = measures.of(TASK).kept_aside(rows(0, TRAIN_DAYS))
    assert 0 < aside.sum() <= 2 * 7 * 24 and np.abs(np.diff(aside.astype(int))).sum() <= 3, "weeks, not rows"
    assert proposal(world, "run")["report"]["training"]["seed"] in (0, 1)


@pytest.mark.parametrize(("days", "most"), [(3, 0.2), (20, 0.5), (63, 0.25)])
def test_some_rows_choose_among_students_and_most_are_learned_from(days: int, most: float) -> None:
    """Nine weeks may hold none whose number divides by ten, and one week may be such a one."""
    values = np.zeros(24 * (70 + days))
    for first in range(0, 70, 7):
        aside = measures.of(TASK).kept_aside(rows(first, days, values))
        assert 0 < aside.mean() <= most


def test_a_stable_version_that_forecasts_something_else_cannot_be_compared(trained: ForecastWorld) -> None:
    assert "unit" in measures.of(TASK).incomparable(replace(TASK, unit="MWh"))
    assert measures.of(TASK).incomparable(Classification(("a", "b")))
    assert measures.of(TASK).incomparable(replace(TASK, naive=(1,))) == ""
