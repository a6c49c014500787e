"""`skerry nodes forget`, `forgotten`, `trust` and `revoke --forget`: what a node may teach."""

import json
from pathlib import Path

import pytest
from cli_system import StillSystem


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    made = StillSystem(tmp_path)
    made.objects.create("EdgeNode", "cam-1", {}, manager="gateway")
    return made


def test_a_node_is_forgotten_and_listed_with_the_versions_that_learned_from_it(system: StillSystem) -> None:
    told = system.good("nodes", "forget", "cam-1", "--reason", "sent lies")
    assert "node cam-1 is forgotten" in told
    learned = {"version": "press-v2", "model": "press", "dataset": "x", "train": 30, "holdout": 10}
    status = {"versions": [learned], "unknown": ["press-v1"]}
    system.objects.patch("Exclusion", "cam-1", status=status, manager="controller")
    (row,) = json.loads(system.good("nodes", "forgotten", "--json"))
    assert (row["node"], row["reason"], row["versions"], row["unknown"]) == (
        "cam-1",
        "sent lies",
        [learned],
        ["press-v1"],
    )
    assert "press-v2 (40)" in system.good("nodes", "forgotten")


def test_a_node_whose_object_is_gone_can_be_forgotten_too(system: StillSystem) -> None:
    system.good("nodes", "forget", "gone-long-ago")
    assert system.objects.get("Exclusion", "gone-long-ago").spec["node"] == "gone-long-ago"


def test_a_name_of_no_node_is_told_for_it_may_be_a_typing_error(system: StillSystem) -> None:
    assert "note: there is no EdgeNode cam-11 now" in system.run("nodes", "forget", "cam-11").stderr
    assert system.run("nodes", "forget", "cam-1").stderr == ""
    assert "is not forgotten" in system.bad(2, "nodes", "forget", "cam-2", "--undo")


def test_an_exclusion_that_kubectl_named_otherwise_is_undone_by_its_node(system: StillSystem) -> None:
    system.objects.create("Exclusion", "incident-7", {"node": "cam-1"}, manager="operator")
    assert "forgotten already" in system.bad(3, "nodes", "forget", "cam-1")
    system.good("nodes", "forget", "cam-1", "--undo")
    assert system.objects.list("Exclusion") == []


def test_a_node_is_forgotten_once_and_may_teach_again(system: StillSystem) -> None:
    system.good("nodes", "forget", "cam-1")
    assert "forgotten already" in system.bad(3, "nodes", "forget", "cam-1")
    system.good("nodes", "forget", "cam-1", "--undo")
    assert system.objects.list("Exclusion") == []


def test_revoking_offers_to_forget_and_does_so_when_asked(system: StillSystem) -> None:
    assert "`skerry nodes forget cam-1`" in system.good("nodes", "revoke", "cam-1")
    assert system.objects.list("Exclusion") == []
    system.good("nodes", "revoke", "cam-1", "--forget")
    assert system.objects.get("Exclusion", "cam-1").spec["reason"] == "revoked"
    assert "forgotten already" in system.good("nodes", "revoke", "cam-1", "--forget")


def test_a_person_vouches_for_what_a_node_teaches(system: StillSystem) -> None:
    system.good("nodes", "trust", "cam-1")
    assert system.objects.get("EdgeNode", "cam-1").spec["trusted"] is True
    system.good("nodes", "trust", "cam-1", "--off")
    assert system.objects.get("EdgeNode", "cam-1").spec["trusted"] is False


def test_forgetting_may_be_the_same_act_as_erasing_and_undoing_brings_nothing_back(system: StillSystem) -> None:
    assert "`skerry erase --node cam-1` removes it for good" in system.good("nodes", "forget", "cam-1")
    assert system.objects.list("Erasure") == []
    system.good("nodes", "forget", "cam-1", "--undo")
    told = system.good("nodes", "forget", "cam-1", "--erase", "--reason", "asked to")
    assert "node cam-1 is forgotten" in told
    (erasure,) = system.objects.list("Erasure")
    assert (erasure.spec["node"], erasure.spec["reason"]) == ("cam-1", "asked to")
    assert "what it removed stays removed" in system.good("nodes", "forget", "cam-1", "--undo")
    assert system.objects.list("Erasure") == system.objects.list("Exclusion") == []


def test_erasing_a_node_is_to_forget_it_too(system: StillSystem) -> None:
    system.good("erase", "--node", "cam-1", "--yes", "--wait", "0")
    assert system.objects.get("Exclusion", "cam-1").spec["node"] == "cam-1"
    assert "cam-1" in system.good("nodes", "forgotten")
