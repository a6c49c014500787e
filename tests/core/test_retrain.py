"""When a training run is worth it: row by row, the sentences of the policy."""

from dataclasses import replace
from typing import Any

import pytest

from skerry.core import drift, retrain, specs
from skerry.core.retrain import Facts
from skerry.core.tasks import Forecast

NOW = 10_000_000
POLICY = {"minNewExamples": 600, "driftMinExamples": 300, "cooldownSeconds": 60}
MODEL = specs.parse_edge_model(
    "m",
    {
        "classNames": ["a", "b"],
        "network": {"factory": "x:y"},
        "input": {"name": "x", "datatype": "FP32", "shape": [4]},
        "retrain": POLICY,
    },
)
SERVED_ONLY = replace(MODEL, network=None)
DISABLED = replace(MODEL, retrain=replace(MODEL.retrain, enabled=False))
CALM = (0, 100, 900)
STORM = drift.Window((500, 400, 100), 1000, 400)
ENOUGH = Facts(new_examples=600, dataset="new", last_dataset="old", last_run_ms=NOW - 61_000, reference=CALM)

FORECASTER = replace(MODEL, task=Forecast("load", "kWh", (100, 500, 900), 900))
# Of answers, 10 % by the interval's width, and of the rest 10 % since the one before them was bad.
OFTEN_HARD = replace(FORECASTER, retrain=replace(MODEL.retrain, offload_rise_permille=50))
A_DAY_AHEAD = replace(MODEL, task=Forecast("load", "kWh", (100, 500, 900), 3600, horizon=24))
FEW = replace(ENOUGH, new_examples=300)

ROWS = [
    pytest.param(
        FORECASTER, replace(FEW, truths=drift.Truths(500, 290.0)), True, "CoverageFall", id="an interval that misses"
    ),
    pytest.param(FORECASTER, replace(FEW, truths=drift.Truths(500, 360.0)), False, "Waiting", id="by less than ten"),
    pytest.param(FORECASTER, replace(FEW, truths=drift.Truths(99, 0.0)), False, "Waiting", id="of too few truths"),
    pytest.param(FORECASTER, replace(FEW, truths=drift.Truths(100, 66.0)), False, "Waiting", id="but not surely so"),
    pytest.param(
        A_DAY_AHEAD, replace(FEW, truths=drift.Truths(500, 290.0)), False, "Waiting", id="horizons that overlap are few"
    ),
    pytest.param(
        A_DAY_AHEAD, replace(FEW, truths=drift.Truths(4000, 1200.0)), True, "CoverageFall", id="of many they are enough"
    ),
    pytest.param(
        FORECASTER,
        replace(FEW, new_examples=299, truths=drift.Truths(500, 290.0)),
        False,
        "DriftSeen",
        id="an interval that misses, and too few examples to learn from",
    ),
    pytest.param(MODEL, replace(FEW, truths=drift.Truths(500, 0.0)), False, "Waiting", id="classes have no interval"),
    pytest.param(MODEL, ENOUGH, True, "EnoughExamples", id="enough new examples fire"),
    pytest.param(
        MODEL, replace(ENOUGH, last_run_ms=0, last_dataset=""), True, "EnoughExamples", id="so do they the first time"
    ),
    pytest.param(MODEL, replace(ENOUGH, new_examples=599), False, "Waiting", id="one too few waits"),
    pytest.param(
        MODEL, replace(ENOUGH, new_examples=300, window=STORM), True, "ConfidenceShift", id="drift fires with fewer"
    ),
    pytest.param(
        MODEL,
        replace(ENOUGH, new_examples=299, window=STORM),
        False,
        "DriftSeen",
        id="drift with too few examples waits for more",
    ),
    pytest.param(
        MODEL,
        replace(ENOUGH, new_examples=300, window=drift.Window((0, 100, 900), 1000, 400)),
        True,
        "OffloadRise",
        id="more hard answers fire too",
    ),
    pytest.param(
        OFTEN_HARD,
        replace(FEW, window=drift.Window((0, 2000, 18_000), 20_000, 3800)),
        False,
        "Waiting",
        id="answers after bad ones are hard in a world that is as it was",
    ),
    pytest.param(
        OFTEN_HARD,
        replace(FEW, window=drift.Window((0, 2000, 18_000), 20_000, 5400)),
        True,
        "OffloadRise",
        id="many more are too many",
    ),
    pytest.param(
        replace(OFTEN_HARD, task=MODEL.task),
        replace(FEW, window=drift.Window((0, 2000, 18_000), 20_000, 3800)),
        True,
        "OffloadRise",
        id="as many are too many where a truth makes none hard",
    ),
    pytest.param(
        MODEL,
        replace(ENOUGH, new_examples=300, window=drift.Window((0, 100, 900), 1000, 100)),
        False,
        "Waiting",
        id="calm waits for the count",
    ),
    pytest.param(
        MODEL,
        replace(ENOUGH, new_examples=300, reference=(), window=STORM),
        False,
        "Waiting",
        id="without a reference there is no drift",
    ),
    pytest.param(MODEL, replace(ENOUGH, active_run="t"), False, "RunActive", id="never while a run is active"),
    pytest.param(
        MODEL, replace(ENOUGH, active_rollout="r"), False, "RolloutActive", id="never while a rollout is active"
    ),
    pytest.param(
        MODEL, replace(ENOUGH, last_run_ms=NOW - 59_000), False, "CoolingDown", id="never before the cooldown is over"
    ),
    pytest.param(
        MODEL,
        replace(ENOUGH, last_run_ms=NOW + 5_000),
        False,
        "CoolingDown",
        id="a clock that went back starts nothing",
    ),
    pytest.param(MODEL, replace(ENOUGH, last_dataset="new"), False, "NothingNew", id="never twice on the same dataset"),
    pytest.param(MODEL, replace(ENOUGH, dataset=""), False, "NoDataset", id="never without a dataset"),
    pytest.param(DISABLED, ENOUGH, False, "Disabled", id="never when switched off"),
    pytest.param(SERVED_ONLY, ENOUGH, False, "NoNetwork", id="never without a network"),
]


@pytest.mark.parametrize(("model", "facts", "fire", "reason"), ROWS)
def test_policy(model: specs.EdgeModel, facts: Facts, fire: bool, reason: str) -> None:
    decided = retrain.should_retrain(model, facts, now_ms=NOW)
    assert (decided.fire, decided.reason) == (fire, reason) and decided.message


@pytest.mark.parametrize(
    ("reading", "imported", "newest"),
    [
        pytest.param({}, "a", "", id="a curator that says nothing"),
        pytest.param({"datasetDigest": "d", "baseDigest": "a"}, "a", "d", id="made on it"),
        pytest.param({"datasetDigest": "d", "baseDigest": "a"}, "b", "", id="made before it"),
        pytest.param({"datasetDigest": "d", "baseDigest": ""}, "b", "", id="made before the first"),
        pytest.param({"datasetDigest": "d", "baseDigest": ""}, "", "d", id="nothing was imported"),
        pytest.param({"datasetDigest": "d"}, "b", "d", id="a curator of an earlier release"),
        pytest.param({"datasetDigest": 4, "baseDigest": ""}, "", "", id="nonsense"),
    ],
)
def test_a_dataset_that_lacks_what_was_imported_last_is_not_the_newest(
    reading: dict[str, Any], imported: str, newest: str
) -> None:
    assert retrain.newest_dataset(reading, imported) == newest
