"""What people read under `kubectl describe`: every turn once, in words, nothing that is no news."""

from pathlib import Path
from typing import Any

import controlling
import pytest

from skerry.controller import announcing
from skerry.core import rollout


def status(**kinds: tuple[str, str]) -> dict[str, Any]:
    """Conditions by type: (status, reason)."""
    return {
        "conditions": [
            {"type": kind, "status": value, "reason": reason, "message": "because", "lastTransitionTime": ""}
            for kind, (value, reason) in kinds.items()
        ]
    }


YES, NO = ("True", "Valid"), ("False", "Invalid")
TURNS = [
    pytest.param("TrainingRun", {}, status(Accepted=YES), ["Valid"], id="a first condition is news"),
    pytest.param("TrainingRun", status(Accepted=YES), status(Accepted=YES), [], id="the same again is not"),
    pytest.param(
        "TrainingRun", status(Accepted=YES), status(Accepted=NO), ["Invalid!"], id="a turn for the worse warns"
    ),
    pytest.param(
        "TrainingRun",
        status(Running=("False", "Queued")),
        status(Running=("False", "Unschedulable")),
        ["Unschedulable"],
        id="another reason is news",
    ),
    pytest.param(
        "TrainingRun",
        status(Running=("True", "Training")),
        status(Running=("False", "OOMKilled"), Succeeded=("False", "OOMKilled")),
        ["OOMKilled!"],
        id="an end is told once",
    ),
    pytest.param("TrainingRun", {}, status(Succeeded=("Unknown", "NotYet")), [], id="not known yet is no news"),
    pytest.param("EdgeModel", {}, status(Ready=("False", "NoVersion")), ["NoVersion"], id="a new model is no trouble"),
    pytest.param(
        "ModelVersion",
        status(Available=("True", "Published")),
        status(Available=("False", "Retired")),
        ["Retired"],
        id="a version that retires is no trouble",
    ),
    pytest.param("EdgeModel", {}, status(TrustFresh=("True", "Fresh")), [], id="signatures that are good need no word"),
    pytest.param(
        "EdgeModel",
        status(TrustFresh=("True", "Fresh")),
        status(TrustFresh=("False", "SignatureExpiring")),
        ["SignatureExpiring!"],
        id="signatures near their end warn",
    ),
    pytest.param(
        "EdgeModel",
        status(TrustFresh=("False", "SignatureEnded")),
        status(TrustFresh=("True", "Fresh")),
        ["Fresh"],
        id="and are told of when they were renewed",
    ),
    pytest.param("ModelRollout", {}, status(Accepted=YES), [], id="a rollout that is right needs no word"),
    pytest.param("ModelRollout", {}, status(Accepted=NO), ["Invalid!"], id="a rollout that is wrong does"),
    pytest.param("ModelRollout", status(Accepted=NO), status(Accepted=YES), ["Valid"], id="and when it is mended"),
    pytest.param("ModelRollout", {}, status(Paused=("True", "Operator")), [], id="its steps are told by the planner"),
    pytest.param("EdgeFleet", {"conditions": "broken"}, {"conditions": 5}, [], id="a broken status says nothing"),
]


@pytest.mark.parametrize(("kind", "before", "after", "told"), TURNS)
def test_turns(kind: str, before: dict[str, Any], after: dict[str, Any], told: list[str]) -> None:
    found = [f"{one.reason}{'!' * one.warning}" for one in announcing.of_conditions(kind, before, after)]
    assert found == told


def test_a_message_says_which_condition_and_why() -> None:
    (one,) = announcing.of_conditions("TrainingRun", {}, status(Accepted=NO))
    assert one.message == "Accepted is False: because"


def test_a_site_that_went_dark_is_one_event() -> None:
    many = [rollout.Event("NodeDeferred", f"edge-{number} is offline", f"edge-{number}") for number in range(40)]
    one, other = announcing.of_rollout([*many, rollout.Event("WaveStarted", "wave rest")])
    assert one.message.startswith("edge-0 is offline; and 39 more: edge-1, edge-2")
    assert (other.reason, other.warning) == ("WaveStarted", False)


def test_the_story_of_a_rollout_is_told_step_by_step_and_once(tmp_path: Path) -> None:
    world = controlling.World(tmp_path, nodes=3)
    world.import_version(1)
    world.run(40)
    assert world.phase("digits-v1-auto") == "Succeeded"
    of_rollout = [reason for kind, _, reason, _, _ in world.events.told if kind == "ModelRollout"]
    assert of_rollout.count("WaveStarted") == 2
    assert of_rollout.count("Succeeded") == 1
    assert len(of_rollout) == len(
        {(reason, message) for kind, _, reason, message, _ in world.events.told if kind == "ModelRollout"}
    )
    before = len(world.events.told)
    world.run(10)
    assert len(world.events.told) == before
    assert (
        "EdgeModel",
        "digits",
        "Served",
        "Ready is True: digits-v1 is the stable version",
        False,
    ) in world.events.told
