"""What people may ask for: legal now, or refused with a reason; and the patch has its effect when it is planned."""

from collections.abc import Callable
from typing import Any

import pytest
from rollout_scenes.stage import begun, canary_runs_it, resume, status, until
from rollout_world import MODEL, World, version

from skerry.core import errors, intents, rollout, specs
from skerry.core.intents import objects

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
    apply(world, intents.promote(known(world), intents.Seen(wave="canary")))
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


WAVES = [{"name": "canary", "size": "1"}, {"name": "half", "size": "50%"}, {"name": "rest", "size": "100%"}]


def of_three_waves() -> World:
    world = begun(6, waves=WAVES)
    world.metrics = "missing"
    until(world, lambda: canary_runs_it(world))
    return world


def names_of(world: World) -> list[str]:
    return [wave.name for wave in status(world).waves]


def test_two_promotions_of_one_wave_pass_one_wave() -> None:
    world = of_three_waves()
    stood, seen = status(world), intents.Seen(wave="canary")
    apply(world, intents.promote(known(world), seen))
    until(world, lambda: status(world).wave == stood.wave + 1)
    with pytest.raises(errors.ConflictError, match=r"wave canary of r is passed already .an operator passed this wave"):
        intents.promote(known(world), seen)


def test_a_promotion_names_the_wave_that_stands() -> None:
    world = of_three_waves()
    with pytest.raises(errors.InputError, match=r"wave canary of r stands .* promote r --wave canary"):
        intents.promote(known(world), intents.Seen())
    with pytest.raises(errors.ConflictError, match="wave canary of r stands, rest has not begun"):
        intents.promote(known(world), intents.Seen(wave="rest"))
    with pytest.raises(errors.InputError, match=f"no wave 'all': its waves are {', '.join(names_of(world))}"):
        intents.promote(known(world), intents.Seen(wave="all"))


def test_a_promotion_and_a_resume_clear_no_pause_that_was_not_seen() -> None:
    world = paused_by_itself()
    seen = intents.Seen(1, "canary", status(world).pause_number - 1)
    for act in (intents.promote, intents.resume):
        with pytest.raises(errors.ConflictError, match="r has paused again since"):
            act(known(world), seen)


def test_an_abort_and_a_pause_hold_for_the_attempt_in_whatever_wave_it_is() -> None:
    world = of_three_waves()
    before = [intents.abort(known(world)), intents.pause(known(world))]
    apply(world, intents.promote(known(world), intents.Seen(wave="canary")))
    until(world, lambda: status(world).wave == 1)
    for first, act in zip(before, (intents.abort, intents.pause), strict=True):
        again = act(known(world), intents.Seen(1))
        objects.still(first, again)
        with pytest.raises(errors.ConflictError, match="is in attempt 1, not in attempt 2"):
            act(known(world), intents.Seen(2))


def test_one_attempt_is_the_same_before_and_after_it_begins() -> None:
    spec = running().rollouts["r"].spec
    asked = intents.abort(intents.Known("r", spec, {}))
    objects.still(asked, intents.abort(known(running())))


def test_of_two_retries_of_one_attempt_one_is_carried_out() -> None:
    world = rolled_back()
    first = intents.retry(known(world), "again")
    apply(world, first)
    with pytest.raises(errors.ConflictError, match="was changed by somebody else meanwhile"):
        objects.still(first, intents.retry(known(world), "and again"))


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
        intents.promote(known(world), intents.Seen(wave=intents.standing(known(world))))
    resume(world)
    world.metrics = "good"
    until(world, lambda: status(world).state == "Succeeded")
