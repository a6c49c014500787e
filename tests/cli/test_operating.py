"""What an operator does: every action is asked of `core.intents`, written as intent, and refused with a reason when it
makes no sense now."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import seeded_fleet
from cli_system import StillSystem

from skerry.core import rollout, writers
from skerry.core.rollout.status import Status, Wave

RUNNING, ROLLED_BACK = "digits-v3-auto", "digits-v1-auto"


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    still = StillSystem(tmp_path)
    seeded_fleet.seed(still.objects, time.time_ns() // 1_000_000)
    return still


def spec(system: StillSystem, name: str) -> dict[str, Any]:
    return system.objects.get("ModelRollout", name).spec


def status(system: StillSystem, **fields: Any) -> None:
    """Give the running rollout another status, as the controller would."""
    system.objects.patch(
        "ModelRollout", RUNNING, manager=writers.CONTROLLER, status=rollout.to_json(Status(attempt=1, **fields))
    )


def test_nodes_tell_their_state_by_age_and_what_they_serve(system: StillSystem) -> None:
    rows = {row["node"]: row for row in json.loads(system.good("nodes", "--json"))}
    assert {name: row["state"] for name, row in rows.items()} == {
        "edge-1": "Online",
        "edge-2": "Online",
        "edge-3": "Stale",
        "edge-4": "Offline",
        "edge-5": "Unknown",
    }
    assert rows["edge-1"]["models"][0]["version"] == 3
    assert rows["edge-5"]["lastSeenUnixMs"] is None
    assert all(row["spool"] is None for row in rows.values())  # no Redis here: not known, never zero


def test_nodes_are_shown_with_ages_and_what_is_brought_up(system: StillSystem) -> None:
    shown = system.good("nodes")
    for told in ("edge-4", "Offline", "2h", "digits v3", "Staged: verified and self-tested"):
        assert told in shown, told


def test_rollouts_are_listed_oldest_first(system: StillSystem) -> None:
    rows = json.loads(system.good("rollout", "list", "--json"))
    assert {row["name"]: row["phase"] for row in rows} == {RUNNING: "Progressing", ROLLED_BACK: "RolledBack"}
    shown = system.good("rollout", "list")
    assert "wave canary is judged" in shown
    assert "edge-4" in shown


def test_a_rollouts_status_tells_verdict_failures_and_what_is_possible(system: StillSystem) -> None:
    shown = system.good("rollout", "status", RUNNING)
    assert "Inconclusive: the canary has 84 answers" in shown
    assert "possible now: pause, promote --wave canary, abort" in shown
    failed = system.good("rollout", "status", ROLLED_BACK)
    assert "failed on edge-2: self-test" in failed
    assert "possible now: retry" in failed
    told = json.loads(system.good("rollout", "status", RUNNING, "--json"))
    assert {one["action"]: not one["whyNot"] for one in told["offers"]} == {
        "pause": True,
        "resume": False,
        "promote": True,
        "abort": True,
        "retry": False,
    }


@pytest.mark.parametrize(
    ("action", "more", "field", "value"),
    [
        pytest.param("pause", (), "paused", True, id="pause is a word in the spec"),
        pytest.param("abort", ("--attempt", "1"), "desired", "Abort", id="abort is a desired state"),
        pytest.param("promote", ("--wave", "canary"), "promotedWave", 0, id="promote passes the wave that is seen"),
    ],
)
def test_an_action_writes_intent_and_nothing_else(
    system: StillSystem, action: str, more: tuple[str, ...], field: str, value: Any
) -> None:
    before = system.objects.get("ModelRollout", RUNNING)
    assert "is requested" in system.good("rollout", action, RUNNING, *more)
    after = system.objects.get("ModelRollout", RUNNING)
    assert after.spec[field] == value
    assert after.status == before.status


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        pytest.param((), 2, f"promote {RUNNING} --wave canary", id="no wave is named: the one that stands is told"),
        pytest.param(("--wave", "half"), 3, "half has not begun: nothing was done", id="a later wave"),
        pytest.param(("--wave", "\u202eyranac"), 2, "its waves are canary, half, rest", id="no wave of it"),
        pytest.param(("--wave", "canary", "--attempt", "2"), 3, "is in attempt 1, not in attempt 2", id="an attempt"),
    ],
)
def test_a_promotion_of_what_does_not_stand_does_nothing(
    system: StillSystem, more: tuple[str, ...], code: int, said: str
) -> None:
    before = system.objects.get("ModelRollout", RUNNING)
    told = system.bad(code, "rollout", "promote", RUNNING, *more)
    assert said in told and "\u202e" not in told
    assert system.objects.get("ModelRollout", RUNNING) == before


def test_a_wave_that_an_operator_passed_is_told_as_that_and_not_passed_again(system: StillSystem) -> None:
    """Two promotions in a row, the controller having acted on the first."""
    system.good("rollout", "promote", RUNNING, "--wave", "canary")
    word = {"result": "Pass", "code": "Promoted", "reason": "an operator passed it without evidence", "final": True}
    waves = (Wave("canary", ("edge-1",), verdict=word, size=1), Wave("rest", ("edge-2",), size=1))
    status(system, state="Progressing", wave=1, waves=waves)
    said = system.bad(3, "rollout", "promote", RUNNING, "--wave", "canary")
    assert "canary of digits-v3-auto is passed already (an operator passed it without evidence)" in said
    assert "wave rest stands now: nothing was done" in said
    assert spec(system, RUNNING)["promotedWave"] == 0
    shown = system.good("rollout", "status", RUNNING)
    assert "Overridden: an operator passed it without evidence" in shown and "Pass:" not in shown


@pytest.mark.parametrize(
    ("name", "phase", "code", "said"),
    [
        pytest.param(RUNNING, "Progressing", 0, f"{RUNNING}: Progressing", id="it is so already"),
        pytest.param(ROLLED_BACK, "Succeeded", 1, f"{ROLLED_BACK}: RolledBack", id="it has ended otherwise"),
        pytest.param(RUNNING, "Succeeded", 4, f"{RUNNING} is Progressing, not Succeeded, after 0 s", id="not in time"),
    ],
)
def test_a_script_waits_for_a_phase(system: StillSystem, name: str, phase: str, code: int, said: str) -> None:
    done = system.run("rollout", "wait", name, "--for", phase, "--timeout", "0")
    assert done.exit_code == code and said in done.output


def test_a_script_that_waits_after_a_retry_waits_for_the_new_attempt(system: StillSystem) -> None:
    system.good("rollout", "retry", ROLLED_BACK)
    said = system.bad(4, "rollout", "wait", ROLLED_BACK, "--for", "RolledBack", "--timeout", "0")
    assert "after 0 s" in said


def test_pause_and_resume_undo_each_other(system: StillSystem) -> None:
    system.good("rollout", "pause", RUNNING)
    assert "paused already" in system.bad(3, "rollout", "pause", RUNNING)
    system.good("rollout", "resume", RUNNING)
    assert spec(system, RUNNING)["paused"] is False
    assert "is not paused" in system.bad(3, "rollout", "resume", RUNNING)


@pytest.mark.parametrize(
    ("action", "name", "said"),
    [
        pytest.param("pause", ROLLED_BACK, "has ended", id="what has ended cannot be paused"),
        pytest.param("abort", ROLLED_BACK, "has ended", id="nor aborted"),
        pytest.param("promote", ROLLED_BACK, "has ended", id="nor promoted"),
        pytest.param("retry", RUNNING, "only one that ended", id="what runs cannot be retried"),
    ],
)
def test_an_action_that_makes_no_sense_says_why(system: StillSystem, action: str, name: str, said: str) -> None:
    before = spec(system, name)
    assert said in system.bad(3, "rollout", action, name)
    assert spec(system, name) == before


@pytest.mark.parametrize("action", ["status", "pause", "resume", "abort", "promote", "retry"])
def test_a_rollout_that_does_not_exist(system: StillSystem, action: str) -> None:
    assert "there is no ModelRollout digits-v9-auto" in system.bad(2, "rollout", action, "digits-v9-auto")


def test_a_rollout_that_failed_may_be_tried_again(system: StillSystem) -> None:
    system.good("rollout", "retry", ROLLED_BACK)
    first = spec(system, ROLLED_BACK)["retryToken"]
    assert first


def test_a_published_version_is_rolled_out_by_its_models_policy(system: StillSystem) -> None:
    system.objects.patch(
        "EdgeModel", "digits", manager=writers.OPERATOR, spec={"rollout": {"automatic": False, "fleet": "all"}}
    )
    system.good("rollout", "start", "digits-v1")
    made = [one for one in system.objects.list("ModelRollout") if one.name not in (RUNNING, ROLLED_BACK)]
    assert [(one.spec["version"], one.spec["fleet"]) for one in made] == [("digits-v1", "all")]
    assert "automatic" not in made[0].spec


def test_a_version_that_is_not_published_is_not_rolled_out(system: StillSystem) -> None:
    version = {"model": "digits", "version": 9, "digest": "sha256:" + "9" * 64, "targetPath": "retrained/digits/9"}
    system.objects.create("ModelVersion", "digits-v9", version, manager=writers.CONTROLLER)
    assert "not published" in system.bad(3, "rollout", "start", "digits-v9")
    assert "there is no ModelVersion" in system.bad(2, "rollout", "start", "digits-v10")


def test_a_rollback_names_the_older_version(system: StillSystem) -> None:
    system.good("rollout", "rollback", "digits", "--to", "digits-v1")
    made = next(one for one in system.objects.list("ModelRollout") if one.spec.get("rollback"))
    assert made.spec["version"] == "digits-v1"
    assert "not older" in system.bad(3, "rollout", "rollback", "digits", "--to", "digits-v3")
    assert "digits-v7" in system.bad(2, "rollout", "rollback", "digits", "--to", "digits-v7")


@pytest.mark.parametrize("words", [("nodes",), ("runs",), ("rollout", "list"), ("models",)])
def test_an_empty_system_says_so(tmp_path: Path, words: tuple[str, ...]) -> None:
    still = StillSystem(tmp_path)
    assert json.loads(still.good(*words, "--json")) == []
    assert "yet" in still.good(*words)


def test_words_of_others_are_shown_as_they_are(system: StillSystem) -> None:
    """rich would take `[red]` for a color and `[/]` for an error."""
    report = {"model": "digits", "targetState": "Refused", "reason": "[/] [red]x[/red] [link=http://x]y"}
    system.objects.patch("EdgeNode", "edge-1", manager=writers.GATEWAY, status={"models": [report]})
    assert "[/] [red]x[/red]" in system.good("nodes")
