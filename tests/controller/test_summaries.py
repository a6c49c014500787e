"""How fleets and models stand, as people see it, and that looking costs no write."""

from typing import Any

import pytest

from skerry.adapters.lease.memory import Board, MemoryLease
from skerry.adapters.objects.memory import MemoryObjects
from skerry.controller import fleet_counts, summaries
from skerry.controller.store import Store

NOW = 1_000_000_000
MODEL = {"classNames": ["a", "b"], "input": {"name": "x", "datatype": "FP32", "shape": [2]}}


@pytest.fixture
def objects() -> MemoryObjects:
    return MemoryObjects()


def look(objects: MemoryObjects, now_ms: int = NOW) -> None:
    lease = MemoryLease(Board())
    lease.acquire("test")
    summaries.step(Store(objects, lease), fleet_counts.FleetCounts(), now_ms=now_ms, mono_ms=now_ms)


def node(objects: MemoryObjects, name: str, seen_ms: int, **labels: str) -> None:
    objects.create("EdgeNode", name, {"labels": labels}, manager="gateway")
    objects.patch("EdgeNode", name, manager="gateway", status={"connected": True, "lastSeenUnixMs": seen_ms})


def ready(objects: MemoryObjects, kind: str, name: str) -> dict[str, Any]:
    return next(one for one in objects.get(kind, name).status["conditions"] if one["type"] == "Ready")


def test_a_fleet_counts_the_nodes_it_selects(objects: MemoryObjects) -> None:
    objects.create("EdgeFleet", "north", {"selector": {"site": "n"}, "offlineAfterSeconds": 15}, manager="operator")
    node(objects, "a", NOW - 1000, site="n")
    node(objects, "b", NOW - 60_000, site="n")
    node(objects, "c", NOW, site="s")
    look(objects)
    status = objects.get("EdgeFleet", "north").status
    assert (status["nodes"], status["online"], status["offline"]) == (2, 1, 1)
    assert ready(objects, "EdgeFleet", "north")["status"] == "True"


def test_a_fleet_that_selects_no_node_says_which_labels_nobody_has(objects: MemoryObjects) -> None:
    objects.create("EdgeFleet", "north", {"selector": {"site": "n"}}, manager="operator")
    look(objects)
    found = ready(objects, "EdgeFleet", "north")
    assert (found["status"], found["reason"]) == ("False", "NoNodes")
    assert "site=n" in found["message"]


def test_a_fleet_of_every_node_is_ready_before_the_first_one_joins(objects: MemoryObjects) -> None:
    # `helm install --wait` waits for the condition Ready of what it made, and the chart makes such a fleet.
    objects.create("EdgeFleet", "all", {}, manager="operator")
    look(objects)
    found = ready(objects, "EdgeFleet", "all")
    assert (found["status"], found["reason"]) == ("True", "NoNodes")


def test_a_model_whose_fleet_is_missing_or_cannot_be_read_says_which_command_makes_one(objects: MemoryObjects) -> None:
    objects.create("EdgeModel", "m", MODEL, manager="operator")
    objects.create("EdgeFleet", "north", {}, manager="operator")
    look(objects)
    assert (ready(objects, "EdgeModel", "m")["status"], ready(objects, "EdgeModel", "m")["reason"]) == (
        "False",
        "FleetNotFound",
    )
    assert "skerry fleets create all" in ready(objects, "EdgeModel", "m")["message"]
    objects.create("EdgeFleet", "all", {"maxUnavailable": 0}, manager="operator")
    look(objects)
    assert ready(objects, "EdgeModel", "m")["reason"] == "FleetNotFound"
    objects.patch("EdgeFleet", "all", manager="operator", spec={"maxUnavailable": 1})
    look(objects)
    assert ready(objects, "EdgeModel", "m")["reason"] == "NoVersion"


