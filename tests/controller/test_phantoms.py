"""Objects of nodes that nobody let in, and revoked ones, hold up no rollout and are counted nowhere."""

from pathlib import Path

import controlling
import pytest

from skerry.core import writers

KEY = "sha256:" + "a" * 64


@pytest.fixture
def world(tmp_path: Path) -> controlling.World:
    """Two approved nodes, eighteen that wait for approval, and one that is revoked."""
    made = controlling.World(tmp_path)
    for name in made.nodes:
        made.objects.patch("EdgeNode", name, manager=writers.OPERATOR, spec={"approvedKey": KEY})
    for number in range(18):
        made.objects.create("EdgeNode", f"phantom-{number}", {"approvedKey": ""}, manager=writers.GATEWAY)
        made.objects.patch("EdgeNode", f"phantom-{number}", manager=writers.GATEWAY, status={"waitingKey": KEY})
    made.objects.create("EdgeNode", "stolen", {"approvedKey": KEY, "revoked": True}, manager=writers.GATEWAY)
    return made


def test_phantoms_and_revoked_nodes_are_in_no_wave(world: controlling.World) -> None:
    world.import_version(1)
    world.run(25)
    rollout = world.get("ModelRollout", "digits-v1-auto")
    assert sorted(name for wave in rollout.status["waves"] for name in wave["nodes"]) == ["edge-1", "edge-2"]
    assert (world.phase("digits-v1-auto"), world.stable) == ("Succeeded", "digits-v1")


def test_a_fleet_counts_only_its_members(world: controlling.World) -> None:
    world.run(2)
    status = world.get("EdgeFleet", "all").status
    assert (status["nodes"], status["online"], status["offline"]) == (2, 2, 0)


def test_a_wave_whose_every_node_was_revoked_waits_for_a_person_and_says_so(world: controlling.World) -> None:
    world.nodes = []  # nobody reports
    world.import_version(1)
    world.run(4)
    (canary,) = world.get("ModelRollout", "digits-v1-auto").status["waves"][0]["nodes"]
    world.objects.patch("EdgeNode", canary, manager=writers.OPERATOR, spec={"revoked": True})
    world.run(3)
    told = str(world.get("ModelRollout", "digits-v1-auto").status["conditions"])
    assert "wave canary has no node left: promote it or abort" in told
