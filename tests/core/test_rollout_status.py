"""ModelRollout.status and EdgeModel.status.catchUp: read back as written, refused when they are something else."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rollout_scenes.stage import begun, canary, canary_runs_it, status, until
from rollout_world import World

from skerry.core import errors, rollout
from skerry.core.rollout.status import Permit

DIGEST = "sha256:" + "a" * 64
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**60) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def test_a_rollout_in_its_course_is_read_back_at_every_tick() -> None:
    world = begun(4)
    world.metrics = "few"
    until(world, lambda: canary_runs_it(world))
    canary(world).connected = False
    for _ in range(40):
        found = status(world)
        assert rollout.from_json("r", rollout.to_json(found)) == found
        world.run(5000)


def test_a_status_never_written_is_a_fresh_one() -> None:
    assert rollout.from_json("r", {}) == rollout.Status()


def test_what_settling_remembers_is_read_back() -> None:
    settled = rollout.Settled((Permit("n", 3, 7, 1, 60_000, 2, DIGEST, "", 0),), 3, 2)
    assert rollout.settled_from_json("m", rollout.settled_to_json(settled)) == settled
    assert rollout.settled_from_json("m", None) == rollout.Settled()


def test_what_a_newer_release_wrote_is_passed_over_by_who_goes_back_to_this_one() -> None:
    found = rollout.Status()
    written = rollout.to_json(found) | {"moonPhase": 3, "waves": []}
    assert rollout.from_json("r", written) == found


WRONG = [
    pytest.param({"state": "Done"}, "status.state must be one of", id="an unknown state"),
    pytest.param(
        {"state": "Progressing", "wave": 2}, "status.wave is 2, but there are 0 waves", id="a wave that is none"
    ),
    pytest.param(
        {"permits": [{"node": "n"}]}, r"status.permits\[0\].number is missing", id="a permit without a number"
    ),
    pytest.param({"conditions": [{"type": "A", "status": "Maybe"}]}, "status 'Maybe'", id="a condition that is none"),
]


@pytest.mark.parametrize(("value", "told"), WRONG)
def test_a_wrong_status_is_refused(value: dict[str, Any], told: str) -> None:
    with pytest.raises(errors.InputError, match=told):
        rollout.from_json("r", value)


FIELDS = st.sampled_from(sorted(rollout.to_json(rollout.Status())))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(value=st.dictionaries(FIELDS, ANYTHING, max_size=3) | ANYTHING)
def test_anything_is_read_or_refused(value: Any) -> None:
    try:
        found = rollout.from_json("r", value)
    except errors.InputError:
        return
    assert rollout.from_json("r", rollout.to_json(found)) == found


def test_what_settling_forgets_is_no_write_of_its_own() -> None:
    """Nodes that enrol are given the stable version: the model's status is written with each round of permits alone."""
    world = World(6)
    for agent in world.agents.values():
        agent.active = None
    written = set[str]()
    for _ in range(200):
        world.run(1000)
        written.add(world.catch_up)
    assert all(agent.active is not None for agent in world.agents.values())
    assert len(written) <= len(world.agents) + 1
