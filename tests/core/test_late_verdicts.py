"""Rollouts of forecasts whose truth comes a day later, at an answer an hour and node, in the time of a simulated world:
judged to a pass, judged to a rollback, and what silence is.
"""

import json
from dataclasses import replace

from late_truth_world import HOUR_MS, TASK, LateTruthWorld
from rollout_world import WAVES

from skerry.core import rollout, truth_delay

CANARIES, MIN_SAMPLES = 2, 30
FORECASTS = {
    "waves": [{"name": "canary", "size": str(CANARIES), "soakSeconds": 5}, WAVES[-1]],
    "analysis": {"minSamples": MIN_SAMPLES, "marginPermille": 100},
}
HORIZON_H = 24
ENOUGH_H = HORIZON_H + MIN_SAMPLES // CANARIES


def begun(bad_every: dict[str, int], **spec: object) -> LateTruthWorld:
    """A world whose canaries have just got the new version, and as many nodes the stable one."""
    world = LateTruthWorld(2 * CANARIES, bad_every)
    world.live(3)
    world.roll_out("r", 2, **FORECASTS | spec)
    world.run(40_000)
    assert (status(world).wave, status(world).current.tally.updated) == (0, CANARIES)
    return world


def status(world: LateTruthWorld) -> rollout.Status:
    return world.status("r")


def code(world: LateTruthWorld) -> str:
    return str(status(world).waves[0].verdict["code"])


def running(world: LateTruthWorld) -> set[str]:
    return {agent.active.name for agent in world.agents.values() if agent.active}


def test_a_better_version_passes_when_the_truth_of_enough_of_its_answers_has_come() -> None:
    world = begun({"m-v1": 3, "m-v2": 50})
    world.live(HORIZON_H - 1)
    assert code(world) == "Missing"
    world.live(ENOUGH_H - HORIZON_H)
    assert (status(world).wave, code(world)) == (0, "TooFewSamples")
    world.live(3)
    world.run(40_000)
    assert status(world).state == "Succeeded" and running(world) == {"m-v2"}
    assert code(world) == "NotWorse" and status(world).waves[0].verdict["canary"]["n"] >= MIN_SAMPLES


def test_a_worse_version_is_rolled_back_when_the_truth_says_so() -> None:
    world = begun({"m-v1": 50, "m-v2": 2})
    world.live(ENOUGH_H - 1)
    assert status(world).state == "Progressing"
    world.live(3)
    world.run(40_000)
    assert (status(world).state, status(world).why) == ("RolledBack", "AnalysisFailed")
    assert running(world) == {"m-v1"}


def test_between_two_truths_the_evidence_is_not_old() -> None:
    world = begun({"m-v1": 10, "m-v2": 10})
    world.live(HORIZON_H + 3)
    for _ in range(6):
        world.run(600_000, 600_000)
        assert code(world) == "TooFewSamples"


def test_where_no_truth_comes_any_more_the_evidence_is_old() -> None:
    world = begun({"m-v1": 10, "m-v2": 10})
    world.live(4)
    world.are_silent = True
    world.live(HORIZON_H + 1)
    assert code(world) == "TooFewSamples"
    world.live(3)
    assert code(world) == "Stale"


def test_what_was_answered_before_the_comparison_does_not_count() -> None:
    """The stable version was bad until the hour in which the comparison began."""
    world = LateTruthWorld(2 * CANARIES, {"m-v1": 1, "m-v2": 1000})
    world.live(3)
    world.bad_every["m-v1"] = 1000
    world.roll_out("r", 2, **FORECASTS)
    world.run(40_000)
    world.live(HORIZON_H + 3)
    found = status(world).waves[0].verdict["baseline"]
    assert found["n"] in (CANARIES * 2, CANARIES * 3, CANARIES * 4) and found["bad"] == 0


def test_patience_lasts_until_one_node_can_have_enough_answers_with_their_truth() -> None:
    world = begun({"m-v1": 10, "m-v2": 10}, judgeTimeoutSeconds=60)
    patience_ms = truth_delay.of(TASK).patience_ms(MIN_SAMPLES)
    assert patience_ms == (HORIZON_H + MIN_SAMPLES) * HOUR_MS
    began_ms = status(world).current.judge_clock_ms
    _set_clock(world, began_ms + patience_ms + 58_000)
    assert not status(world).pause_reasons
    _set_clock(world, began_ms + patience_ms + 60_000)
    assert status(world).pause_reasons == ("Inconclusive",)


def _set_clock(world: LateTruthWorld, clock_ms: int) -> None:
    """The rollout goes on as it is, when its clock has counted so much."""
    world.stopwatches.clear()
    world.rollouts["r"].status = json.dumps(rollout.to_json(replace(status(world), clock_ms=clock_ms)))
    world.run(1000)
