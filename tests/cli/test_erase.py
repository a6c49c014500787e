"""`skerry erase`: what it asks, makes, tells and refuses."""

import json
from pathlib import Path

import pytest
from cli_system import StillSystem

from skerry.core import subjects

KEY = "5f" * 32


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    made = StillSystem(tmp_path)
    made.objects.create("EdgeNode", "cam-1", {}, manager="gateway")
    return made


def erase(system: StillSystem, *arguments: str) -> str:
    return system.good("erase", *arguments, "--yes", "--wait", "0")


def test_it_asks_first_and_an_answer_that_is_no_yes_erases_nothing(system: StillSystem) -> None:
    assert "Remove for good what is stored of node cam-1" in system.run("erase", "--node", "cam-1").output
    assert system.objects.list("Erasure") == []


def test_an_erasure_is_made_listed_shown_and_ended_when_it_is_complete(system: StillSystem) -> None:
    told = erase(system, "--node", "cam-1", "--model", "", "--reason", "asked to")
    assert "backups that were taken before now still hold it" in told
    (thing,) = system.objects.list("Erasure")
    assert (thing.spec["node"], thing.spec["reason"]) == ("cam-1", "asked to")
    learned = [{"version": "press-v2", "model": "press", "dataset": "x", "rows": 3}]
    message = "1 nodes have yet to confirm: cam-1; each hears of it when it is back"
    waits = {"type": "Complete", "status": "False", "reason": "NodesWaiting", "message": message}
    status = {"examples": 3, "parts": 1, "versions": learned, "conditions": [waits], "waitingNodes": ["cam-1"]}
    system.objects.patch("Erasure", thing.name, status=status, manager="controller")
    (row,) = json.loads(system.good("erase", "list", "--json"))
    assert (row["complete"], row["reason"], row["versions"]) == (False, "NodesWaiting", learned)
    shown = system.good("erase", "show", thing.name)
    assert "press-v2" in shown and message in shown
    assert "is not complete" in system.bad(3, "erase", "end", thing.name)
    done = {"type": "Complete", "status": "True", "reason": "Erased"}
    system.objects.patch("Erasure", thing.name, status={"conditions": [done]}, manager="controller")
    assert "has ended" in system.good("erase", "end", thing.name)


def test_the_same_is_not_erased_twice_and_something_else_is(system: StillSystem) -> None:
    erase(system, "--node", "cam-1")
    assert "is erased already, by node-" in system.bad(3, "erase", "--node", "cam-1", "--yes")
    erase(system, "--node", "cam-1", "--model", "press")
    assert len(system.objects.list("Erasure")) == 2


def test_a_node_or_model_that_is_not_there_is_told(system: StillSystem) -> None:
    told = system.run("erase", "--node", "cam-11", "--model", "pres", "--yes", "--wait", "0").stderr
    assert "there is no EdgeNode cam-11 now" in told and "there is no EdgeModel pres now" in told


def test_a_date_without_a_time_zone_is_read_as_utc_and_says_so(system: StillSystem) -> None:
    told = system.run("erase", "--before", "2026-11-30", "--yes", "--wait", "0")
    assert "names no time zone and is read as UTC: before 2026-11-30T00:00:00Z" in told.stderr
    erase(system, "--before", "2026-11-30T01:00+01:00", "--model", "press")
    assert {one.spec["beforeUnixMs"] for one in system.objects.list("Erasure")} == {1_795_996_800_000}
    assert "in one way" in system.bad(2, "erase", "--before", "02/01/2018", "--yes")
    assert "is still to come" in system.bad(2, "erase", "--before", "2999-01-01", "--yes")


def test_a_subject_is_kept_as_a_keyed_hash_and_needs_the_key(system: StillSystem, tmp_path: Path) -> None:
    assert "needs --subject-key" in system.bad(2, "erase", "--subject", "Jane Doe", "--yes")
    key = tmp_path / "subject.key"
    key.write_text(f"{KEY}\n")
    told = erase(system, "--subject", "Jane Doe", "--subject-key", str(key))
    (thing,) = system.objects.list("Erasure")
    assert thing.spec["subject"] == subjects.hashed("Jane Doe", bytes.fromhex(KEY))
    assert "Jane" not in told + json.dumps([thing.name, thing.spec])
    key.write_text("short")
    refused = system.bad(2, "erase", "--subject", "Joe", "--subject-key", str(key), "--yes")
    assert "64 hex digits" in refused and "short" not in refused


def test_what_names_nothing_or_two_things_is_refused(system: StillSystem) -> None:
    assert "exactly one of" in system.bad(2, "erase", "--yes")
    assert "exactly one of" in system.bad(2, "erase", "--node", "a", "--request", "b", "--yes")
    assert "sha256:" in system.bad(2, "erase", "--example", "imported:3", "--yes")
    assert system.objects.list("Erasure") == []
