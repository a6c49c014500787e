"""`skerry lineage`: one command joins example, label, dataset, run, version and nodes, from wherever one begins."""

import json
from pathlib import Path
from typing import Any

import lineage_world
import pytest
from lineage_world import Played

from skerry.core import contract, digests


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return lineage_world.played(tmp_path_factory.mktemp("lineage") / "state")


def told(world: Played, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.system.good("lineage", *arguments, "--json"))
    return found


def names(found: dict[str, Any], side: str, kind: str) -> list[str]:
    return [one["name"] for one in found[side][kind]]


def test_an_example_leads_to_the_nodes_that_run_what_learned_from_it(world: Played) -> None:
    found = told(world, "example", world.examples[0])
    assert names(found, "after", "datasets") == [world.grown]
    assert names(found, "after", "runs") == ["digits-a"]
    assert names(found, "after", "versions") == ["digits-v2", "digits-v3"]
    assert names(found, "after", "nodes") == ["north", "west"]
    assert found["subject"]["node"] == "north" and found["subject"]["requestId"] == "r1"


def test_a_label_says_who_gave_it_when_and_what_it_replaced(world: Played) -> None:
    label = told(world, "example", world.examples[1])["subject"]["label"]
    assert (label["text"], label["source"], label["by"], label["atUnixMs"]) == (
        "one",
        "GroundTruth",
        "node south",
        4000,
    )
    assert [(one["text"], one["by"], one["atUnixMs"]) for one in label["replaced"]] == [
        ("zero", "node south", 3000),
        ("two", "teacher digits 1", 2002),
    ]


@pytest.mark.parametrize(
    ("kind", "name", "runs", "datasets"),
    [
        pytest.param("version", "digits-v2", ["digits-a"], 2, id="a version"),
        pytest.param("run", "digits-a", [], 2, id="a run"),
        pytest.param("node", "west", ["digits-a"], 2, id="a node, by what it runs"),
    ],
)
def test_whatever_runs_leads_back_to_the_import(
    world: Played, kind: str, name: str, runs: list[str], datasets: int
) -> None:
    found = told(world, kind, name)
    assert names(found, "before", "runs") == runs
    assert set(names(found, "before", "datasets")) == {world.base, world.grown} and datasets == 2
    if kind != "node":
        assert set(names(found, "before", "examples")) == set(world.examples)


def test_another_model_on_the_same_node_is_no_part_of_it_and_no_riddle(world: Played) -> None:
    found = told(world, "version", "digits-v2")
    assert found["unknown"] == [] and names(found, "after", "versions") == []
    assert set(names(told(world, "node", "west"), "before", "versions")) == {"digits-v2", "press-v1"}


def test_an_import_leads_to_all_that_was_made_on_it(world: Played) -> None:
    found = told(world, "dataset", world.base)
    assert names(found, "after", "datasets") == [world.grown]
    assert names(found, "after", "versions") == ["digits-v2", "digits-v3"]
    assert names(found, "after", "nodes") == ["north", "west"]


def test_a_node_leads_to_the_versions_that_its_rows_went_into(world: Played) -> None:
    found = told(world, "node", "north")
    assert names(found, "after", "datasets") == [world.grown]
    assert names(found, "after", "versions") == ["digits-v2", "digits-v3"]
    assert found["after"]["datasets"][0]["nodes"]["north"] == [2, 0]
    assert told(world, "node", "west")["after"]["datasets"] == []


def test_what_is_not_known_is_told_with_its_reason(world: Played) -> None:
    imported = told(world, "version", "digits-v1")
    assert "it was imported" in imported["unknown"][0]["why"]
    retired = {one["kind"]: one["why"] for one in told(world, "version", "digits-v3")["unknown"]}
    assert lineage_world.GONE in retired["version"] and "TrainingRun was deleted" in retired["run"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(("run", "digits-nobody"), "there is no TrainingRun 'digits-nobody'", id="a name nobody has"),
        pytest.param(("run", "digits"), "did you mean digits-a", id="the beginning of a name"),
        pytest.param(("example", "abc"), "names too many", id="too short"),
        pytest.param(("example", "not-hex"), "is no digest of an example", id="no digest"),
        pytest.param(("example", "0" * 64), "retention or an erasure", id="an example that is not there"),
        pytest.param(("dataset", "0" * 64), "no dataset", id="a dataset that is not there"),
    ],
)
def test_unknown_names_are_refused_in_words(world: Played, arguments: tuple[str, ...], says: str) -> None:
    assert says in world.system.bad(2, "lineage", *arguments)


def test_a_beginning_finds_one_example_and_of_several_names_both(tmp_path: Path) -> None:
    world = lineage_world.played(tmp_path / "state")
    hex_name = digests.hex_of(world.examples[0])
    assert told(world, "example", hex_name[:12])["subject"]["name"] == world.examples[0]
    twin = hex_name[:12] + "0" * 52
    world.system.blobs.write(contract.label_path("digits", twin), b"{}")
    said = world.system.bad(2, "lineage", "example", hex_name[:12])
    assert hex_name in said and twin in said and "give more of its digest" in said


def test_people_read_the_chain_in_words(world: Played) -> None:
    text = world.system.good("lineage", "example", world.examples[1], "--verify")
    assert "label 'one' (GroundTruth by node south" in text and "it replaced 'zero'" in text
    assert "run digits-a: of digits (drift)" in text and "checks hold, 0 do not" in text
