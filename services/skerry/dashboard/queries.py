"""Reads the objects and the live readings once and makes `views` of them. Objects decide; readings may be missing.

Nothing is written. What one object holds wrongly is told on that object's row and hides no other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skerry.adapters.fleetstate import FleetState
from skerry.adapters.objects import Object, Objects
from skerry.core import conditions, contract, errors, label_backlog, liveness, membership, version_report
from skerry.core.conditions import Condition
from skerry.core.tasks import Task
from skerry.dashboard import edge_models, fields, node_table, nodes, rollouts, timeline, views

NODES_PER_PAGE = 20
_NO_STORAGE = "the dashboard reads objects alone"
KINDS = ("EdgeFleet", "EdgeModel", "EdgeNode", "ModelRollout", "ModelVersion", "TrainingRun")
Serving = Mapping[tuple[str, str], int]  # nodes by model and digest


@dataclass(frozen=True, slots=True)
class Choice:
    """Which nodes the reader asked for: a state or all, and the page (from 1)."""

    state: liveness.State | None = None
    page: int = 1


def fleet(
    objects: Objects,
    fleetstate: FleetState,
    *,
    now_ms: int,
    choice: Choice = Choice(),
    table: node_table.NodeTable | None = None,
) -> views.Fleet:
    """The whole fleet now, of its nodes one page. `table`: kept from one look to the next, so that nodes are read when
    they change. Raises UnavailableError when the objects cannot be read; readings may be unknown."""
    by_kind = {kind: objects.list(kind) for kind in KINDS}
    table = table or node_table.NodeTable()
    known = table.read(by_kind["EdgeNode"], by_kind["EdgeFleet"])
    certificates = nodes.certificates(known)
    counted = [row for row in known if nodes.standing(row, certificates=certificates) is membership.Standing.MEMBER]
    chosen = [row for row in nodes.in_order(known, now_ms) if choice.state in (None, row.state(now_ms))]
    pages = max(1, -(-len(chosen) // NODES_PER_PAGE))
    page = min(choice.page, pages)
    shown = chosen[(page - 1) * NODES_PER_PAGE : page * NODES_PER_PAGE]
    live, trouble = readings(fleetstate, nodes.keys_of(shown))
    tasks = edge_models.tasks(by_kind["EdgeModel"])
    told = [thing for kind in KINDS if kind != "EdgeNode" for thing in by_kind[kind]]
    return views.Fleet(
        now_ms=now_ms,
        resource_version=max((thing.resource_version for kind in KINDS for thing in by_kind[kind]), default=0),
        nodes=nodes.views_of(shown, live, by_kind["EdgeFleet"], now_ms=now_ms, certificates=certificates, tasks=tasks),
        chosen=len(chosen),
        page=page,
        pages=pages,
        all_nodes=len(known),
        counts=liveness.tally(row.state(now_ms) for row in counted),
        models=models(by_kind["EdgeModel"], by_kind["ModelVersion"], table.serving, live),
        rollouts=[rollouts.view(thing, tasks) for thing in newest_first(by_kind["ModelRollout"])],
        runs=runs(by_kind["TrainingRun"]),
        changes=timeline.changes([*told, *timeline.newest(by_kind["EdgeNode"])]),
        trouble=trouble,
    )


def node(
    objects: Objects, fleetstate: FleetState, name: str, *, now_ms: int, table: node_table.NodeTable | None = None
) -> views.Node | None:
    """One node now; None when there is none of that name. Raises UnavailableError as `fleet` does."""
    fleets = objects.list("EdgeFleet")
    known = (table or node_table.NodeTable()).read(objects.list("EdgeNode"), fleets)
    mine = [row for row in known if row.thing.name == name]
    live, _ = readings(fleetstate, nodes.keys_of(mine))
    tasks, certificates = edge_models.tasks(objects.list("EdgeModel")), nodes.certificates(known)
    seen = nodes.views_of(mine, live, fleets, now_ms=now_ms, certificates=certificates, tasks=tasks)
    return seen[0] if seen else None


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


def version_and_rollouts(objects: Objects, name: str) -> Sequence[tuple[str, str]]:
    """(kind, name) of a version and of its newest rollouts."""
    of_it = [one for one in objects.list("ModelRollout") if one.spec.get("version") == name]
    return [("ModelVersion", name), *(("ModelRollout", one.name) for one in newest_first(of_it)[:10])]


def readings(fleetstate: FleetState, keys: Sequence[str]) -> tuple[nodes.Readings, Sequence[str]]:
    """Live readings by key: those named, and what curators tell; and what could not be read."""
    values: dict[str, Mapping[str, Any]] = {}
    try:
        found = {**fleetstate.get(contract.CURATOR_READINGS), **fleetstate.find(keys)}
        for key, text in found.items():
            value = fields.json_of(text)
            if isinstance(value, dict):
                values[key] = value
    except errors.UnavailableError as exc:
        return {}, [f"live readings are not available: {exc}"]
    return values, []


def models(
    found: Sequence[Object], versions: Sequence[Object], serving: Serving, live: nodes.Readings
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
            _version(version, stable, serving, task) for version in versions if version.spec.get("model") == model.name
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


def _version(thing: Object, stable: str, serving: Serving, task: Task | None) -> views.Version:
    digest = str(thing.spec.get("digest", ""))
    model = str(thing.spec.get("model", ""))
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
        nodes=serving.get((model, digest), 0),
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
