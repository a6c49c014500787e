"""What inputs are like: features of rows, a reference of the holdout, and drift only where a mean surely moved."""

import json

import numpy as np
import pytest

from skerry.core import drift, input_sketch
from skerry.core.drift import Inputs, Outcome
from skerry.core.specs.model import RetrainSpec

POLICY = RetrainSpec()
RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(500, 6)).astype(np.float32) * np.float32([1, 10, 1e6, 1, 1, 0]) + np.float32(
    [0, 5, 1e7, 0, 0, 3]
)


def inputs(x: np.ndarray, known: input_sketch.Reference) -> Inputs:
    away = input_sketch.standardized(x, known)
    assert away is not None
    return Inputs(len(away), tuple(away.sum(axis=0).tolist()))


@pytest.mark.parametrize(
    ("shape", "dtype", "count"),
    [
        pytest.param((9, 6), np.float32, 6, id="each column of a table"),
        pytest.param((9, 200), np.float32, 2, id="a wide table as a whole"),
        pytest.param((9, 20, 4), np.float32, 8, id="mean and spread of each column of a window"),
        pytest.param((9, 28, 28), np.uint8, 2, id="mean and spread of an image"),
        pytest.param((9, 3, 8, 8), np.float32, 2, id="an image with channels"),
    ],
)
def test_features_are_few(shape: tuple[int, ...], dtype: type, count: int) -> None:
    found = input_sketch.features(RNG.integers(0, 200, shape).astype(dtype))
    assert found is not None and found.shape == (9, count)


def test_what_is_no_number_has_no_features() -> None:
    assert input_sketch.features(np.array([[b"a text"]], dtype=object)) is None
    assert input_sketch.reference(np.array([[1.0, np.nan]] * 3)) is None
    assert input_sketch.reference(np.zeros((5, 3), np.float32)) is None
    assert input_sketch.reference(TABLE[:1]) is None
    assert input_sketch.standardized(np.zeros((3, 9), np.float32), input_sketch.Reference((0.0,), (1.0,))) is None


def test_rows_like_the_holdout_are_no_drift_and_a_column_that_moved_is() -> None:
    known = input_sketch.reference(TABLE)
    assert known is not None
    same = drift.judge_inputs(inputs(TABLE[:200], known), POLICY)
    assert same.outcome is Outcome.NO_DRIFT
    moved = TABLE[:200].copy()
    moved[:, 2] += 1e6  # one of its spreads
    found = drift.judge_inputs(inputs(moved, known), POLICY)
    assert (found.outcome, found.code) == (Outcome.DRIFT, "InputShift") and "feature 2" in found.reason
    assert drift.judge_inputs(inputs(moved[:90], known), POLICY).outcome is Outcome.INCONCLUSIVE
    off = RetrainSpec(input_shift_permille=0)
    assert drift.judge_inputs(inputs(moved, known), off).outcome is Outcome.INCONCLUSIVE


def test_one_broken_row_is_one_row() -> None:
    known = input_sketch.reference(TABLE)
    assert known is not None
    broken = TABLE[:200].copy()
    broken[3], broken[4] = np.float32(3e38), np.nan
    seen = inputs(broken, known)
    assert seen.rows == 199 and drift.judge_inputs(seen, POLICY).outcome is Outcome.NO_DRIFT


def test_nodes_add_up_and_other_features_do_not() -> None:
    assert Inputs().plus(3, (1.0, 2.0)).plus(2, (1.0, 1.0)) == Inputs(5, (2.0, 3.0))
    assert Inputs(3, (1.0, 2.0)).plus(9, (7.0,)) == Inputs(3, (1.0, 2.0))


@pytest.mark.parametrize(
    "given",
    [
        None,
        {},
        {"mean": [1.0], "spread": []},
        {"mean": [1.0], "spread": [0.0]},
        {"mean": [1.0], "spread": [-1]},
        {"mean": ["1"], "spread": [1.0]},
        {"mean": [True], "spread": [1.0]},
        {"mean": [0.0] * 33, "spread": [1.0] * 33},
        {"mean": 1, "spread": 2},
    ],
)
def test_a_reference_that_cannot_be_is_none(given: object) -> None:
    assert input_sketch.of_metrics({"inputs": given}) is None


def test_a_reference_travels_in_the_manifests_metrics() -> None:
    known = input_sketch.reference(TABLE)
    assert known is not None
    assert input_sketch.of_metrics(json.loads(json.dumps({"inputs": known.to_json()}))) == known
