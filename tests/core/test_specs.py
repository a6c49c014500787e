"""Custom resources are read with distrust: safe defaults, and every wrong field is told with object and hint."""

import copy
import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skerry.core import errors, offload, sampling, specs

DIGEST = "sha256:" + "a" * 64
MODEL: dict[str, Any] = {
    "classNames": ["no", "yes"],
    "network": {"factory": "skerry.nets.cnn:small", "options": {"width": 8}},
    "input": {"name": "image", "datatype": "UINT8", "shape": [28, 28]},
    "preprocessing": [{"op": "affine", "factor": 0.5, "offset": 0.0}],
    "datasetDigest": DIGEST,
}
ROLLOUT: dict[str, Any] = {"model": "m", "version": "m-v2"}


def _without(value: dict[str, Any], field: str) -> dict[str, Any]:
    return {key: inner for key, inner in value.items() if key != field}


def _with(path: str, value: object, base: dict[str, Any] = MODEL) -> dict[str, Any]:
    made = copy.deepcopy(base)
    at: Any = made
    *parents, last = path.split(".")
    for name in parents:
        at = at.setdefault(name, {})
    at[last] = value
    return made


MODEL_FAULTS = [
    pytest.param(
        _with("ofload", {}),
        "spec.ofload is not a known field: did you mean offload?",
        id="a typo is told with the field that was meant",
    ),
    pytest.param(
        _with("offload.targetRatePermile", 1),
        "spec.offload.targetRatePermile is not a known field: did you mean targetRatePermille?",
        id="a typo inside a section is told with its path",
    ),
    pytest.param(
        _with("offload.targetRatePermille", 1001),
        "spec.offload.targetRatePermille must be in 0..1000, not 1001",
        id="a number out of range is told with the range",
    ),
    pytest.param(
        _with("offload.enabled", "yes"),
        "spec.offload.enabled must be true or false, not 'yes'",
        id="a text is no switch",
    ),
    pytest.param(
        _with("offload.burst", True), "spec.offload.burst must be a whole number, not True", id="a switch is no number"
    ),
    pytest.param(
        _with("offload.burst", 1.0),
        "spec.offload.burst must be a whole number, not 1.0",
        id="a float is no whole number",
    ),
    pytest.param(
        _with("offload.burst", math.nan),
        "spec.offload.burst must be a whole number, not a number that is not finite",
        id="NaN is no number",
    ),
    pytest.param(_with("offload", [1]), "spec.offload must be an object, not [1]", id="a list is no section"),
    pytest.param(
        _with("retrain.augment", "Generic"), "spec.retrain.augment must be one of", id="an enum is told with its values"
    ),
    pytest.param(
        _with("classNames", ["one"]), "spec.classNames must be 2..10000 names", id="one class cannot be told apart"
    ),
    pytest.param(
        _with("classNames", ["a", "a"]), "spec.classNames must be 2..10000 names, each once", id="class names differ"
    ),
    pytest.param(
        _with("network.factory", "os.system('x')"),
        "spec.network.factory must be",
        id="a factory is module:function and nothing else",
    ),
    pytest.param(
        _with("input.datatype", "uint8"), "spec.input.datatype must be one of", id="datatypes are those of the protocol"
    ),
    pytest.param(
        _with("input.shape", [28, 0]),
        "spec.input.shape must hold whole numbers of at least 1",
        id="a shape has no zero",
    ),
    pytest.param(
        _with("preprocessing", [{"op": "afine"}]),
        "spec.preprocessing is not usable",
        id="an unknown step is found when it is written",
    ),
    pytest.param(_with("datasetDigest", "abc"), "spec.datasetDigest must be 'sha256:'", id="a digest is a digest"),
    pytest.param(
        _with("rollout.waves", [{"name": "a", "size": "10%"}]),
        'spec.rollout.waves must end with a wave of size "100%"',
        id="a strategy that leaves nodes out is refused",
    ),
    pytest.param(
        _with("rollout.waves", [{"name": "a", "size": "0"}]),
        "spec.rollout.waves[0].size must be at least 1",
        id="a wave has members",
    ),
    pytest.param(
        _with("rollout.waves", [{"name": "a", "size": "101%"}]),
        "spec.rollout.waves[0].size must be a count",
        id="a percentage ends at 100",
    ),
    pytest.param(
        _with("rollout.waves", [{"name": "a"}, {"name": "a"}]),
        "spec.rollout.waves must have names that differ",
        id="waves are told apart by name",
    ),
    pytest.param(
        _with("rollout.analysis.minSamples", 0),
        "spec.rollout.analysis.minSamples must be in 1..",
        id="evidence needs samples",
    ),
    pytest.param(
        _with("rollout.fleet", "a/b"),
        "spec.rollout.fleet must be the name of an object",
        id="a name cannot leave its folder",
    ),
    pytest.param(_without(MODEL, "classNames"), "spec.classNames is missing", id="what is required is asked for"),
    pytest.param("text", "spec must be an object, not 'text'", id="a spec is an object"),
]


