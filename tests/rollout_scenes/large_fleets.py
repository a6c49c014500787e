"""Fleets of ten nodes and more: no node decides alone, and one that lies neither turns a verdict nor holds it up."""

import json
import math

from rollout_world import LEASE_MS, QUICK, WAVES, World

from rollout_scenes.stage import begun, condition, resume, running, scene, status, until
from skerry.core import rollout, specs

TWENTY = 20
SHORT = [
    {"name": "canary", "size": "1", "soakSeconds": 2},
    {"name": "tenth", "size": "10%", "soakSeconds": 2},
    {"name": "rest", "size": "100%", "soakSeconds": 2},
]
ABOVE = {"marginPermille": 50, "minSamples": 200}


def _begun(nodes: int = TWENTY, waves: list[dict[str, object]] = SHORT) -> World:
    world = begun(nodes, waves=waves, analysis=ABOVE)
    world.run(1000)
    return world


def _ended(world: World) -> rollout.Status:
    for _ in range(200):
        if status(world).terminal or status(world).pause_reasons:
            break
        world.run(4000, step_ms=2000)
    return status(world)


def _sizes(world: World) -> list[int]:
    return [len(wave.nodes) for wave in status(world).waves]


# ---- waves


@scene
def the_default_is_one_node_then_a_tenth_but_enough_to_judge_then_the_rest() -> None:
    for nodes, sizes in ((3, [1, 2]), (9, [1, 8]), (10, [1, 3, 6]), (20, [1, 3, 16]), (100, [1, 9, 90])):
        world = World(nodes)
        world.run(1000)
        world.roll_out("r", 2, **{key: value for key, value in QUICK.items() if key != "waves"})
        world.run(1000)
        assert _sizes(world) == sizes, f"{nodes} nodes: {_sizes(world)}"


@scene
def a_count_is_taken_as_it_is_written() -> None:
    world = _begun(20, waves=[SHORT[0], {**SHORT[1], "size": "2"}, SHORT[2]])
    assert _sizes(world) == [1, 1, 18]


# ---- one hostile node of twenty, in both directions


@scene
def in_a_large_fleet_one_node_passes_no_wave_by_its_answers_and_fails_none() -> None:
    for mood in ("good", "bad", "few"):
        world = _begun()
        world.metrics = mood
        until(world, lambda world=world: status(world).wave == 1)
        assert (
            status(world).waves[0].verdict["code"] == "JudgedLater"
            and condition(world, "AnalysisPassed")[0] == "Unknown"
        )


@scene
def a_hostile_node_that_claims_only_bad_answers_fails_no_good_version_and_is_named() -> None:
    for wave in (1, 2):
        world = _begun()
        hostile = status(world).waves[wave].nodes[0]
        world.claims[hostile] = (400, 400)
        assert _ended(world).state == "Succeeded"
        told = status(world).waves[1].verdict
        assert told["setAside"] == [hostile] and hostile in told["reason"]
        assert set(running(world).values()) == {"m-v2"}


@scene
def a_hostile_node_that_claims_only_good_answers_passes_no_bad_version() -> None:
    for wave in (0, 1):
        world = _begun()
        world.metrics = "bad"
        world.claims[status(world).waves[wave].nodes[0]] = (10**7, 0)
        assert _ended(world).why == "AnalysisFailed"
        touched = {name for name, done in world.activations if done.version == 2}
        assert touched == {*status(world).waves[0].nodes, *status(world).waves[1].nodes}


@scene
def a_hostile_baseline_hides_no_harm() -> None:
    world = _begun()
    world.metrics = "bad"
    world.claims[status(world).waves[2].nodes[0]] = (10**7, 10**7)
    assert _ended(world).why == "AnalysisFailed"


@scene
def a_hostile_node_that_is_silent_or_talks_nonsense_holds_nothing_up() -> None:
    for claim in ((0, 0), (math.nan, 0)):
        world = _begun()
        world.claims[status(world).waves[1].nodes[0]] = claim
        assert _ended(world).state == "Succeeded", f"{claim}: {status(world).current.verdict}"


@scene
def a_node_that_refuses_the_version_or_fails_to_swap_counts_as_ever() -> None:
    world = _begun()
    world.swap_fails.add((status(world).waves[0].nodes[0], world.versions["m-v2"].digest))
    assert _ended(world).why == "TooManyFailures"


# ---- waves that cannot judge


@scene
def a_rollout_none_of_whose_waves_can_judge_asks_an_operator_at_once_and_says_what_would() -> None:
    world = _begun(waves=[WAVES[0], WAVES[-1]])
    world.run(40_000, step_ms=2000)
    assert status(world).pause_reasons == ("Inconclusive",) and status(world).wave == 0
    assert status(world).current.verdict["code"] == "NoWaveJudges" and 'size "4"' in status(world).pause_message
    resume(world)
    world.edit("r", promotedAttempt=1, promotedWave=0)
    until(world, lambda: status(world).state == "Succeeded", limit_s=10 * LEASE_MS // 1000)


@scene
def a_rollout_that_began_under_the_rule_of_before_ends_under_it() -> None:
    """The release before wrote down neither judges nor what its waves ask."""
    world = _begun(waves=[WAVES[0], WAVES[-1]])
    del world.rollouts["r"].spec["waves"]  # it was the default, and the default is another now
    stored = json.loads(world.rollouts["r"].status)
    stored["specHash"] = specs.parse_rollout("r", world.rollouts["r"].spec).fingerprint
    del stored["judges"], stored["clockMs"]
    for wave in stored["waves"]:
        del wave["asks"]
    world.rollouts["r"].status = json.dumps(stored)
    world.run(950_000, step_ms=10_000)
    assert _sizes(world) == [1, 19]
    verdict = status(world).waves[0].verdict
    assert verdict["code"] == "NotWorse" and verdict["reason"].endswith("one node decides in a fleet of 20")


@scene
def a_rollout_keeps_what_its_waves_asked_when_it_began_whatever_the_default_is_now() -> None:
    world = World(3)
    world.run(1000)
    world.roll_out("r", 2, **{key: value for key, value in QUICK.items() if key != "waves"})
    world.run(1000)
    stored = json.loads(world.rollouts["r"].status)
    stored["waves"][0]["asks"]["soakSeconds"] = 5  # the default of the release that began it; it is 900 now
    world.rollouts["r"].status = json.dumps(stored)
    until(world, lambda: status(world).wave == 1, limit_s=40)


@scene
def a_small_fleet_keeps_its_rule_and_the_verdict_says_so() -> None:
    world = begun(3)
    until(world, lambda: status(world).wave == 1)
    assert status(world).waves[0].verdict["reason"].endswith("one node decides in a fleet of 3")
