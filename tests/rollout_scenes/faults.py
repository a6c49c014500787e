"""Versions that fail on nodes, and evidence that says no or nothing."""

from rollout_world import WAVES

from rollout_scenes.stage import begun, canary, condition, resume, running, scene, soaks, status, until

# ---- failures


@scene
def a_corrupt_version_is_rolled_back_at_the_canary() -> None:
    world = begun(3)
    world.corrupt.add(world.versions["m-v2"].digest)
    until(world, lambda: status(world).terminal)
    assert (status(world).state, status(world).why) == ("RolledBack", "TooManyFailures")
    assert set(running(world).values()) == {"m-v1"}


@scene
def a_version_that_every_node_refuses_does_not_succeed_however_tolerant() -> None:
    world = begun(3, waves=[{"name": "all", "size": "100%", "soakSeconds": 2, "maxFailures": "100%"}])
    world.corrupt.add(world.versions["m-v2"].digest)
    until(world, lambda: status(world).terminal)
    assert (status(world).state, status(world).why) == ("RolledBack", "TooFewUpdated")
    assert sorted(one.node for one in status(world).failed) == ["e1", "e2", "e3"]
    assert all(len(agent.verified) == 1 for agent in world.agents.values())


@scene
def a_swap_that_fails_counts_as_a_failure() -> None:
    world = begun(3)
    world.run(1000)
    world.swap_fails.add((canary(world).name, world.versions["m-v2"].digest))
    until(world, lambda: status(world).terminal)
    assert status(world).why == "TooManyFailures" and "SwapFailed" in status(world).why_message


@scene
def a_failed_node_within_the_limit_does_not_stop_the_others() -> None:
    waves = [{"name": "all", "size": "100%", "soakSeconds": 2, "maxFailures": "1", "minUpdatedPercent": 50}]
    world = begun(3, waves=waves, analysis={"required": False})
    world.swap_fails.add(("e1", world.versions["m-v2"].digest))
    until(world, lambda: status(world).terminal)
    assert status(world).state == "Succeeded" and running(world)["e1"] == "m-v1"
    world.run(60_000)
    assert running(world)["e1"] == "m-v1", "what was refused is not tried again under another name"


@scene
def an_incompatible_node_is_no_failure_of_the_version() -> None:
    world = begun(3)
    world.run(1000)
    world.agents[status(world).waves[1].nodes[0]].incompatible = True
    world.demanding.add(world.versions["m-v2"].digest)
    until(world, lambda: status(world).terminal)
    assert status(world).state == "Succeeded" and len(status(world).incompatible) == 1 and not status(world).failed


@scene
def a_wave_of_incompatible_nodes_asks_an_operator_at_once() -> None:
    world = begun(3)
    for agent in world.agents.values():
        agent.incompatible = True
    world.demanding.add(world.versions["m-v2"].digest)
    world.run(10_000)
    assert status(world).pause_reasons == ("AllIncompatible",)


@scene
def a_failed_first_version_is_withdrawn() -> None:
    world = begun(3, stable=False)
    world.corrupt.add(world.versions["m-v2"].digest)
    until(world, lambda: status(world).terminal)
    world.run(5000)
    assert status(world).state == "RolledBack" and set(world.assignments.values()) == {"[]"}


# ---- evidence


@scene
def a_version_worse_in_the_field_is_rolled_back_and_the_others_never_left_stable() -> None:
    world = begun(3)
    world.metrics = "bad"
    until(world, lambda: status(world).terminal)
    world.run(20_000)
    assert (status(world).state, status(world).why) == ("RolledBack", "AnalysisFailed")
    assert status(world).waves[0].verdict["result"] == "Fail"
    assert set(running(world).values()) == {"m-v1"} and condition(world, "AnalysisPassed")[0] == "False"
    touched = {name for name, done in world.activations if done.version == 2}
    assert touched == {canary(world).name}


@scene
def harm_is_acted_on_during_the_soak_and_while_paused() -> None:
    world = begun(3, waves=[{"name": "canary", "size": "1", "soakSeconds": 600}, WAVES[-1]])
    world.metrics = "few"
    until(world, lambda: soaks(world))
    world.edit("r", paused=True)
    world.metrics = "bad"
    world.run(30_000)
    assert status(world).state == "RolledBack" and set(running(world).values()) == {"m-v1"}


@scene
def a_version_that_refuses_what_the_version_before_took_is_rolled_back_though_no_analysis_is_asked_for() -> None:
    world = begun(1, analysis={"required": False})
    world.metrics = "refusing"
    until(world, lambda: status(world).terminal)
    world.run(20_000)
    assert (status(world).state, status(world).why) == ("RolledBack", "AnalysisFailed")
    assert status(world).waves[0].verdict["code"] == "RequestsFail"
    assert "100.0% of 40 requests failed or were refused, 20.0% of 40 with the version before" in (
        status(world).why_message
    )
    assert set(running(world).values()) == {"m-v1"}


@scene
def a_caller_that_always_sent_rubbish_fails_no_version() -> None:
    world = begun(3, analysis={"required": False})
    world.metrics = "rubbish"
    until(world, lambda: status(world).terminal)
    assert status(world).state == "Succeeded"


def _asks_after_the_timeout(mood: str, reason: str) -> None:
    world = begun(3)
    world.metrics = mood
    world.run(120_000, step_ms=2000)
    assert status(world).pause_reasons == (reason,) and status(world).wave == 0, status(world)
    assert list(running(world).values()).count("m-v2") == 1
    world.metrics = "good"
    world.run(20_000)
    assert status(world).wave == 0, "an automatic pause is cleared by an operator only"
    resume(world)
    until(world, lambda: status(world).state == "Succeeded")


@scene
def missing_evidence_is_never_a_pass() -> None:
    _asks_after_the_timeout("missing", "Inconclusive")


@scene
def evidence_that_is_no_number_is_never_a_pass() -> None:
    _asks_after_the_timeout("nan", "Inconclusive")


@scene
def too_few_samples_are_never_a_pass() -> None:
    _asks_after_the_timeout("few", "Inconclusive")


@scene
def stale_evidence_is_never_a_pass() -> None:
    _asks_after_the_timeout("stale", "Inconclusive")


@scene
def evidence_that_cannot_be_read_is_never_a_pass() -> None:
    _asks_after_the_timeout("error", "AnalysisError")


@scene
def a_fleet_of_one_has_no_baseline_and_asks_an_operator() -> None:
    world = begun(1)
    world.run(120_000, step_ms=2000)
    assert (
        status(world).pause_reasons == ("Inconclusive",) and status(world).current.verdict["code"] == "NoBaselineLeft"
    )


@scene
def a_fleet_of_one_may_be_compared_with_its_own_past() -> None:
    world = begun(1, analysis={"baseline": "Historical", "marginPermille": 50})
    until(world, lambda: status(world).terminal)
    assert status(world).current.verdict["code"] == "NotWorse"


@scene
def an_operator_passes_a_wave_without_evidence() -> None:
    world = begun(3)
    world.metrics = "missing"
    world.run(120_000, step_ms=2000)
    now = status(world)
    world.edit(
        "r", promotedAttempt=now.attempt, promotedWave=0, resumedAttempt=now.attempt, resumedPause=now.pause_number
    )
    until(world, lambda: status(world).state == "Succeeded")
    assert status(world).waves[0].verdict["code"] == "Promoted"
