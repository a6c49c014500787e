"""The rules of the schemas: what must not change, what could never work, and what a leader of the past may not."""

import json
from collections.abc import Iterator

import custom_resources
import pytest
from apiserver_process import ApiServer, requires_apiserver
from custom_resources import Json
from schemas import made, parsed, tried

from skerry.adapters import kubernetes
from skerry.adapters.kubernetes import Api
from skerry.adapters.objects import resources
from skerry.core import errors

pytestmark = requires_apiserver


@pytest.fixture(scope="module")
def api(server: ApiServer) -> Iterator[Api]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(server.kubeconfig))
        made = kubernetes.connect(f"kubernetes://{server.namespace()}")
    yield made
    made.close()


OTHER = "sha256:" + "2" * 64

PRESS = custom_resources.example("EdgeModel")["spec"]["classNames"]

REFUSED_CHANGES = [
    ("EdgeModel", {"classNames": [PRESS[1], PRESS[0], *PRESS[2:]]}, "classNames may only be appended to"),
    ("EdgeModel", {"classNames": PRESS[:-1]}, "classNames may only be appended to"),
    ("EdgeModel", {"classNames": [*PRESS[:-1], f"{PRESS[-1]}s"]}, "classNames may only be appended to"),
    (
        "EdgeModel",
        {"classNames": [PRESS[1], PRESS[0], *PRESS[2:]], "classMap": [{"from": PRESS[:-1]}]},
        "classNames may only be appended to",
    ),
    ("ModelVersion", {"digest": OTHER}, "the spec of a ModelVersion cannot be changed: make another version"),
    ("ModelVersion", {"sizeBytes": 1}, "the spec of a ModelVersion cannot be changed"),
    ("ModelRollout", {"model": "other"}, "model cannot be changed: make another ModelRollout"),
    ("ModelRollout", {"version": "press-v4"}, "version cannot be changed: make another ModelRollout"),
    ("ModelRollout", {"fleet": "all"}, "fleet cannot be changed: make another ModelRollout"),
    ("ModelRollout", {"fleet": None}, "fleet cannot be changed: make another ModelRollout"),
    ("TrainingRun", {"datasetDigest": OTHER}, "datasetDigest is pinned: make another TrainingRun"),
    ("TrainingRun", {"model": "other"}, "model cannot be changed: make another TrainingRun"),
    ("JoinToken", {"uses": 99}, "a JoinToken cannot be changed: delete it and make another"),
    ("JoinToken", {"expiresUnixMs": 1}, "a JoinToken cannot be changed"),
    ("AuditRecord", {"by": "kim"}, "an AuditRecord cannot be changed"),
    ("AuditRecord", {"after": "{}"}, "an AuditRecord cannot be changed"),
]


@pytest.mark.parametrize(("kind", "patch", "message"), REFUSED_CHANGES, ids=lambda one: json.dumps(one)[:40])
def test_what_must_not_change_is_refused_with_what_to_do(api: Api, kind: str, patch: Json, message: str) -> None:
    path = resources.path(api.namespace, kind)
    api.create(path, made(kind, custom_resources.example(kind)["spec"], "kept"))
    with pytest.raises(errors.InputError, match=message):
        api.patch(f"{path}/kept", {"spec": patch})
    api.delete(f"{path}/kept")


def test_classes_in_another_order_are_taken_with_a_map_that_stays(api: Api) -> None:
    path = resources.path(api.namespace, "EdgeModel")
    unmapped = {key: value for key, value in custom_resources.example("EdgeModel")["spec"].items() if key != "classMap"}
    api.create(path, made("EdgeModel", unmapped, "mapped"))
    swapped = {"classNames": [PRESS[1], PRESS[0], *PRESS[2:]], "classMap": [{"from": PRESS, "to": {}, "removed": []}]}
    api.patch(f"{path}/mapped", {"spec": swapped})
    with pytest.raises(errors.InputError, match="entries of classMap stay"):
        api.patch(f"{path}/mapped", {"spec": {"classMap": None}})
    api.delete(f"{path}/mapped")