def test_a_model_without_a_version_says_what_to_do(objects: MemoryObjects) -> None:
    objects.create("EdgeFleet", "all", {}, manager="operator")
    objects.create("EdgeModel", "m", MODEL, manager="operator")
    look(objects)
    assert (ready(objects, "EdgeModel", "m")["reason"], ready(objects, "EdgeModel", "m")["status"]) == (
        "NoVersion",
        "False",
    )
    objects.patch("EdgeModel", "m", manager="controller", status={"stableVersion": "m-v1"})
    look(objects)
    assert ready(objects, "EdgeModel", "m")["status"] == "True"


def test_a_spec_that_cannot_be_read_is_told_in_the_object_itself(objects: MemoryObjects) -> None:
    objects.create("EdgeModel", "m", {"classNames": ["only"]}, manager="operator")
    look(objects)
    assert "classNames" in ready(objects, "EdgeModel", "m")["message"]


def test_looking_again_writes_nothing(objects: MemoryObjects) -> None:
    objects.create("EdgeFleet", "all", {}, manager="operator")
    objects.create("EdgeModel", "m", MODEL, manager="operator")
    node(objects, "a", NOW)
    look(objects)
    writes = objects.writes
    for second in range(9):
        look(objects, NOW + 1000 * second)
    assert objects.writes == writes


def test_a_change_of_spec_alone_moves_the_observed_generation(objects: MemoryObjects) -> None:
    """`kubectl wait` would hang after `kubectl patch`, if the status went on to speak of the spec before."""
    objects.create("ModelRollout", "r", {"model": "m", "version": "m-v1"}, manager="operator")
    objects.patch("ModelRollout", "r", manager="controller", status={"state": "Succeeded", "observedGeneration": 1})
    objects.patch("ModelRollout", "r", manager="operator", spec={"paused": True})
    look(objects)
    found = objects.get("ModelRollout", "r")
    assert found.status["observedGeneration"] == found.generation == 2


def test_a_privacy_that_forbids_what_offload_asks_is_said_of_its_model_alone(
    objects: MemoryObjects,
) -> None:
    objects.create("EdgeModel", "plain", MODEL, manager="operator")
    private = MODEL | {"privacy": {"keep": "Nothing", "leave": "Never"}}
    objects.create("EdgeModel", "digits", private, manager="operator")
    look(objects)
    plain, digits = (objects.get("EdgeModel", name).status["conditions"] for name in ("plain", "digits"))
    assert "OffloadPermitted" not in [one["type"] for one in plain]
    (said,) = [one for one in digits if one["type"] == "OffloadPermitted"]
    assert (said["status"], said["reason"]) == ("False", "PrivacyForbids")
    assert "privacy.leave is Never" in said["message"] and "privacy.keep is Nothing" in said["message"]
    objects.patch("EdgeModel", "digits", spec={"privacy": {"keep": "Full", "leave": "Cloud"}}, manager="operator")
    look(objects)
    digits = objects.get("EdgeModel", "digits").status["conditions"]
    assert [one["status"] for one in digits if one["type"] == "OffloadPermitted"] == ["True"]


def test_nodes_that_enrol_one_after_the_other_are_a_few_writes_and_the_last_count_is_right(
    objects: MemoryObjects,
) -> None:
    objects.create("EdgeFleet", "all", {}, manager="operator")
    lease, counts = MemoryLease(Board()), fleet_counts.FleetCounts()
    lease.acquire("test")
    store, written = Store(objects, lease), set[int]()
    for number in range(100):  # ten a second
        node(objects, f"e{number}", NOW)
        summaries.step(store, counts, now_ms=NOW, mono_ms=100 * number)
        written.add(objects.get("EdgeFleet", "all").resource_version)
    assert len(written) <= 4, "the first node, and every five seconds"
    summaries.step(store, counts, now_ms=NOW, mono_ms=20_000)
    assert objects.get("EdgeFleet", "all").status["nodes"] == 100
    objects.patch("EdgeFleet", "all", manager="operator", spec={"selector": {"site": "x"}})
    summaries.step(store, counts, now_ms=NOW, mono_ms=20_050)
    assert ready(objects, "EdgeFleet", "all")["reason"] == "NoNodes", "what it says otherwise is written at once"
