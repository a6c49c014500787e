"""What people may ask for: legal now, or refused with a reason; and the patch has its effect when it is planned."""

from collections.abc import Callable
from typing import Any

import pytest
from rollout_scenes.stage import begun, canary_runs_it, resume, status, until
from rollout_world import MODEL, World, version

from skerry.core import errors, intents, rollout, specs

DIGEST = "sha256:" + "a" * 64


def known(world: World, name: str = "r") -> intents.Known:
    return intents.Known(name, world.rollouts[name].spec, rollout.to_json(world.status(name)))


def apply(world: World, patch: intents.Patch) -> None:
    world.edit(patch.name, **patch.spec)


def running() -> World:
    world = begun(3)
    world.metrics = "missing"
    until(world, lambda: canary_runs_it(world))
    return world


def paused_by_operator() -> World:
    world = running()
    world.edit("r", paused=True)
    world.run(2000)
    return world


def paused_by_itself() -> World:
    world = running()
    world.run(120_000, step_ms=2000)
    return world


def rolling_back() -> World:
    world = running()
    world.edit("r", desired="Abort")
    world.run(1000)
    assert status(world).state == "RollingBack"
    return world


def rolled_back() -> World:
    world = running()
    world.edit("r", desired="Abort")
    until(world, lambda: status(world).terminal)
    return world


def succeeded() -> World:
    world = begun(3)
    until(world, lambda: status(world).terminal)
    return world


OFFERS = [
    pytest.param(running, {"pause", "promote", "abort"}, id="a running rollout can be paused, promoted and aborted"),
    pytest.param(paused_by_operator, {"resume", "abort"}, id="a paused one can be resumed and aborted"),
    pytest.param(
        paused_by_itself,
        {"pause", "resume", "promote", "abort"},
        id="one that asks an operator can be passed, resumed, held or aborted",
    ),
    pytest.param(rolling_back, set(), id="one that rolls back cannot be held"),
    pytest.param(rolled_back, {"retry"}, id="one that failed can be retried"),
    pytest.param(succeeded, set(), id="one that succeeded has ended"),
]


@pytest.mark.parametrize(("world", "legal"), OFFERS)
def test_offers(world: Callable[[], World], legal: set[str]) -> None:
    found = intents.offers(known(world()))
    assert {one.action for one in found if not one.why_not} == legal
    assert all(len(one.why_not) > 10 for one in found if one.action not in legal)


def test_a_resume_clears_what_was_seen_and_a_promotion_passes_the_wave() -> None:
    world = paused_by_itself()
    apply(world, intents.promote(known(world)))
    until(world, lambda: status(world).state == "Succeeded")
    assert status(world).waves[0].verdict["code"] == "Promoted"


def test_a_resume_of_both_kinds_of_pause() -> None:
    world = paused_by_itself()
    world.edit("r", paused=True)
    world.run(1000)
    apply(world, intents.resume(known(world)))
    world.metrics = "good"
    until(world, lambda: status(world).state == "Succeeded")


def test_an_abort_of_a_paused_rollout_rolls_back() -> None:
    world = paused_by_operator()
    apply(world, intents.abort(known(world)))
    until(world, lambda: status(world).state == "RolledBack")


def test_a_retry_gives_one_new_attempt() -> None:
    world = rolled_back()
    apply(world, intents.retry(known(world), "again"))
    world.metrics = "good"
    until(world, lambda: status(world).state == "Succeeded")
    assert status(world).attempt == 2
    with pytest.raises(errors.RejectedError, match="only one that ended without success"):
        intents.retry(known(world), "again")


def rolled_out_twice() -> World:
    world = succeeded()
    world.roll_out("r3", 3, waves=[{"name": "all", "soakSeconds": 1}], analysis={"required": False})
    until(world, lambda: world.status("r3").state == "Succeeded")
    return world


def rollback(world: World, **more: Any) -> intents.Creation:
    rollouts = [known(world, name) for name in world.rollouts]
    return intents.rollback(MODEL, world.stable, {"fleet": "all"}, world.versions, rollouts, "back", **more)


