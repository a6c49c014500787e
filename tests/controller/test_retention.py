"""Old versions go when nothing holds on to them; what is history stays."""

from pathlib import Path
from typing import Any

import controlling
import pytest

from skerry.core import writers

World = controlling.World


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Five trained versions, the newest stable; `retention` is 20 so far."""
    world = World(tmp_path_factory.mktemp("five"))
    world.edit_model(retention=20)
    for number in range(1, 6):
        world.ask_run(f"run-{number}")
        world.run(20)
    assert (world.stable, len(world.available())) == ("digits-v5", 5)
    return world


def keep_house(world: World) -> list[str]:
    world.now_ms += 60_000
    world.agents()
    world.tick()
    return world.available()


def targets(world: World) -> set[int]:
    found = world.reconciler._repository.listed("retrained")
    return {int(path.rpartition("/")[2]) for path in found}


def test_beyond_the_newest_few_versions_go_and_their_objects_stay(five: World, tmp_path: Path) -> None:
    world = five.copy(tmp_path)
    world.edit_model(retention=2)
    assert keep_house(world) == ["digits-v4", "digits-v5"]
    assert targets(world) == {4, 5}
    assert world.condition("ModelVersion", "digits-v1", "Available") == ("False", "Retired")
    assert len(world.objects.list("ModelVersion")) == 5


def test_nothing_goes_within_the_retention(five: World, tmp_path: Path) -> None:
    world = five.copy(tmp_path)
    world.edit_model(retention=5)
    assert len(keep_house(world)) == 5


HOLDS: dict[str, dict[str, Any]] = {
    "serves": {"digest": 1},
    "is bringing up": {"targetDigest": 1},
    "keeps as its last known good": {"lastKnownGood": 1},
}


@pytest.mark.parametrize("hold", HOLDS)
def test_a_version_stays_that_a_node(five: World, tmp_path: Path, hold: str) -> None:
    world = five.copy(tmp_path)
    digest = world.get("ModelVersion", "digits-v1").spec["digest"]
    world.objects.create("EdgeNode", "far", {"labels": {}}, manager=writers.GATEWAY)
    report = {"model": "digits", **dict.fromkeys(HOLDS[hold], digest)}
    world.objects.patch("EdgeNode", "far", manager=writers.GATEWAY, status={"models": [report]})
    world.edit_model(retention=2)
    assert "digits-v1" in keep_house(world)


def test_a_version_stays_that_a_rollout_goes_to_or_would_go_back_to(five: World, tmp_path: Path) -> None:
    world = five.copy(tmp_path)
    world.edit_model(retention=2)
    spec = {"model": "digits", "version": "digits-v2", "fleet": "nowhere", "rollback": True}
    world.objects.create("ModelRollout", "waiting", spec, manager=writers.OPERATOR)
    assert keep_house(world) == ["digits-v2", "digits-v4", "digits-v5"]


def test_nothing_goes_while_a_node_cannot_be_read(five: World, tmp_path: Path) -> None:
    world = five.copy(tmp_path)
    world.objects.create("EdgeNode", "odd", {"assignments": "none"}, manager=writers.GATEWAY)
    world.edit_model(retention=2)
    assert len(keep_house(world)) == 5


def test_a_retired_version_is_not_rolled_out(five: World, tmp_path: Path) -> None:
    world = five.copy(tmp_path)
    world.edit_model(retention=2)
    keep_house(world)
    spec = {"model": "digits", "version": "digits-v1", "rollback": True}
    world.objects.create("ModelRollout", "back", spec, manager=writers.OPERATOR)
    world.run(5)
    assert world.condition("ModelRollout", "back", "Accepted") == ("False", "VersionNotAvailable")
    assert set(world.serving().values()) == {5}


def test_killed_in_the_middle_of_retiring_it_is_done_by_the_next_leader(five: World, tmp_path: Path) -> None:
    for nth in range(1, 12):
        world = five.copy(tmp_path / f"{nth}")
        world.edit_model(retention=2)
        world.die_before = nth
        world.run(1)
        died = world.die_before == 0
        assert keep_house(world) == ["digits-v4", "digits-v5"]
        assert targets(world) == {4, 5}
        if not died:
            return
    pytest.fail("it never came to an end")