LOAD = {"target": "load", "unit": "kWh", "stepSeconds": 900, "horizon": 4, "steps": 2}
CLASSES = {"classNames": ["a", "b"]}
FORECASTER = {
    "task": "Forecast",
    "forecast": LOAD,
    "input": {"name": "window", "datatype": "FP32", "shape": [24, 3]},
}
REFUSED_TASKS = [
    (FORECASTER | CLASSES, "neither has what belongs to the other"),
    ({"task": "Forecast", "input": FORECASTER["input"]}, "a Forecast has forecast"),
    (CLASSES | {"forecast": LOAD, "input": FORECASTER["input"]}, "neither has what belongs to the other"),
    (FORECASTER | {"forecast": LOAD | {"steps": 5}}, "steps must be at most the horizon"),
    (FORECASTER | {"forecast": LOAD | {"quantilesPermille": [100, 900]}}, "quantilesPermille"),
]


@pytest.mark.parametrize(("spec", "message"), REFUSED_TASKS, ids=lambda one: json.dumps(one)[:60])
def test_fields_of_two_tasks_do_not_go_together(api: Api, spec: Json, message: str) -> None:
    with pytest.raises(errors.InputError, match=message):
        api.create(resources.path(api.namespace, "EdgeModel"), made("EdgeModel", spec, "mixed"))


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"forecast": {"unit": "MWh"}}, "target, unit and stepSeconds cannot be changed"),
        ({"forecast": {"horizon": 9}}, "quantilesPermille, horizon and steps cannot be changed"),
        ({"forecast": {"quantilesPermille": [50, 500, 950]}}, "quantilesPermille, horizon and steps cannot be"),
        (CLASSES | {"task": "Classification", "forecast": None}, "task cannot be changed"),
    ],
)
def test_a_forecaster_keeps_what_its_values_mean(api: Api, patch: Json, message: str) -> None:
    path = resources.path(api.namespace, "EdgeModel")
    api.create(path, made("EdgeModel", FORECASTER, "forecaster"))
    with pytest.raises(errors.InputError, match=message):
        api.patch(f"{path}/forecaster", {"spec": patch})
    said = {"naive": [1, 96], "quantilesPermille": LOAD.get("quantilesPermille", [100, 500, 900])}
    api.patch(f"{path}/forecaster", {"spec": {"forecast": said}})
    api.delete(f"{path}/forecaster")


def test_a_class_may_be_appended(api: Api) -> None:
    path = resources.path(api.namespace, "EdgeModel")
    api.create(path, made("EdgeModel", custom_resources.example("EdgeModel")["spec"], "growing"))
    api.patch(f"{path}/growing", {"spec": {"classNames": [*PRESS, "dirt"]}})
    api.delete(f"{path}/growing")


REFUSED_SPECS = [
    ("EdgeFleet", ("maxUnavailable",), 0, 'must be at least 1, like 2 or "10%": with 0 no node could ever swap'),
    ("EdgeFleet", ("maxUnavailable",), "0%", "with 0 no node could ever swap"),
    (
        "EdgeModel",
        ("rollout", "waves", 2, "size"),
        "50%",
        'the last wave must have size "100%", or nodes would be left',
    ),
    ("EdgeModel", ("rollout", "waves", 1, "name"), "canary", "waves must have names that differ"),
    ("ModelRollout", ("waves", 1, "size"), 5, 'the last wave must have size "100%", or nodes would be left out'),
    ("ModelRollout", ("waves", 0, "size"), 0, 'size must be a count like 3 or a percentage like "30%", at least 1'),
    (
        "ModelRollout",
        ("waves", 0, "maxFailures"),
        "some",
        'maxFailures must be a count like 0 or a percentage like "5%"',
    ),
    ("ModelRollout", ("desired",), "Rollback", 'Unsupported value: "Rollback": supported values: "Proceed", "Abort"'),
]


