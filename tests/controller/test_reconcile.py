"""The whole controller: a version from run or import to every node, judged and reversible; killed before every single
write; two at once; at rest; with Redis flushed in the middle."""

from collections.abc import Callable
from pathlib import Path

import controlled_model
import controlling
import pytest

from skerry.adapters.lease import memory as lease_memory
from skerry.controller import condition_json, store
from skerry.core import writers

World = controlling.World


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world in which an imported first version serves everywhere. Copy it; do not touch it."""
    world = World(tmp_path_factory.mktemp("settled"))
    world.import_version(1)
    world.run(25)
    assert (world.stable, world.serving()) == ("digits-v1", {"edge-1": 1, "edge-2": 1})
    return world


def trained(world: World) -> None:
    world.ask_run("run-1")
    world.run(40)


def bad(world: World) -> None:
    world.bad.add(controlled_model.candidate("run-1", world.dataset)[1].digest)
    trained(world)


def refusing(world: World) -> None:
    world.refusing.add(controlled_model.candidate("run-1", world.dataset)[1].digest)
    trained(world)


def imported(world: World) -> None:
    world.import_version(2)
    world.run(40)


def test_a_run_becomes_the_version_on_every_node(settled: World, tmp_path: Path) -> None:
    world = settled.copy(tmp_path)
    trained(world)
    assert world.condition("TrainingRun", "run-1", "Succeeded") == ("True", "Published")
    assert world.get("TrainingRun", "run-1").status["version"] == "digits-v2"
    assert (world.stable, world.serving()) == ("digits-v2", {"edge-1": 2, "edge-2": 2})
    assert world.phase("digits-v2-auto") == "Succeeded"
    verdict = world.get("ModelRollout", "digits-v2-auto").status["waves"][0]["verdict"]
    assert (verdict["result"], verdict["code"]) == ("Pass", "NotWorse")


def test_a_version_that_is_worse_in_the_field_is_rolled_back_and_never_stable(settled: World, tmp_path: Path) -> None:
    world = settled.copy(tmp_path)
    bad(world)
    assert world.phase("digits-v2-auto") == "RolledBack"
    assert (world.stable, world.serving()) == ("digits-v1", {"edge-1": 1, "edge-2": 1})
    others = [
        one for one in world.nodes if one not in world.get("ModelRollout", "digits-v2-auto").status["waves"][0]["nodes"]
    ]
    assert all(world.get("EdgeNode", one).status["models"][0]["lastKnownGood"] == "" for one in others), "never left v1"


def test_a_version_that_refuses_the_requests_of_before_is_rolled_back_although_its_labels_are_good(
    settled: World, tmp_path: Path
) -> None:
    world = settled.copy(tmp_path)
    refusing(world)
    verdict = world.get("ModelRollout", "digits-v2-auto").status["waves"][0]["verdict"]
    assert (world.phase("digits-v2-auto"), verdict["code"]) == ("RolledBack", "RequestsFail")
    assert verdict["canary"]["bad"] == verdict["canary"]["n"] > 0 == verdict["baseline"]["bad"]
    assert (world.stable, world.serving()) == ("digits-v1", {"edge-1": 1, "edge-2": 1})


ENDS: dict[str, tuple[Callable[[World], None], str, str, str]] = {
    "a trained version": (trained, "digits-v2-auto", "Succeeded", "digits-v2"),
    "an imported version": (imported, "digits-v2-auto", "Succeeded", "digits-v2"),
    "a bad version": (bad, "digits-v2-auto", "RolledBack", "digits-v1"),
}


@pytest.mark.parametrize("name", ENDS)
def test_killed_before_any_write_it_comes_to_the_same_end(name: str, settled: World, tmp_path: Path) -> None:
    scenario, rollout, phase, stable = ENDS[name]
    writes = 0
    for writes, world in enumerate(settled.deaths(scenario, tmp_path), 1):
        world.others()
        for _ in range(world.ticks_left):
            world.run(1)
            if _has_ended(world):
                break
        world.run(2)
        assert world.phase(rollout) == phase, f"killed before write {writes}"
        assert all(soaked_ms >= asked_ms for soaked_ms, asked_ms in _soaks(world, rollout)), "a death shortened a soak"
        assert world.stable == stable
        assert set(world.serving().values()) == {int(stable[-1])}
        assert world.available() == ["digits-v1", "digits-v2"]
        assert [one.name for one in world.objects.list("ModelRollout")] == ["digits-v1-auto", "digits-v2-auto"]
        assert world.jobs.names() == []
        for run in world.objects.list("TrainingRun"):
            assert world.condition("TrainingRun", run.name, "Succeeded") == ("True", "Published")
            assert run.status["logDigest"].startswith("sha256:")
    assert writes >= 15, "the scenario wrote something"


def _soaks(world: World, rollout: str) -> list[tuple[int, int]]:
    """How long each wave that passed was watched, and how long it should be, in milliseconds."""
    passed = [wave for wave in world.get("ModelRollout", rollout).status["waves"] if wave["verdict"].get("final")]
    return [(wave["verdictUnixMs"] - wave["soakStartedUnixMs"], 1000 * wave["asks"]["soakSeconds"]) for wave in passed]


def _has_ended(world: World) -> bool:
    """Nothing of the scenario is under way, and every node has settled."""
    rollouts, runs = world.objects.list("ModelRollout"), world.objects.list("TrainingRun")
    ended = len(rollouts) == 2 and all(condition_json.is_terminal(one.status) for one in (*rollouts, *runs))
    return ended and set(world.serving().values()) == {int(world.stable[-1])}


def test_at_rest_nothing_is_written(settled: World, tmp_path: Path) -> None:
    world = settled.copy(tmp_path)
    trained(world)
    world.now_ms += 60_000  # the silent nodes are counted offline once
    world.tick()
    effects = world.effects
    for _ in range(60):
        world.now_ms += 500
        world.tick()
    assert world.effects == effects


def test_a_rollout_that_waits_for_evidence_writes_only_now_and_then(settled: World, tmp_path: Path) -> None:
    world = settled.copy(tmp_path)
    world.edit_model(rollout={"analysis": {"minSamples": 10_000_000}})
    trained(world)
    assert world.phase("digits-v2-auto") == "Progressing"
    effects = world.effects
    for _ in range(20):
        world.now_ms += 500
        world.tick()
    assert world.effects - effects <= 4


def test_of_two_controllers_only_the_leader_writes(settled: World, tmp_path: Path) -> None:
    world = settled.copy(tmp_path)
    idle = world.controller(lease_memory.MemoryLease(world.board))
    world.ask_run("run-1")
    writes = world.objects.writes
    with pytest.raises(store.LeadershipLostError):
        idle.tick(world.epoch + 1, world.now_ms, world.now_ms)
    assert (world.objects.writes, world.jobs.started) == (writes, [])
    world.run(40)
    assert world.stable == "digits-v2"


def test_a_leader_of_an_older_epoch_moves_no_rollout(settled: World, tmp_path: Path) -> None:
    world = settled.copy(tmp_path)
    world.ask_run("run-1")
    world.run(6)
    assert world.phase("digits-v2-auto") == "Progressing"
    before = [
        (one.kind, one.name, one.resource_version)
        for kind in ("ModelRollout", "EdgeNode")
        for one in world.objects.list(kind)
    ]
    world.now_ms += 60_000
    world.reconciler.tick(world.epoch - 1, world.now_ms, world.now_ms)
    after = [
        (one.kind, one.name, one.resource_version)
        for kind in ("ModelRollout", "EdgeNode")
        for one in world.objects.list(kind)
    ]
    assert before == after


@pytest.mark.parametrize("when", range(1, 16, 2))
def test_a_flushed_redis_loses_no_decision(when: int, settled: World, tmp_path: Path) -> None:
    world = settled.copy(tmp_path)
    world.ask_run("run-1")
    world.run(when)
    world.fleetstate.flush()
    world.run(40)
    assert (world.stable, world.phase("digits-v2-auto")) == ("digits-v2", "Succeeded")


def test_without_redis_nothing_is_promoted_and_nothing_rolled_back(settled: World, tmp_path: Path) -> None:
    world = settled.copy(tmp_path)
    world.answer = lambda node, digest, n: None  # type: ignore[method-assign]
    trained(world)
    assert (world.phase("digits-v2-auto"), world.stable) == ("Progressing", "digits-v1")
    verdict = world.get("ModelRollout", "digits-v2-auto").status["waves"][0]["verdict"]
    assert verdict["result"] == "Inconclusive"


def test_a_broken_object_holds_up_nothing_else(settled: World, tmp_path: Path) -> None:
    world = settled.copy(tmp_path)
    operator = writers.OPERATOR
    world.objects.create("EdgeModel", "broken", {"clasNames": []}, manager=operator)
    world.objects.create("EdgeFleet", "broken", {"selektor": {}}, manager=operator)
    world.objects.create("ModelRollout", "broken", {"model": "broken", "version": 3}, manager=operator)
    world.objects.create("TrainingRun", "broken", {"model": "nobody"}, manager=operator)
    world.objects.create("ModelVersion", "broken-v1", {"source": "Imported", "model": "broken"}, manager=operator)
    world.objects.create("EdgeNode", "broken", {"assignments": "none"}, manager=writers.GATEWAY)
    trained(world)
    assert world.stable == "digits-v2"
    assert world.condition("TrainingRun", "broken", "Succeeded") == ("False", "Invalid")
    assert world.condition("ModelRollout", "broken", "Succeeded") == ("False", "Invalid")
    assert world.condition("ModelVersion", "broken-v1", "Available") == ("False", "NotTrusted")


def test_a_node_that_comes_late_catches_up_and_an_offline_one_blocks_nobody(settled: World, tmp_path: Path) -> None:
    world = settled.copy(tmp_path)
    everyone = world.nodes
    world.nodes = everyone[:1]
    world.run(20)
    trained(world)
    assert world.phase("digits-v2-auto") in ("Progressing", "Paused", "Succeeded")
    world.nodes = [*everyone, "edge-9"]
    world.objects.create("EdgeNode", "edge-9", {}, manager=writers.GATEWAY)
    world.run(60)
    assert world.serving() == {"edge-1": 2, "edge-2": 2, "edge-9": 2}
    assert world.stable == "digits-v2"


def test_an_aborted_rollout_goes_back_and_an_operators_rollback_goes_down(settled: World, tmp_path: Path) -> None:
    world = settled.copy(tmp_path)
    world.ask_run("run-1")
    world.run(6)
    world.objects.patch("ModelRollout", "digits-v2-auto", manager=writers.OPERATOR, spec={"desired": "Abort"})
    world.run(20)
    assert (world.phase("digits-v2-auto"), set(world.serving().values())) == ("RolledBack", {1})


def test_a_third_version_in_the_middle_of_a_canary_starts_from_stable(tmp_path: Path) -> None:
    world = World(tmp_path, nodes=3)
    world.import_version(1)
    world.run(30)
    world.ask_run("run-1")
    world.run(5)
    assert world.phase("digits-v2-auto") == "Progressing"
    world.ask_run("run-2")
    world.run(60)
    assert world.phase("digits-v2-auto") == "Superseded"
    assert world.get("ModelRollout", "digits-v3-auto").status["stableVersion"] == "digits-v1"
    assert (world.stable, set(world.serving().values())) == ("digits-v3", {3})
