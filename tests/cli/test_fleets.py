"""Fleets: what an operator types, and what is written for it."""

import json
from pathlib import Path

import pytest
from cli_system import StillSystem


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    return StillSystem(tmp_path)


def test_the_fleet_that_a_waiting_rollout_asks_for_is_one_command(system: StillSystem) -> None:
    before = {fleet.name for fleet in system.objects.list("EdgeFleet")}
    assert "every node belongs to it" in system.good("fleets", "create", "everywhere")
    (made,) = [fleet for fleet in system.objects.list("EdgeFleet") if fleet.name not in before]
    assert (made.name, made.spec) == ("everywhere", {"selector": {}})


def test_a_fleet_of_some_nodes_says_which_and_how_many_may_swap(system: StillSystem) -> None:
    system.good(
        *("fleets", "create", "north", "--label", "site=north", "--label", "line=3"),
        *("--max-unavailable", "10%", "--offline-after", "60"),
    )
    assert system.objects.get("EdgeFleet", "north").spec == {
        "selector": {"site": "north", "line": "3"},
        "maxUnavailable": "10%",
        "offlineAfterSeconds": 60,
    }
    system.good("fleets", "create", "south", "--max-unavailable", "2")
    assert system.objects.get("EdgeFleet", "south").spec["maxUnavailable"] == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(("--label", "north"), "must be key=value", id="a label without a value"),
        pytest.param(("--max-unavailable", "0"), "maxUnavailable", id="no node may ever swap"),
        pytest.param(("--max-unavailable", "many"), "maxUnavailable", id="no number"),
        pytest.param(("--offline-after", "1"), "offlineAfterSeconds", id="offline before it could report"),
    ],
)
def test_a_fleet_that_could_not_be_read_is_refused(system: StillSystem, arguments: tuple[str, ...], told: str) -> None:
    before = len(system.objects.list("EdgeFleet"))
    assert told in system.bad(2, "fleets", "create", "odd", *arguments)
    assert len(system.objects.list("EdgeFleet")) == before


def test_fleets_are_listed_with_their_nodes(system: StillSystem) -> None:
    system.good("fleets", "create", "north", "--label", "site=north")
    status = {
        "nodes": 3,
        "online": 2,
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "NodesSelected", "message": "3 nodes are selected"}
        ],
    }
    system.objects.patch("EdgeFleet", "north", manager="controller", status=status)
    text = system.good("fleets")
    for part in ("north", "site=north", "2/3", "3 nodes are selected"):
        assert part in text
    rows = json.loads(system.good("fleets", "list", "--json"))
    assert {"fleet": "north", "nodes": 3}.items() <= next(row for row in rows if row["fleet"] == "north").items()


@pytest.mark.parametrize("words", [("fleets", "list"), ("models", "list"), ("nodes", "delete"), ("labels", "aside")])
def test_a_state_folder_named_before_a_subcommand_is_refused(system: StillSystem, words: tuple[str, str]) -> None:
    """Before: the subcommand acted on the folder that it would have without."""
    group, subcommand = words
    said = system.bad(2, group, "--state", "other", subcommand)
    assert f"before '{subcommand}' --state would choose nothing" in said
