"""A change that is stated: from one moment of the final's time on the sensor reads `factor` times as much, as if it had
been calibrated anew or had lost a part of what it counts. What that costs the version that serves, and how much of it
one turn of the loop wins back.

The readings are the final's own times the factor, as another series. What is judged lies behind what the turn can
learn from, and its truths are told to nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from examples import turn
from examples.client import Agents, Answer
from examples.scenario import Scenario
from examples.series_clock import SeriesClock
from examples.spans import Asked, Spans
from examples.stack import Stack, Tell
from skerry.core import specs

_LEARNED, _JUDGED = 0.4, 0.3  # of the rows; those between are for the canary
_FEWEST = 300  # rows


@dataclass(slots=True)
class Changed:
    """`after` are the answers to the judged rows by the version that served when the change came, `turned` those of
    what one turn made of it: of the same version where that made none. `asked`: all others, for the agents' counts."""

    factor: float
    judged: range = range(0)
    after: list[Answer] = field(default_factory=list)
    turned: list[Answer] = field(default_factory=list)
    asked: list[Answer] = field(default_factory=list)
    run: str = ""
    rollout: str = ""
    notes: list[str] = field(default_factory=list)


def columns(example: Scenario, model: specs.EdgeModel) -> list[int]:
    """Those of an input that hold readings of the target: its own past, and the seasons."""
    features, lags = model.input.shape[1], len(example.choices.lags) * model.task.to_json()["forecast"]["steps"]
    return [0, *range(features - lags, features)]


def scaled(rows: Asked, factor: float, which: Sequence[int]) -> Asked:
    """The same moments as the changed sensor reads them."""
    by = np.ones(rows.x.shape[2], dtype=np.float32)
    by[list(which)] = factor
    return replace(rows, x=rows.x * by, y=rows.y * np.float32(factor), naive=rows.naive * np.float32(factor))


def play(
    stack: Stack, agents: Agents, example: Scenario, model: specs.EdgeModel, cut: Spans, untaught: int, found: Changed
) -> None:
    """`found.judged` begins where the final's truths are still untold; of `untaught` answers the truth is known and was
    in no run. Fills `found`, as far as it comes. Raises SkerryError."""
    clock, first, usual = SeriesClock(agents), found.judged.start, agents.series
    rows = scaled(cut.final, found.factor, columns(example, model))
    learned = first + int((len(rows) - first) * _LEARNED)
    found.judged = range(len(rows) - int((len(rows) - first) * _JUDGED), len(rows))
    agents.series = f"{usual}-changed"
    try:
        found.asked += [clock.ask(rows, index, "changed") for index in range(first, learned)]
        clock.run_out()
        found.after = _ask(agents, rows, found.judged, "after")
        known = len(turn.rollouts(stack.look()))
        if _second_run(stack, agents, model.name, cut.base.parent, untaught + learned - first, found):
            canary = _until(rows, found.judged.start)
            rollout, answers = turn.roll_out(stack, clock, canary, learned, "changed", known, found.notes.append)
            clock.run_out()
            found.asked += answers
            found.rollout = rollout.name
            if (phase := str(rollout.status.get("phase", ""))) != "Succeeded":
                found.notes.append(f"{rollout.name} ended {phase}")
        found.turned = _ask(agents, rows, found.judged, "turned")
    finally:
        agents.series = usual


def _second_run(stack: Stack, agents: Agents, model: str, stage: Path, min_new: int, found: Changed) -> bool:
    """The policy is let go on when as many new examples are labelled as truths were told; did its run make a
    version?"""
    known = len(turn.runs(stack.look()))
    turn.change(stack, stage, model, {"retrain": {"enabled": True, "minNewExamples": min_new}})
    turn.wait_for_policy(stack, agents, model, known, found.notes.append)
    run, made = turn.finish_run(stack, stage, model, known, found.notes.append)
    found.run = run.name
    return made


def begin(example: Scenario, cut: Spans, first: int, tell: Tell) -> Changed | None:
    """None where too few rows are left from `first` on, or nothing changes."""
    if example.change_factor == 1:
        return None
    if len(cut.final) - first < _FEWEST:
        tell(f"the change is not played: {len(cut.final) - first} rows are left, {_FEWEST} are asked for")
        return None
    return Changed(example.change_factor, range(first, len(cut.final)))


def _until(rows: Asked, stop: int) -> Asked:
    return replace(rows, x=rows.x[:stop], y=rows.y[:stop], naive=rows.naive[:stop], time=rows.time[:stop])


def _ask(agents: Agents, rows: Asked, which: range, name: str) -> list[Answer]:
    return [agents.ask(i, f"{name}-{i}", rows.x[i], int(rows.time[i])) for i in which]
