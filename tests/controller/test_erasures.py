"""The controller follows an erasure to its end, names what learned from it, and lets no run ship what it means."""

from pathlib import Path
from typing import Any

import controlling
import pytest

from skerry.core import conditions, contract, erasure_progress, erasures, writers

World = controlling.World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def erase(world: World, name: str = "e1", **spec: Any) -> None:
    world.objects.create("Erasure", name, spec, manager=writers.OPERATOR)


def storage(world: World, name: str = "e1", state: str = erasure_progress.DONE, **fields: Any) -> None:
    uid = world.get("Erasure", name).uid
    progress = erasure_progress.Progress(uid, state, **fields)
    world.blobs.write(contract.erasure_path(name), progress.to_json())


def said(world: World, kind: str, name: str = "e1") -> tuple[str, str]:
    found = conditions.find(conditions.from_json(world.get("Erasure", name).status["conditions"]), kind)
    assert found is not None
    return found.status, found.reason


def run_reason(world: World, name: str) -> str:
    found = conditions.find(conditions.from_json(world.get("TrainingRun", name).status["conditions"]), "Succeeded")
    return found.reason if found else ""


def test_it_is_complete_when_storage_is_done_and_every_node_has_confirmed(tmp_path: Path) -> None:
    world = World(tmp_path, nodes=0)
    world.objects.create("EdgeNode", "cam-1", {}, manager=writers.GATEWAY)
    world.objects.patch("EdgeNode", "cam-1", status={"lastSeenUnixMs": 5}, manager=writers.GATEWAY)
    erase(world, request="visit")
    world.run(2)
    assert said(world, erasures.STORAGE) == ("False", "Waiting")
    storage(world, examples=3, parts=1)
    world.run(2)
    assert said(world, erasures.STORAGE) == ("True", "Erased")
    assert said(world, erasures.COMPLETE) == ("False", "NodesWaiting")
    assert world.get("Erasure", "e1").status["waitingNodes"] == ["cam-1"]
    number = world.get("Erasure", "e1").status["number"]
    world.objects.patch("EdgeNode", "cam-1", status={"erasedUpTo": number - 1}, manager=writers.GATEWAY)
    world.run(2)
    assert said(world, erasures.NODES) == ("False", "NodesWaiting")
    world.objects.patch("EdgeNode", "cam-1", status={"erasedUpTo": number}, manager=writers.GATEWAY)
    world.run(2)
    assert said(world, erasures.COMPLETE) == ("True", "Erased")


def test_numbers_rise_also_above_those_of_erasures_that_were_ended(world: World) -> None:
    erase(world, "a", request="1")
    world.run(1)
    first = world.get("Erasure", "a").status["number"]
    world.objects.delete("Erasure", "a")
    erase(world, "b", request="2")
    world.run(1)
    erase(world, "c", request="3")
    world.run(1)
    assert first < world.get("Erasure", "b").status["number"] < world.get("Erasure", "c").status["number"]


def test_a_run_on_data_that_was_erased_ends_with_the_reason_and_ships_nothing(world: World) -> None:
    erase(world, node="cam-1")
    world.ask_run("run-1")
    world.run(10)
    storage(world, datasets={("digits", world.dataset): 4})
    world.run(30)
    assert run_reason(world, "run-1") == "DataErased"
    assert world.objects.list("ModelVersion") == []


def test_a_run_waits_while_storage_is_searched_and_then_ships_when_nothing_of_it_was_erased(world: World) -> None:
    erase(world, node="cam-1")
    storage(world, state=erasure_progress.RUNNING)
    world.ask_run("run-1")
    world.run(20)
    assert run_reason(world, "run-1") == ""
    storage(world)
    world.run(30)
    assert run_reason(world, "run-1") == "Published"


def test_versions_that_learned_from_it_are_named_and_stay(world: World) -> None:
    world.ask_run("run-1")
    world.run(30)
    assert run_reason(world, "run-1") == "Published"
    erase(world, node="cam-1")
    storage(world, datasets={("digits", world.dataset): 4})
    world.run(3)
    (learned,) = world.get("Erasure", "e1").status["versions"]
    assert (learned["model"], learned["rows"]) == ("digits", 4)
    assert world.get("ModelVersion", learned["version"])


def test_an_erasure_that_cannot_be_read_says_so_and_holds_nothing_up(world: World) -> None:
    erase(world, node="cam-1", request="visit")
    world.ask_run("run-1")
    world.run(30)
    assert said(world, erasures.COMPLETE) == ("False", "Invalid")
    assert run_reason(world, "run-1") == "Published"


def test_killed_before_any_write_the_next_controller_completes_the_erasure(tmp_path: Path) -> None:
    world = World(tmp_path / "world", nodes=0)
    erase(world, request="visit")

    def scenario(one: World) -> None:
        one.run(2)
        storage(one, examples=1)
        one.run(3)

    writes = 0
    for writes, one in enumerate(world.deaths(scenario, tmp_path), 1):
        storage(one, examples=1)
        one.run(3)
        assert said(one, erasures.COMPLETE) == ("True", "Erased"), f"killed before write {writes}"
        assert one.get("Erasure", "e1").status["number"] > 0
    assert writes >= 3