def test_a_rollback_makes_the_version_before_stable_again() -> None:
    world = rolled_out_twice()
    made = rollback(world)
    assert (made.kind, made.name) == ("ModelRollout", "m-v2-back")
    world.roll_out(made.name, 2, **made.spec)
    until(world, lambda: world.status(made.name).state == "Succeeded")
    world.run(10_000)
    assert {agent.active for agent in world.agents.values()} == {world.versions["m-v2"]} and world.stable == "m-v2"


ROLLBACKS = [
    pytest.param({"to": "m-v3"}, errors.RejectedError, "not older", id="not to the version that is stable"),
    pytest.param({"to": "m-v9"}, errors.NotFoundError, "m-v9 is no published version", id="not to what does not exist"),
]


@pytest.mark.parametrize(("more", "error", "told"), ROLLBACKS)
def test_a_rollback_needs_an_older_version(more: dict[str, str], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        rollback(rolled_out_twice(), **more)


def test_a_rollback_before_anything_was_stable_names_the_way_out() -> None:
    with pytest.raises(errors.RejectedError, match="name one with --to"):
        rollback(running())


def test_a_start_follows_the_policy_of_the_model() -> None:
    made = intents.start("m", {"fleet": "f", "automatic": False, "preloadAhead": 0}, version(2), "x")
    assert made.name == "m-v2-x" and specs.parse_rollout(made.name, made.spec).strategy.preload_ahead == 0
    with pytest.raises(errors.RejectedError, match="a version of m, not of other"):
        intents.start("other", {}, version(2), "x")


MODEL_SPEC = {
    "classNames": ["a", "b"],
    "network": {"factory": "x:y"},
    "input": {"name": "x", "datatype": "FP32", "shape": [4]},
    "datasetDigest": DIGEST,
}
RUNNING: dict[str, Any] = {"conditions": [{"type": "Succeeded", "status": "Unknown"}]}
ENDED: dict[str, Any] = {"conditions": [{"type": "Succeeded", "status": "False"}]}


def retrain(spec: dict[str, Any], runs: list[tuple[str, dict[str, Any], dict[str, Any]]], dataset: str = "") -> Any:
    return intents.retrain("m", spec, runs, "x", dataset=dataset, base="m-v1", reason="by hand")


def test_a_retrain_pins_its_dataset() -> None:
    made = retrain(MODEL_SPEC, [("t", {"model": "m"}, ENDED), ("u", {"model": "other"}, RUNNING)])
    parsed = specs.parse_training_run(made.name, made.spec)
    assert (made.name, parsed.dataset_digest, parsed.base_version) == ("m-x", DIGEST, "m-v1")


REFUSED = [
    pytest.param(MODEL_SPEC, [("t", {"model": "m"}, RUNNING)], "t already trains m", id="one run at a time"),
    pytest.param(
        MODEL_SPEC, [("t", {"model": "m"}, {})], "t already trains m", id="a run that was not looked at yet counts"
    ),
    pytest.param(
        {k: v for k, v in MODEL_SPEC.items() if k != "network"},
        [],
        "names no network",
        id="an imported model has no network",
    ),
    pytest.param(
        {k: v for k, v in MODEL_SPEC.items() if k != "datasetDigest"}, [], "has no dataset yet", id="data comes first"
    ),
]


@pytest.mark.parametrize(("spec", "runs", "told"), REFUSED)
def test_a_retrain_that_makes_no_sense_is_refused(spec: dict[str, Any], runs: list[Any], told: str) -> None:
    with pytest.raises(errors.RejectedError, match=told):
        retrain(spec, runs)


def test_a_rollout_resumed_by_hand_goes_on() -> None:
    world = paused_by_operator()
    with pytest.raises(errors.RejectedError, match="resume it first"):
        intents.promote(known(world))
    resume(world)
    world.metrics = "good"
    until(world, lambda: status(world).state == "Succeeded")
