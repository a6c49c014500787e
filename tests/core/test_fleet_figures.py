"""What operators watch of rollouts, runs and versions, as numbers."""

from typing import Any

import pytest

from skerry.core import fleet_figures
from skerry.core.fleet_figures import Rollout, Run

NOW_MS = 1_000_000_000


def condition(kind: str, status: str, reason: str = "") -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("conditions", "outcome"),
    [
        pytest.param([], "Waiting", id="nothing is known of it yet"),
        pytest.param([condition("Running", "True")], "Running", id="it trains"),
        pytest.param(
            [condition("Running", "False"), condition("Succeeded", "True")], "Succeeded", id="it made a version"
        ),
        pytest.param([condition("Succeeded", "False", "GatesFailed")], "GatesFailed", id="it failed, in one word"),
        pytest.param([condition("Succeeded", "Unknown")], "Waiting", id="whether it succeeds is not known yet"),
    ],
)
def test_a_run_is_counted_by_its_outcome(conditions: list[Any], outcome: str) -> None:
    assert fleet_figures.read_run({"model": "m"}, {"conditions": conditions}, 5).outcome == outcome


def test_a_rollout_that_cannot_be_read_counts_as_invalid() -> None:
    assert fleet_figures.read_rollout("r", {"model": "m"}, {"state": "Nonsense"}).phase == "Invalid"


def test_phases_ages_and_ends() -> None:
    rollouts = [
        Rollout("a", "Progressing", NOW_MS - 60_000, NOW_MS - 10_000, 0, True),
        Rollout("a", "Progressing", NOW_MS - 90_000, NOW_MS - 5_000, 0, False),
        Rollout("a", "Paused", NOW_MS - 30_000, NOW_MS - 30_000, 0, False),
        Rollout("a", "Succeeded", 1, 1, NOW_MS - 7_000, False),
        Rollout("a", "Succeeded", 1, 1, NOW_MS - 2_000, False),
        Rollout("b", "Pending", 0, 0, 0, False),
    ]
    made = fleet_figures.work(rollouts, [], {}, now_ms=NOW_MS)
    assert {phase: count for phase, count in made.rollouts.items() if count} == {
        "Progressing": 2,
        "Paused": 1,
        "Succeeded": 2,
        "Pending": 1,
    }
    assert made.rollouts["RolledBack"] == 0, "a phase without rollouts is shown as zero"
    assert made.active_s == {("a", "Progressing"): 90.0, ("a", "Paused"): 30.0}
    assert made.standing_s == {("a", "Progressing"): 10.0, ("a", "Paused"): 30.0}
    assert made.rollout_ended_s == {("a", "Succeeded"): (NOW_MS - 2_000) / 1000}
    assert made.undecided == {"a": 1, "b": 0}


def test_a_retraining_is_overdue_since_the_first_run_after_the_newest_version() -> None:
    runs = [
        Run("a", "Succeeded", NOW_MS - 90_000, NOW_MS - 80_000),
        Run("a", "GatesFailed", NOW_MS - 50_000, NOW_MS - 40_000),
        Run("a", "Running", NOW_MS - 10_000, 0),
        Run("new", "Waiting", NOW_MS - 3_000, 0),
    ]
    made = fleet_figures.work([], runs, {"a": NOW_MS - 70_000, "idle": 5}, now_ms=NOW_MS)
    assert made.overdue_s == {"a": 50.0, "idle": 0.0, "new": 3.0}
    assert made.run_ended_s == {
        ("a", "Succeeded"): (NOW_MS - 80_000) / 1000,
        ("a", "Failed"): (NOW_MS - 40_000) / 1000,
    }


def test_the_mix_names_ten_versions_of_fifty_models_and_loses_no_node() -> None:
    serving = {("big", version): 100 + version for version in range(1, 13)}
    serving |= {(f"m{number:03}", 1): 1 for number in range(80)}
    mix = fleet_figures.version_mix(serving)
    assert mix["big", "12"] == 112 and mix["big", "3"] == 103
    assert mix["big", "other"] == 101 + 102
    assert mix["other", "other"] == 80 - (fleet_figures.MAX_MODELS - 1)
    assert sum(mix.values()) == sum(serving.values())
    assert len(mix) <= fleet_figures.MAX_MODELS * (fleet_figures.MAX_VERSIONS + 1) + 1


def test_models_beyond_the_bound_are_told_together() -> None:
    runs = [Run(f"m{number}", "Failed", 1, 1000 * number + 1000) for number in range(70)]
    ended = fleet_figures.work([], runs, {}, now_ms=NOW_MS).run_ended_s
    assert len(ended) == fleet_figures.MAX_MODELS + 1
    assert ended["other", "Failed"] == 70
