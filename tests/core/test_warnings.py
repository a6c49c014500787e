"""When residuals raise a warning and when it is over; which reading is the truth; what a policy may say."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import errors, specs, warnings
from skerry.core.warnings import Change, Expected, TruthSource, WarnPolicy

POLICY = WarnPolicy(above=2.0, over_at=1.0, readings=3)
ROWS = {
    "three in a row above raise it": ([3, 3, 3], ["Raised"]),
    "two in a row do not": ([3, 3, 0, 3, 3], []),
    "at the level is not above it": ([2, 2, 2, 2], []),
    "it is raised once however long it lasts": ([3] * 20, ["Raised"]),
    "three in a row low end it": ([3, 3, 3, 1, 1, 1], ["Raised", "Over"]),
    "between the levels nothing changes": ([3, 3, 3, 1.5, 3, 1.5, 3, 1.5, 3], ["Raised"]),
    "a reading between the levels begins the count of low ones anew": ([3, 3, 3, 1, 1, 1.5, 1, 1], ["Raised"]),
    "it can come again": ([3, 3, 3, 0, 0, 0, 3, 3, 3], ["Raised", "Over", "Raised"]),
    "what is no number says nothing": ([3, 3, math.nan, math.inf, 3], ["Raised"]),
}


def play(residuals: Sequence[float], policy: WarnPolicy = POLICY) -> list[str]:
    state, changes = warnings.QUIET, []
    for residual in residuals:
        state, change = warnings.step(state, residual, policy)
        changes += [change.value] if change else []
    return changes


@pytest.mark.parametrize(("residuals", "changes"), ROWS.values(), ids=ROWS.keys())
def test_a_warning(residuals: Sequence[float], changes: list[str]) -> None:
    assert play(residuals) == changes


@given(st.lists(st.floats(0, 4)), st.integers(1, 4))
def test_changes_alternate_and_each_needs_as_many_readings_as_the_policy_says(
    residuals: list[float], readings: int
) -> None:
    changes = play(residuals, WarnPolicy(2.0, 1.0, readings))
    assert all(before != after for before, after in itertools.pairwise(changes))
    assert changes[:1] in ([], ["Raised"])
    assert len(changes) * readings <= len(residuals)


@pytest.mark.parametrize(
    ("expected", "at", "in_order", "told"),
    [
        (None, 0, True, None),
        (Expected(10.0), 0, True, 4.0),
        (Expected(10.0), 0, False, None),
        (Expected(10.0, 5_000), 5_300, False, 4.0),
        (Expected(10.0, 5_000), 5_600, True, None),
        (Expected(10.0, 5_000), 5_000, True, None),
        (Expected(10.0, 5_000), 0, True, 4.0),
        (Expected(10.0, 5_000), 0, False, None),
    ],
    ids=[
        "of a series that begins nothing was expected",
        "the next step of a sequence is the truth",
        "a window without times may be of any moment",
        "a window one step later is the truth",
        "after a gap nothing was expected for this moment",
        "the same moment again is no next one",
        "a sequence goes by its order where a time is missing",
        "a window whose time is missing may be of any moment",
    ],
)
def test_the_next_reading(expected: Expected | None, at: int, in_order: bool, told: float | None) -> None:
    assert warnings.residual(expected, 14.0, at, 300, in_order=in_order) == told


def test_people_are_told_level_and_unit() -> None:
    told = warnings.text(Change.RAISED, 3.25, POLICY, "°C")
    assert told == "3 forecasts in a row are off by more than 2 °C, the last by 3.25 °C"
    assert warnings.text(Change.OVER, 0.5, POLICY, "°C") == "3 forecasts in a row are off by at most 1 °C"


FORECAST = {"target": "temperature", "unit": "°C", "stepSeconds": 300}


def model(warn: Any, **fields: Any) -> specs.EdgeModel:
    spec: dict[str, Any] = {
        "task": "Forecast",
        "forecast": FORECAST,
        "input": {"name": "x", "datatype": "FP32", "shape": [24, 1]},
        "warn": warn,
    }
    return specs.parse_edge_model("machine", {**spec, **fields})


def test_a_policy_is_read_with_safe_defaults() -> None:
    assert model({"residualAbove": 3}).warn == WarnPolicy(3.0, 1.5, 3, TruthSource.NEXT_READING, 0)
    given = {"residualAbove": 3, "overAt": 1, "for": 6, "truth": "Feedback", "targetColumn": 2}
    assert model(given).warn == WarnPolicy(3.0, 1.0, 6, TruthSource.FEEDBACK, 2)
    assert model(None).warn is None
    assert specs.warn_for_nodes("machine", {"warn": given}) == given
    assert specs.warn_for_nodes("machine", {}) == {}


@pytest.mark.parametrize(
    ("warn", "fields", "told"),
    [
        ({}, {}, "residualAbove is missing"),
        ({"residualAbove": -1}, {}, "residualAbove must be a number in 0"),
        ({"residualAbove": math.nan}, {}, "residualAbove must be a number"),
        ({"residualAbove": 1, "overAt": 2}, {}, "overAt must be at most residualAbove, 1, not 2"),
        ({"residualAbove": 1, "for": 0}, {}, "for must be in 1..10000"),
        ({"residualAbove": 1, "targetColumn": 1}, {}, "targetColumn 1 is in no row of the input"),
        (
            {"residualAbove": 1},
            {"forecast": FORECAST | {"horizon": 2}},
            "is 2 steps ahead, not 1: say Feedback",
        ),
        (
            {"residualAbove": 1},
            {"task": "Classification", "forecast": None, "classNames": ["a", "b"]},
            "is of residuals, and the model answers",
        ),
    ],
)
def test_a_policy_that_cannot_be_is_refused_by_its_field(warn: Any, fields: dict[str, Any], told: str) -> None:
    with pytest.raises(errors.InputError, match=r"EdgeModel machine: spec\.warn") as refused:
        model(warn, **fields)
    assert told in str(refused.value)
