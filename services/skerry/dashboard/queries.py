"""Reads the objects and the live readings once and makes `views` of them. Objects decide; readings may be missing.

Nothing is written. What one object holds wrongly is told on that object's row and hides no other.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from skerry.adapters.fleetstate import FleetState
from skerry.adapters.objects import Object, Objects
from skerry.core import conditions, contract, errors, label_backlog, liveness, version_report
from skerry.core.conditions import Condition
from skerry.core.tasks import Task
from skerry.dashboard import edge_models, fields, nodes, rollouts, timeline, views

_NO_STORAGE = "the dashboard reads objects alone"
KINDS = ("EdgeFleet", "EdgeModel", "EdgeNode", "ModelRollout", "ModelVersion", "TrainingRun")


def fleet(objects: Objects, fleetstate: FleetState, *, now_ms: int) -> views.Fleet:
    """The whole fleet now. Raises UnavailableError when the objects cannot be read; readings may be unknown."""
    by_kind = {kind: objects.list(kind) for kind in KINDS}
    live, trouble = readings(fleetstate)
    tasks = edge_models.tasks(by_kind["EdgeModel"])
    node_views = nodes.view(
        by_kind["EdgeNode"],
        by_kind["EdgeFleet"],
        live,
        now_ms=now_ms,
        tasks=tasks,
    )
    things = [thing for kind in KINDS for thing in by_kind[kind]]
    return views.Fleet(
        now_ms=now_ms,
        resource_version=max((thing.resource_version for thing in things), default=0),
        nodes=node_views,
        counts=liveness.tally(node.liveness.state for node in node_views if node.counts),
        models=models(by_kind["EdgeModel"], by_kind["ModelVersion"], node_views, live),
        rollouts=[rollouts.view(thing, tasks) for thing in newest_first(by_kind["ModelRollout"])],
        runs=runs(by_kind["TrainingRun"]),
        changes=timeline.changes(things),
        trouble=trouble,
    )


def node(objects: Objects, fleetstate: FleetState, name: str, *, now_ms: int) -> views.Node | None:
    """One node now; None when there is none of that name. Raises UnavailableError as `fleet` does."""
    live, _ = readings(fleetstate)
    tasks = edge_models.tasks(objects.list("EdgeModel"))
    seen = nodes.view(objects.list("EdgeNode"), objects.list("EdgeFleet"), live, now_ms=now_ms, tasks=tasks)
    return next((one for one in seen if one.name == name), None)


def version_report_of(objects: Objects, name: str) -> Mapping[str, Any] | None:
    """One version as `core.version_report` tells it, from the objects alone; None when there is none of that name.
    Raises UnavailableError when they cannot be read."""
    found = next((one for one in objects.list("ModelVersion") if one.name == name), None)
    if found is None:
        return None
    run = next((one.spec for one in objects.list("TrainingRun") if one.name == found.spec.get("run")), None)
    told = version_report.report(name, found.spec, found.status, run, _NO_STORAGE)
    path = str(found.spec.get("targetPath", ""))
    note = f"not checked here, without storage: skerry versions show {name}"
    verdict = _gates(found.spec.get("verdict"))
    return {**told, "verdict": verdict, "signatures": [version_report.signature(path, None, note)]}


def readings(fleetstate: FleetState) -> tuple[nodes.Readings, Sequence[str]]:
    """Live readings by key, and what could not be read."""
    values: dict[str, Mapping[str, Any]] = {}
    try:
        found = fleetstate.get(contract.NODE_READINGS, contract.SPOOL_READINGS, contract.CURATOR_READINGS)
        for key, text in found.items():
            value = fields.json_of(text)
            if isinstance(value, dict):
                values[key] = value
    except errors.UnavailableError as exc:
        return {}, [f"live readings are not available: {exc}"]
    return values, []


def models(
    found: Sequence[Object], versions: Sequence[Object], nodes_found: Sequence[views.Node], live: nodes.Readings
) -> Sequence[views.Model]:
    """Every EdgeModel by name, with its versions."""
    listed = []
    for model in found:
        stable = str(model.status.get("stableVersion", ""))
        parsed = edge_models.parsed(model)
        fault, retrains, task = "", False, None
        if isinstance(parsed, str):
            fault = parsed
        else:
            retrains, task = parsed.network is not None and parsed.retrain.enabled, parsed.task
        of_model = [
            _version(version, stable, nodes_found, task)
            for version in versions
            if version.spec.get("model") == model.name
        ]
        listed.append(
            views.Model(
                name=model.name,
                stable=stable,
                dataset=str(model.spec.get("datasetDigest", "")),
                retrains=retrains,
                versions=sorted(of_model, key=lambda version: -version.version),
                labels=live.get(contract.curator_reading(model.name)),
                labels_note=_labels_note(condition(model, label_backlog.CONDITION)),
                fault=fault,
                answers="" if task is None else str(task),
            )
        )
    return listed


def _labels_note(labels: Condition | None) -> str:
    if labels is None or (labels.true and labels.reason not in label_backlog.TOLD):
        return ""
    return labels.message


def _version(thing: Object, stable: str, nodes_found: Sequence[views.Node], task: Task | None) -> views.Version:
    digest = str(thing.spec.get("digest", ""))
    model = str(thing.spec.get("model", ""))
    on = sum(one.model == model and one.digest == digest for node in nodes_found for one in node.serving)
    return views.Version(
        name=thing.name,
        model=model,
        version=fields.whole(thing.spec.get("version")),
        digest=digest,
        source=str(thing.spec.get("source", "Trained")),
        run=str(thing.spec.get("run", "")),
        size_bytes=fields.whole(thing.spec.get("sizeBytes")),
        created_ms=thing.created_unix_ms,
        available=condition(thing, "Available"),
        stable=thing.name == stable,
        nodes=on,
        gates=_gates(thing.spec.get("verdict")),
        quality="" if task is None else task.quality(gate_numbers(thing.spec.get("verdict"))),
    )


def gate_numbers(verdict: object) -> Mapping[str, Mapping[str, float]]:
    """The numbers of a verdict's gates by name; what is none is passed over."""
    listed = fields.mapping(verdict).get("gates")
    gates = [fields.mapping(gate) for gate in listed] if isinstance(listed, list) else []
    found: dict[str, Mapping[str, float]] = {}
    for gate in gates:
        numbers = fields.mapping(gate.get("numbers")).items()
        real = {str(key): fields.real(value) for key, value in numbers}
        found[str(gate.get("name", ""))] = {key: value for key, value in real.items() if value is not None}
    return found