@pytest.mark.parametrize(("kind", "path", "value", "message"), REFUSED_SPECS, ids=lambda one: json.dumps(one)[:40])
def test_what_could_never_work_is_refused_in_words(
    api: Api, kind: str, path: tuple[str | int, ...], value: object, message: str
) -> None:
    spec = custom_resources.put(custom_resources.example(kind)["spec"], path, value)
    assert spec is not None
    assert message in tried(api, kind, spec)
    assert parsed(kind, spec)


def test_pausing_and_aborting_is_no_change_of_what_is_rolled_out(server: ApiServer, namespace: str) -> None:
    text = json.dumps(made("ModelRollout", {"model": "m", "version": "m-v1"}, "r"))
    server.kubectl("apply", "-n", namespace, "-f", "-", stdin=text)
    for patch in ({"paused": True}, {"paused": False}, {"desired": "Abort"}):
        server.kubectl("patch", "-n", namespace, "mr", "r", "--type=merge", "-p", json.dumps({"spec": patch}))


def test_a_leader_of_the_past_is_refused_whatever_it_read(api: Api) -> None:
    """Also a write that names no resource version."""
    path = resources.path(api.namespace, "ModelRollout", "fenced")
    api.create(
        resources.path(api.namespace, "ModelRollout"), made("ModelRollout", {"model": "m", "version": "v"}, "fenced")
    )
    api.patch(f"{path}/status", {"status": {"epoch": 3, "attempt": 1}})
    api.patch(f"{path}/status", {"status": {"epoch": 3, "attempt": 2}})
    for stale in ({"epoch": 2, "attempt": 9}, {"epoch": None}):
        with pytest.raises(errors.InputError, match="from a controller that no longer leads"):
            api.patch(f"{path}/status", {"status": stale})
    api.patch(f"{path}/status", {"status": {"epoch": 4}})
    assert api.get(path)["status"] == {"epoch": 4, "attempt": 2}


def test_what_settling_remembers_is_fenced_too(api: Api) -> None:
    path = resources.path(api.namespace, "EdgeModel")
    api.create(path, made("EdgeModel", custom_resources.example("EdgeModel")["spec"], "fenced"))
    api.patch(f"{path}/fenced/status", {"status": {"catchUp": {"epoch": 3, "permits": []}}})
    with pytest.raises(errors.InputError, match="no longer leads"):
        api.patch(f"{path}/fenced/status", {"status": {"catchUp": {"epoch": 2}}})


def test_a_permit_of_the_past_does_not_reach_a_node(api: Api) -> None:
    path = resources.path(api.namespace, "EdgeNode")
    spec = custom_resources.example("EdgeNode")["spec"]
    api.create(path, made("EdgeNode", spec, "fenced"))
    stale = custom_resources.put(spec, ("assignments", 0, "permit", "epoch"), 1)
    assert stale is not None
    with pytest.raises(errors.InputError, match="this permit is from a controller that no longer leads"):
        api.patch(f"{path}/fenced", {"spec": {"assignments": stale["assignments"]}})


def test_one_assignment_per_model(api: Api) -> None:
    spec = custom_resources.example("EdgeNode")["spec"]
    assert "Duplicate value" in tried(api, "EdgeNode", spec | {"assignments": spec["assignments"] * 2})


def test_the_outcome_of_a_record_is_written_once_whoever_writes(api: Api) -> None:
    path = resources.path(api.namespace, "AuditRecord")
    api.create(path, made("AuditRecord", custom_resources.example("AuditRecord")["spec"], "once"))
    api.patch(f"{path}/once/status", {"status": {"outcome": "Applied", "message": "", "atUnixMs": 1}})
    for change in ({"outcome": "Refused"}, {"message": "no"}, {"outcome": None}, None):
        with pytest.raises(errors.InputError, match="the outcome of an AuditRecord is written once"):
            api.patch(f"{path}/once/status", {"status": change})
