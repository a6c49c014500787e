"""Letting nodes in and keeping them out: what an operator types, and what is written for it."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cli_system import StillSystem

from skerry.adapters import pki
from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.cli import node_list
from skerry.core import contract, join_tokens, writers

KEY, OTHER = "sha256:" + "aa" * 32, "sha256:" + "bb" * 32


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    still = StillSystem(tmp_path)
    (tmp_path / "ca.crt").write_bytes(pki.make_ca("fleet", now=datetime.now(UTC)).certificate)
    still.objects.create("EdgeNode", "edge-1", {"labels": {"site": "n"}, "approvedKey": KEY}, manager="gateway")
    return still


def wait(system: StillSystem, key: str) -> None:
    system.objects.patch("EdgeNode", "edge-1", manager="gateway", status={"waitingKey": key})


def test_a_token_is_shown_once_and_only_its_hash_is_kept(system: StillSystem, tmp_path: Path) -> None:
    text = system.good(
        "nodes",
        "token",
        "create",
        "--pattern",
        "edge-*",
        "--uses",
        "3",
        "--label",
        "site=n",
        "--ca",
        tmp_path / "ca.crt",
    ).strip()
    made = join_tokens.parse(text)
    assert made.ca_digest == pki.digest_of_ca(tmp_path / "ca.crt")
    stored = system.objects.get("JoinToken", made.id)
    assert made.secret not in json.dumps(stored.spec)
    token = join_tokens.parse_object(stored.name, stored.spec, stored.status)
    assert (token.uses, token.node_pattern, dict(token.labels)) == (3, "edge-*", {"site": "n"})
    found = join_tokens.decide(token, made.secret, None, "edge-9", KEY, now_ms=int(time.time() * 1000))
    assert found.outcome is join_tokens.Outcome.ISSUE
    assert made.id in system.good("nodes", "token", "list")
    system.good("nodes", "token", "delete", made.id)
    assert json.loads(system.good("nodes", "token", "list", "--json")) == []


@pytest.mark.parametrize("pattern", ["edge-[a-z]", "Edge-*", "edge 1", "edge-{1,2}", ""])
def test_a_pattern_that_fits_no_name_is_refused(system: StillSystem, tmp_path: Path, pattern: str) -> None:
    told = system.bad(2, "nodes", "token", "create", "--pattern", pattern, "--ca", tmp_path / "ca.crt")
    assert "fits no name of a node" in told and "* for any text and ? for one character" in told
    assert json.loads(system.good("nodes", "token", "list", "--json")) == []


def test_a_key_that_waits_is_seen_and_approved(system: StillSystem) -> None:
    wait(system, OTHER)
    assert "waits for approval" in system.good("nodes")
    assert "bbbbbbbbbbbb" in system.good("nodes", "approve", "edge-1", "--key", "bbbbbbbb")
    assert system.objects.get("EdgeNode", "edge-1").spec["approvedKey"] == OTHER
    assert "waits for approval" not in system.good("nodes")


def test_a_key_is_approved_only_when_it_is_the_one_that_was_named(system: StillSystem) -> None:
    wait(system, OTHER)
    assert "another key of node edge-1 waits" in system.bad(3, "nodes", "approve", "edge-1", "--key", "cccccccc")
    assert system.objects.get("EdgeNode", "edge-1").spec["approvedKey"] == KEY
    system.good("nodes", "approve", "edge-1", "--key", OTHER[:20])
    assert system.objects.get("EdgeNode", "edge-1").spec["approvedKey"] == OTHER


def test_approving_what_does_not_wait_is_refused_with_the_reason(system: StillSystem) -> None:
    assert "no key of node edge-1 waits" in system.bad(3, "nodes", "approve", "edge-1")
    wait(system, OTHER)
    told = system.bad(2, "nodes", "approve", "edge-1")
    assert OTHER in told
    assert "--key bbbbbbbbbbbbbbbb" in told
    assert system.objects.get("EdgeNode", "edge-1").spec["approvedKey"] == KEY
    wait(system, KEY)
    assert "approved already" in system.bad(3, "nodes", "approve", "edge-1")


def test_a_node_is_revoked_and_readmitted(system: StillSystem) -> None:
    system.good("nodes", "revoke", "edge-1")
    assert system.objects.get("EdgeNode", "edge-1").spec["revoked"] is True
    assert "revoked" in system.good("nodes")
    system.good("nodes", "readmit", "edge-1")
    assert system.objects.get("EdgeNode", "edge-1").spec["revoked"] is False


def test_labels_are_set_and_removed_on_the_server_side(system: StillSystem) -> None:
    system.good("nodes", "label", "edge-1", "line=4", "site-")
    assert system.objects.get("EdgeNode", "edge-1").spec["labels"] == {"line": "4"}
    assert "key=value" in system.bad(2, "nodes", "label", "edge-1", "nonsense")


def test_a_cordoned_node_is_shown_as_one(system: StillSystem) -> None:
    system.good("nodes", "cordon", "edge-1")
    assert "cordoned" in system.good("nodes")
    system.good("nodes", "cordon", "edge-1", "--off")
    assert system.objects.get("EdgeNode", "edge-1").spec["cordoned"] is False


def test_a_second_cordon_says_that_nothing_changed(system: StillSystem) -> None:
    assert "nothing changed" in system.good("nodes", "cordon", "edge-1", "--off")
    assert "nothing changed" not in system.good("nodes", "cordon", "edge-1")
    assert "nothing changed" in system.good("nodes", "cordon", "edge-1")
    assert system.objects.get("EdgeNode", "edge-1").spec["cordoned"] is True
    assert "nothing changed" not in system.good("nodes", "cordon", "edge-1", "--off")


def test_a_node_that_nobody_knows_is_named(system: StillSystem) -> None:
    assert "ghost" in system.bad(2, "nodes", "revoke", "ghost")


def test_a_phantom_is_deleted_and_a_member_only_once_it_is_revoked(system: StillSystem) -> None:
    system.objects.create("EdgeNode", "phantom", {"approvedKey": ""}, manager="gateway")
    assert "`skerry nodes revoke edge-1` first" in system.bad(3, "nodes", "delete", "phantom", "edge-1")
    assert len(system.objects.list("EdgeNode")) == 2, "all or none"
    system.good("nodes", "revoke", "edge-1")
    system.good("nodes", "delete", "phantom", "edge-1")
    assert system.objects.list("EdgeNode") == []
    assert "ghost" in system.bad(2, "nodes", "delete", "ghost")


def test_a_revoked_node_is_not_deleted_while_its_token_would_let_it_in_again(
    system: StillSystem, tmp_path: Path
) -> None:
    made = join_tokens.parse(system.good("nodes", "token", "create", "--ca", tmp_path / "ca.crt"))
    used = join_tokens.use_json(join_tokens.Use("edge-1", KEY), 1_000)
    system.objects.patch("JoinToken", made.id, manager="gateway", status={"nodes": [used]})
    system.good("nodes", "revoke", "edge-1")
    assert f"`skerry nodes token delete {made.id}` first" in system.bad(3, "nodes", "delete", "edge-1")
    system.objects.get("EdgeNode", "edge-1")
    system.good("nodes", "token", "delete", made.id)
    system.good("nodes", "delete", "edge-1")


def test_a_token_that_names_a_node_no_more_keeps_it_from_being_deleted_too(system: StillSystem, tmp_path: Path) -> None:
    made = join_tokens.parse(system.good("nodes", "token", "create", "--uses", "9000", "--ca", tmp_path / "ca.crt"))
    labels = {join_tokens.JOINED_BY: made.id}
    system.objects.create("EdgeNode", "edge-2", {"revoked": True, "approvedKey": KEY}, manager="gateway", labels=labels)
    system.objects.patch("JoinToken", made.id, manager="gateway", status={"nodes": [], "used": 4_000})
    assert f"`skerry nodes token delete {made.id}` first" in system.bad(3, "nodes", "delete", "edge-2")
    (row,) = json.loads(system.good("nodes", "token", "list", "--json"))
    assert (row["used"], row["usedBy"]) == (4_000, ["edge-2"])
    assert "4000/9000" in system.good("nodes", "token", "list")


def test_a_node_that_reports_without_a_certificate_is_not_deleted_under_itself(system: StillSystem) -> None:
    seen = {"connected": True, "lastSeenUnixMs": int(time.time() * 1000)}
    system.objects.create("EdgeNode", "up", {}, manager="gateway")
    system.objects.patch("EdgeNode", "up", manager="gateway", status=seen)
    assert "stop it" in system.bad(3, "nodes", "delete", "up")


def test_a_node_is_shown_with_its_key_its_conflict_and_what_was_not_taken(system: StillSystem) -> None:
    conflict = {"type": "NameConflict", "status": "True", "reason": "TwoAgents", "message": "two agents run as edge-1"}
    refusals = {"counts": {"UnknownModel": 7, "HeldBack": 2}, "message": "no EdgeModel x", "atUnixMs": 1_000}
    told = {"conditions": [conflict], "refusals": refusals, "waitingKey": OTHER}
    system.objects.patch("EdgeNode", "edge-1", manager="gateway", status=told)
    shown = system.good("nodes", "show", "edge-1")
    for words in (KEY, OTHER, "two agents run as edge-1", "7 of a model that does not exist", "2 uploads beyond", "x"):
        assert words in shown
    row = json.loads(system.good("nodes", "show", "edge-1", "--json"))
    assert (row["standing"], row["approvedKey"], row["waitingKey"]) == ("Member", KEY, OTHER)
    assert row["refusals"]["counts"]["of a model that does not exist"] == 7
    assert "ghost" in system.bad(2, "nodes", "show", "ghost")


def test_a_node_is_shown_with_what_its_forecasts_were_off_by(
    system: StillSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    forecast = {"target": "volume", "unit": "vehicles/h", "stepSeconds": 3600}
    given = {"task": "Forecast", "forecast": forecast, "input": {"name": "x", "datatype": "FP32", "shape": [24, 3]}}
    system.objects.create("EdgeModel", "traffic", given, manager=writers.OPERATOR)
    report = {"model": "traffic", "digest": "sha256:" + "c" * 64, "version": 3}
    system.objects.patch("EdgeNode", "edge-1", manager="gateway", status={"models": [report]})
    live = MemoryFleetState()
    monkeypatch.setattr(node_list.fleetstate, "open_fleetstate", lambda url: live)
    assert "forecasts of" not in system.good("nodes", "show", "edge-1"), "no truth came"
    reading = {"truths": 40, "absoluteError": 131.25, "coverage": 0.675}
    live.put(contract.node_reading("edge-1", "traffic"), json.dumps(reading), ttl_s=30)
    shown = system.good("nodes", "show", "edge-1")
    assert "40 truths lately, mean error 131.25 vehicles/h, 68% in the interval (80% are meant to be)" in shown
    (told,) = json.loads(system.good("nodes", "show", "edge-1", "--json"))["forecasts"]
    assert {name: told[name] for name in reading} == reading