@pytest.mark.parametrize(("spec", "told"), MODEL_FAULTS)
def test_a_wrong_model_is_told_with_object_field_and_hint(spec: Any, told: str) -> None:
    with pytest.raises(errors.InputError) as caught:
        specs.parse_edge_model("digits", spec)
    assert str(caught.value).startswith("EdgeModel digits: ")
    assert told in str(caught.value)


def test_a_small_model_has_safe_defaults() -> None:
    """No comparison, no automatic promotion: what is not written is the careful value."""
    model = specs.parse_edge_model("m", MODEL)
    assert model.rollout.analysis.required and model.rollout.waves[0].max_failures == specs.Amount(0)
    assert [str(wave.size) for wave in model.rollout.waves] == ["1", "10%", "100%"]
    assert model.offload.policy == offload.OffloadPolicy() and model.offload.capture == sampling.CapturePolicy()
    assert model.retrain.cooldown_s == 60 and model.retention == 3 and model.teacher is None


def test_units_of_offload_become_those_of_core() -> None:
    parsed = specs.parse_offload({"targetRatePermille": 250, "budgetPerSecondPermille": 1500, "timeoutMs": 40})
    assert (parsed.policy.target_rate, parsed.policy.budget_per_s, parsed.policy.timeout_s) == (0.25, 1.5, 0.04)


AMOUNTS = [
    pytest.param("3", 10, 3, 3, id="a count is itself"),
    pytest.param("30", 10, 10, 10, id="a count is at most everybody"),
    pytest.param("25%", 10, 3, 2, id="sizes are rounded up and limits down"),
    pytest.param("1%", 3, 1, 0, id="one percent of three is one node, or no failure"),
    pytest.param("100%", 7, 7, 7, id="all are all"),
    pytest.param("50%", 0, 0, 0, id="half of nobody is nobody"),
]


@pytest.mark.parametrize(("text", "total", "up", "down"), AMOUNTS)
def test_amounts_are_counts_or_percentages(text: str, total: int, up: int, down: int) -> None:
    fleet = specs.parse_fleet("all", {"maxUnavailable": text})
    assert (fleet.max_unavailable.ceil_of(total), fleet.max_unavailable.floor_of(total)) == (up, down)


def test_a_fleet_that_allows_no_swap_is_refused() -> None:
    with pytest.raises(errors.InputError, match="maxUnavailable must be at least 1"):
        specs.parse_fleet("all", {"maxUnavailable": 0})


def test_a_fleet_selects_nodes_by_all_its_labels() -> None:
    fleet = specs.parse_fleet("f", {"selector": {"site": "a", "line": "1"}})
    assert fleet.selects(specs.EdgeNode("n", {"site": "a", "line": "1", "more": "x"}))
    assert not fleet.selects(specs.EdgeNode("n", {"site": "a"}))
    assert specs.parse_fleet("all", {}).selects(specs.EdgeNode("n"))


def test_what_people_do_while_a_rollout_runs_begins_no_other_attempt() -> None:
    first = specs.parse_rollout("r", ROLLOUT).fingerprint
    acted = {
        "paused": True,
        "desired": "Abort",
        "resumedAttempt": 1,
        "resumedPause": 2,
        "promotedAttempt": 1,
        "promotedWave": 0,
    }
    assert specs.parse_rollout("r", ROLLOUT | acted).fingerprint == first
    for change in ({"version": "m-v3"}, {"retryToken": "x"}, {"waves": [{"name": "all"}]}, {"rollback": True}):
        assert specs.parse_rollout("r", ROLLOUT | change).fingerprint != first


