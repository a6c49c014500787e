"""The privacy of a model: what it forbids, how a node's floor bounds it, and how both are read."""

import itertools
import re
from typing import Any

import custom_resources
import pytest

from skerry.core import errors, offload, privacy, redaction, sampling, specs
from skerry.core.privacy import KEEP, LEAVE, Keep, Leave, Privacy

HEAD = redaction.Mask(((0, 4), (0, 4)))
FIRST = redaction.Zero((0,))


@pytest.mark.parametrize(("asked", "floor"), itertools.product(itertools.product(KEEP, LEAVE), repeat=2))
def test_a_floor_is_tightened_and_never_loosened(asked: tuple[Keep, Leave], floor: tuple[Keep, Leave]) -> None:
    held = Privacy(*asked).bounded_by(Privacy(*floor))
    assert KEEP.index(held.keep) == min(KEEP.index(asked[0]), KEEP.index(floor[0]))
    assert LEAVE.index(held.leave) == min(LEAVE.index(asked[1]), LEAVE.index(floor[1]))


def test_the_steps_of_both_are_taken_each_once() -> None:
    held = Privacy(redact=(FIRST, HEAD)).bounded_by(Privacy(redact=(HEAD,)))
    assert held.redact == (HEAD, FIRST)


def test_a_floor_has_entries_by_model_and_one_for_all_others() -> None:
    floor = specs.parse_floor(
        {"*": {"keep": "Nothing", "leave": "Never"}, "digits": {"keep": "Features", "leave": "Teacher"}}, "privacy.yaml"
    )
    assert floor.bound("digits", privacy.OPEN) == Privacy(Keep.FEATURES, Leave.TEACHER)
    assert floor.bound("digits-2", privacy.OPEN) == privacy.CLOSED


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        (None, "privacy.yaml must be an object"),
        ({}, "must be an object of 1..1000"),
        ([], "must be an object"),
        ({1: {}}, "1 must be a text"),
        ({"Digits!": {"keep": "Full", "leave": "Never"}}, "Digits!"),
        ({"*": {"keep": "Full"}}, r"privacy.yaml \*: entry.leave is missing"),
        ({"*": {"leave": "Never"}}, "keep is missing"),
        ({"*": {"keep": "nothing", "leave": "Never"}}, "did you mean Nothing"),
        ({"*": {"keep": "Full", "leave": False}}, "leave must be a text"),
        ({"*": {"keep": "Full", "leave": "Cloud", "redakt": []}}, "did you mean redact"),
    ],
)
def test_a_floor_that_is_not_right_says_what_is_wrong(document: object, fault: str) -> None:
    with pytest.raises(errors.InputError, match=fault):
        specs.parse_floor(document, "privacy.yaml")


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        ({"op": "blur"}, r"redact\[0\].op must be one of mask, crop, zero, round"),
        ({"op": "mask"}, "box is missing"),
        ({"op": "mask", "box": []}, "must be 1..8 pairs"),
        ({"op": "mask", "box": [[4, 2]]}, "start < stop"),
        ({"op": "mask", "box": [[True, 2]]}, "whole numbers"),
        ({"op": "mask", "box": [[0, 2]] * 9}, "box must be a list of at most 8"),
        ({"op": "zero", "features": []}, "1..1024 entries"),
        ({"op": "zero", "features": list(range(2000))}, "1..1024 entries"),
        ({"op": "zero", "features": [-1]}, "at least 0"),
        ({"op": "round", "to": 0}, "to must be a number"),
        ({"op": "round", "to": float("nan")}, "not finite"),
        ({"op": "round", "to": 1, "box": [[0, 1]]}, "box is not a known field"),
        ({"op": "mask", "box": [[0, 40]]}, "does not fit input"),
    ],
)
def test_a_step_of_redaction_is_read_with_distrust_and_must_fit_the_models_input(step: Any, fault: str) -> None:
    spec = custom_resources.example("EdgeModel")["spec"] | {
        "privacy": {"keep": "Full", "leave": "Cloud", "redact": [step]}
    }
    with pytest.raises(errors.InputError, match=fault):
        specs.parse_edge_model("digits", spec)