def runs(found: Sequence[Object]) -> Sequence[views.Run]:
    """Every TrainingRun, the newest first."""
    return [_run(one) for one in newest_first(found)]


def _run(thing: Object) -> views.Run:
    done, running = condition(thing, "Succeeded"), condition(thing, "Running")
    if done is not None and done.status != conditions.UNKNOWN:
        state, message = ("Succeeded" if done.true else "Failed"), done.message or done.reason
    elif running is not None and running.true:
        state, message = "Running", running.message
    else:
        state, message = "Waiting", running.message if running is not None else ""
    return views.Run(
        name=thing.name,
        model=str(thing.spec.get("model", "")),
        reason=str(thing.spec.get("reason", "")),
        dataset=str(thing.spec.get("datasetDigest", "")),
        state=state,
        message=message,
        created_ms=thing.created_unix_ms,
        started_ms=fields.whole(thing.status.get("startedUnixMs")),
        finished_ms=fields.whole(thing.status.get("finishedUnixMs")),
        version=str(thing.status.get("version") or ""),
        gates=_gates(fields.mapping(thing.status.get("result")).get("verdict")),
    )


def condition(thing: Object, kind: str) -> Condition | None:
    """The condition of that type; None when there is none that can be read."""
    try:
        return conditions.find(conditions.from_json(thing.status.get("conditions")), kind)
    except errors.InputError:
        return None


def newest_first(found: Sequence[Object]) -> Sequence[Object]:
    return sorted(found, key=lambda one: (-one.created_unix_ms, one.name))


def _gates(value: object) -> views.Gates | None:
    """A verdict of `core.gates` as it was written; None without one."""
    verdict = fields.mapping(value)
    if not verdict.get("outcome"):
        return None
    listed = verdict.get("gates")
    each = [fields.mapping(gate) for gate in listed] if isinstance(listed, list) else []
    gates_seen = [views.Gate(*(str(gate.get(name, "")) for name in ("name", "outcome", "reason"))) for gate in each]
    return views.Gates(str(verdict["outcome"]), gates_seen)