def test_a_node_reads_back_what_was_assigned() -> None:
    assignment = specs.Assignment(
        "m",
        DIGEST,
        2,
        "retrained/m/2",
        "r",
        1,
        True,
        specs.PermitGrant(7, 60_000, 12, 3),
        specs.Lease(7, 12, 99, DIGEST, "r", 1, 3),
    )
    stored = json.loads(json.dumps(specs.assignment_json(assignment)))
    assert specs.parse_node("n", {"assignments": [stored]}, {}).assignment("m") == assignment


def test_a_node_that_never_reported_is_seen_as_such() -> None:
    node = specs.parse_node("n", {}, {})
    assert (node.connected, node.last_seen_ms, node.report("m").digest) == (False, 0, "")


def test_a_report_with_an_unknown_state_is_refused() -> None:
    status = {"models": [{"model": "m", "targetState": "Done"}]}
    with pytest.raises(errors.InputError, match=r"EdgeNode n: status.models\[0\].targetState must be one of"):
        specs.parse_node("n", {}, status)


def test_what_a_gateway_of_a_newer_release_tells_of_a_node_is_passed_over() -> None:
    status = {"batteryPermille": 410, "models": [{"model": "m", "digest": DIGEST, "temperature": 71}]}
    assert specs.parse_node("n", {}, status).report("m").digest == DIGEST
    with pytest.raises(errors.InputError, match="batteryPermille is not a known field"):
        specs.parse_node("n", {"batteryPermille": 410}, {})


def test_a_version_and_a_run_are_read() -> None:
    version = specs.parse_model_version(
        "m-v1", {"model": "m", "version": 1, "digest": DIGEST, "targetPath": "imported/m/1"}
    )
    assert (version.version, version.source) == (1, "Trained")
    run = specs.parse_training_run("t", {"model": "m", "datasetDigest": DIGEST, "overrides": {"epochs": 2}})
    assert run.retrain({"epochs": 9, "seed": 4}).epochs == 2 and run.retrain({"seed": 4}).seed == 4


def test_an_override_that_is_no_field_of_retrain_is_refused() -> None:
    with pytest.raises(errors.InputError, match=r"spec\.overrides\.epoch is not a known field: did you mean epochs"):
        specs.parse_training_run("t", {"model": "m", "datasetDigest": DIGEST, "overrides": {"epoch": 2}})


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(["classNames", "network", "input", "offload", "retrain", "gates", "rollout", "retention", "x"])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=st.dictionaries(FIELDS, ANYTHING, max_size=3))
def test_anything_is_parsed_or_refused_and_nothing_else_escapes(changes: dict[str, Any]) -> None:
    try:
        specs.parse_edge_model("m", MODEL | changes)
    except errors.InputError as exc:
        assert str(exc).startswith("EdgeModel m: spec")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(anything=ANYTHING)
def test_any_status_of_a_node_is_parsed_or_refused(anything: Any) -> None:
    for status in (anything, {"models": anything}, {"models": [anything]}):
        try:
            specs.parse_node("n", {}, status)
        except errors.InputError as exc:
            assert "EdgeNode n: status" in str(exc)


def test_every_answer_of_a_forecaster_is_kept_unless_it_is_said_otherwise() -> None:
    forecast = {"target": "load", "unit": "kWh", "stepSeconds": 900}
    model = _without(MODEL, "classNames") | {"task": "Forecast", "forecast": forecast}
    kept = [
        (specs.parse_edge_model("m", spec).offload.exploration_permille, specs.offload_for_nodes("m", spec))
        for spec in (model, _with("offload.burst", 1, model), _with("offload.explorationPermille", 50, model), MODEL)
    ]
    assert kept == [
        (1000, {"explorationPermille": 1000}),
        (1000, {"burst": 1, "explorationPermille": 1000}),
        (50, {"explorationPermille": 50}),
        (100, {}),
    ]
    for spec in (model, MODEL):
        assert specs.parse_offload(specs.offload_for_nodes("m", spec)) == specs.parse_edge_model("m", spec).offload