def test_at_most_sixteen_steps_are_taken() -> None:
    steps = [{"op": "zero", "features": [0]}] * 17
    with pytest.raises(errors.InputError, match="at most 16"):
        specs.parse_floor({"*": {"keep": "Full", "leave": "Cloud", "redact": steps}}, "privacy.yaml")


def test_without_a_privacy_a_model_keeps_and_sends_as_before() -> None:
    spec = {key: value for key, value in custom_resources.example("EdgeModel")["spec"].items() if key != "privacy"}
    assert specs.parse_edge_model("digits", spec).privacy == privacy.OPEN
    told = specs.policy_for_nodes("digits", spec)
    assert told.policy is None and told.offload == spec.get("offload", {})
    assert privacy.of_capture(sampling.CapturePolicy(), privacy.OPEN) == sampling.CapturePolicy()
    assert privacy.of_offload(offload.OffloadPolicy(), privacy.OPEN) == offload.OffloadPolicy()


@pytest.mark.parametrize(
    ("given", "enabled", "captures"),
    [
        ({"keep": "Full", "leave": "Cloud"}, True, True),
        ({"keep": "Nothing", "leave": "Cloud"}, True, False),
        ({"keep": "Features", "leave": "Cloud"}, True, False),
        ({"keep": "Full", "leave": "Teacher"}, True, False),
        ({"keep": "Full", "leave": "Never"}, False, False),
        ({"keep": "Full", "leave": "Cloud", "redact": [{"op": "zero", "features": [0]}]}, False, False),
    ],
)
def test_an_agent_that_knows_no_privacy_is_told_an_offload_policy_as_strict(
    given: dict[str, Any], enabled: bool, captures: bool
) -> None:
    told = specs.policy_for_nodes("m", {"privacy": given, "offload": {"burst": 3}})
    old, new = specs.parse_offload(told.offload), specs.parse_node_policy(told.policy or {}, "m")
    assert old.enabled == enabled and (old.exploration_permille + old.hard_permille > 0) == captures
    assert (new.offload, new.offload.burst) == (specs.OffloadSpec(burst=3), 3)
    assert (new.privacy.keep, new.privacy.leave) == (given["keep"], given["leave"])


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (privacy.OPEN, ()),
        (Privacy(Keep.FULL, Leave.NEVER), ("no node asks the teacher", "no run learns")),
        (Privacy(Keep.FULL, Leave.TEACHER), ("no run learns",)),
        (Privacy(Keep.NOTHING, Leave.CLOUD), ("nothing is learned",)),
        (Privacy(Keep.FEATURES, Leave.CLOUD), ("truths count for rollouts",)),
    ],
)
def test_what_the_offload_policy_asks_and_privacy_forbids_is_said(held: Privacy, said: tuple[str, ...]) -> None:
    found = privacy.conflicts(held, offload.OffloadPolicy(), sampling.CapturePolicy())
    assert len(found) == len(said) and all(re.search(want, text) for want, text in zip(said, found, strict=True))


def test_a_policy_that_asks_for_nothing_is_in_no_conflict() -> None:
    asked = offload.OffloadPolicy(enabled=False), sampling.CapturePolicy(exploration=0.0, hard=0.0)
    assert privacy.conflicts(privacy.CLOSED, *asked) == ()


@pytest.mark.parametrize(
    ("held", "redacted", "has_row", "may"),
    [
        (privacy.OPEN, (), True, True),
        (Privacy(leave=Leave.TEACHER), (), True, False),
        (Privacy(Keep.FEATURES), (), True, False),
        (Privacy(Keep.FEATURES), (), False, True),
        (Privacy(Keep.NOTHING), (), False, False),
        (Privacy(redact=(HEAD,)), (), True, False),
        (Privacy(redact=(HEAD,)), (), False, True),
        (Privacy(redact=(HEAD,)), (str(FIRST), str(HEAD)), True, True),
    ],
)
def test_what_was_captured_before_leaves_only_as_privacy_is_now(
    held: Privacy, redacted: tuple[str, ...], has_row: bool, may: bool
) -> None:
    assert held.holds_for(redacted, has_row=has_row) is may
