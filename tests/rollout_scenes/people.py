"""What people do while it runs: pause, resume, promote, abort, retry, begin another."""

from rollout_world import QUICK, World

from rollout_scenes.stage import (
    TWO,
    begun,
    canary,
    canary_runs_it,
    condition,
    resume,
    running,
    scene,
    soaks,
    status,
    until,
)

# ---- pause, abort, retry


@scene
def a_pause_holds_permits_and_promotion_over_restarts_and_leaders() -> None:
    world = begun(3)
    world.run(1000)
    world.edit("r", paused=True)
    world.run(1000)
    for agent in world.agents.values():
        agent.crash()
        world.reconnect(agent.name)
    world.epoch += 1
    world.run(60_000)
    assert set(running(world).values()) == {"m-v1"} and condition(world, "Paused") == ("True", "Operator")
    resume(world)
    until(world, lambda: status(world).state == "Succeeded")


@scene
def a_pause_during_the_soak_holds_the_next_wave() -> None:
    world = begun(3)
    until(world, lambda: soaks(world))
    world.edit("r", paused=True)
    world.run(60_000)
    assert status(world).wave == 0 and status(world).phase == "Paused"


@scene
def a_second_pause_needs_a_second_resume() -> None:
    world = begun(3)
    world.metrics = "missing"
    world.run(120_000, step_ms=2000)
    resume(world)
    world.run(120_000, step_ms=2000)
    assert status(world).pause_number == 2 and status(world).pause_reasons == ("Inconclusive",)


@scene
def an_abort_wins_over_a_pause() -> None:
    world = begun(3)
    until(world, lambda: canary_runs_it(world))
    world.edit("r", paused=True)
    world.run(3000)
    world.edit("r", desired="Abort")
    until(world, lambda: status(world).terminal)
    assert (status(world).state, status(world).why) == ("RolledBack", "Aborted")
    assert set(running(world).values()) == {"m-v1"}


@scene
def an_abort_wins_in_every_phase_and_twice_is_once() -> None:
    for wait in (0, 1, 3, 12, 16, 20, 24, 28, 32):
        world = begun(3)
        world.run(wait * 1000)
        if status(world).terminal:
            continue
        world.edit("r", desired="Abort")
        until(world, lambda w=world: status(w).terminal)  # type: ignore[misc]
        world.run(40_000)
        assert status(world).state == "RolledBack" and set(running(world).values()) == {"m-v1"}, wait
        held = world.rollouts["r"].status
        world.edit("r", desired="Abort")
        world.run(5000)
        assert world.rollouts["r"].status == held


@scene
def an_abort_before_the_beginning_brings_back_what_an_earlier_attempt_left() -> None:
    world = begun(3)
    world.metrics = "missing"
    until(world, lambda: canary_runs_it(world))
    world.edit("r", retryToken="again", paused=True)
    world.now_ms += 1000
    world.reconcile()
    assert (status(world).state, status(world).attempt) == ("Pending", 2)
    world.edit("r", desired="Abort")
    until(world, lambda: status(world).terminal)
    assert status(world).state == "RolledBack" and set(running(world).values()) == {"m-v1"}


@scene
def a_failed_version_stays_failed_until_a_retry_token_gives_one_new_attempt() -> None:
    world = begun(3)
    digest = world.versions["m-v2"].digest
    world.corrupt.add(digest)
    until(world, lambda: status(world).terminal)
    world.corrupt.clear()
    for _ in range(20):
        world.epoch += 1
        world.run(2000)
    assert status(world).state == "RolledBack" and status(world).attempt == 1
    world.edit("r", retryToken="again")
    until(world, lambda: status(world).terminal and status(world).attempt == 2)
    assert status(world).state == "Succeeded" and set(running(world).values()) == {"m-v2"}


@scene
def a_promotion_of_one_attempt_does_not_pass_a_wave_of_the_next() -> None:
    world = begun(3)
    world.metrics = "missing"
    world.run(5000)
    world.edit("r", promotedAttempt=1, promotedWave=5)
    until(world, lambda: status(world).terminal)
    world.edit("r", retryToken="again")
    world.roll_out("other", 3, **QUICK)
    world.run(60_000)
    assert world.status("other").wave == 0


@scene
def a_terminal_state_is_not_touched_by_later_reports() -> None:
    world = begun(3)
    until(world, lambda: status(world).terminal)
    held = world.rollouts["r"].status
    world.agents["e1"].active = world.versions["m-v1"]
    world.agents["e2"].connected = False
    world.edit("r", desired="Abort", paused=True)
    world.run(40_000)
    assert world.rollouts["r"].status == held and running(world)["e1"] == "m-v2"


@scene
def a_version_older_than_stable_needs_the_word_rollback() -> None:
    world = World(3)
    world.stable = "m-v3"
    for agent in world.agents.values():
        agent.active = world.versions["m-v3"]
    world.run(2000)
    world.roll_out("r", 2, **QUICK)
    world.run(5000)
    assert status(world).state == "Invalid" and condition(world, "Accepted") == ("False", "CounterNotMonotonic")
    world.edit("r", rollback=True)
    until(world, lambda: status(world).state == "Succeeded")
    world.run(10_000)
    assert set(running(world).values()) == {"m-v2"} and world.stable == "m-v2"


@scene
def a_version_not_published_yet_is_waited_for_and_can_be_aborted() -> None:
    world = begun(3)
    world.edit("r", version="m-v9")
    world.run(5000)
    assert condition(world, "Accepted") == ("False", "VersionNotAvailable") and not status(world).terminal
    world.edit("r", desired="Abort")
    world.run(2000)
    assert status(world).state == "RolledBack"


# ---- one rollout at a time


@scene
def a_node_on_a_superseded_version_goes_back_to_stable_before_its_wave_comes() -> None:
    others = 0
    for name in ("s", "t", "u", "v"):
        world = begun(4)
        until(world, lambda world=world: canary_runs_it(world))
        world.metrics = "missing"
        world.roll_out(name, 3, **QUICK | {"waves": TWO})
        world.run(60_000)
        others += world.status(name).waves[0].nodes != status(world).waves[0].nodes
        assert sorted(running(world).values()) == ["m-v1", "m-v1", "m-v1", "m-v3"]
    assert others, "the newer rollout always chose the same canary: this scene shows nothing"


@scene
def a_newer_rollout_supersedes_and_begins_again_from_stable() -> None:
    world = begun(4)
    until(world, lambda: canary_runs_it(world))
    first = canary(world)
    world.roll_out("s", 3, **QUICK | {"waves": TWO})
    world.metrics = "missing"
    world.run(60_000)
    assert status(world).state == "Superseded" and world.status("s").state == "Progressing"
    assert "m-v2" not in running(world).values() and list(running(world).values()).count("m-v3") == 1
    assert first.active in (world.versions["m-v1"], world.versions["m-v3"])
    world.edit("s", desired="Abort")
    until(world, lambda: world.status("s").terminal)
    world.run(20_000)
    assert set(running(world).values()) == {"m-v1"}
