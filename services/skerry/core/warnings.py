"""When a forecaster's residuals become a warning, and when that is over. Pure.

A residual is |reading - forecast| in the target's unit. A warning is raised after so many residuals in a row above one
level, and is over after as many in a row at or below a lower one: between the two nothing changes, so a residual that
hovers about a level raises one warning, not a hundred. What is no finite number says nothing. Whose residuals these
are, and who hears of a warning, is the agent's (`agent.warning_watch`).
"""

import enum
import math
from dataclasses import dataclass, replace
from typing import NamedTuple


class TruthSource(enum.StrEnum):
    """What a forecast is compared with."""

    NEXT_READING = "NextReading"  # what the same series sends next is the truth of what was forecast for then
    FEEDBACK = "Feedback"  # somebody tells it


@dataclass(frozen=True, slots=True)
class WarnPolicy:
    """EdgeModel.spec.warn. `above` and `over_at` ≤ `above` are levels in the target's unit, `readings` so many in a row
    on one side of them. `column`: the target's place in a row of the input, where the next reading is the truth."""

    above: float
    over_at: float
    readings: int = 3
    truth: TruthSource = TruthSource.NEXT_READING
    column: int = 0


class Change(enum.Enum):
    RAISED = "Raised"
    OVER = "Over"


@dataclass(frozen=True, slots=True)
class State:
    """Of one series: is a warning raised, and how many residuals in a row speak for the other."""

    is_raised: bool = False
    streak: int = 0


QUIET = State()


def step(state: State, residual: float, policy: WarnPolicy) -> tuple[State, Change | None]:
    """The next residual."""
    if not math.isfinite(residual):
        return state, None
    speaks = residual <= policy.over_at if state.is_raised else residual > policy.above
    streak = state.streak + 1 if speaks else 0
    if streak < policy.readings:
        return replace(state, streak=streak), None
    return State(not state.is_raised), Change.OVER if state.is_raised else Change.RAISED


class Expected(NamedTuple):
    """What a version forecast for the next moment of a series; `series_ms`: the time, by the series' own clock, of the
    reading that it was made from (0: not given)."""

    value: float
    series_ms: int = 0


def residual(
    expected: Expected | None, reading: float, series_ms: int, step_ms: int, *, in_order: bool
) -> float | None:
    """By how much the reading of `series_ms` is off what was expected for it; None: nothing was, or for another moment.
    `in_order`: where no times are given, is the next one to come the next of its series?"""
    if expected is None:
        return None
    if expected.series_ms and series_ms:
        return abs(reading - expected.value) if series_ms - expected.series_ms == step_ms else None
    return abs(reading - expected.value) if in_order else None


def text(change: Change, residual: float, policy: WarnPolicy, unit: str) -> str:
    """A change, for people."""
    if change is Change.OVER:
        return f"{policy.readings} forecasts in a row are off by at most {policy.over_at:.6g} {unit}"
    return (
        f"{policy.readings} forecasts in a row are off by more than {policy.above:.6g} {unit}, "
        f"the last by {residual:.6g} {unit}"
    )
