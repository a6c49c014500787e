"""The snapshot of a training run: the objects it needs as they were when its job began, as one small JSON document.

A job reads this instead of the object store, so it needs no access to it. The controller writes it before each start
and removes it when the run has ended.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skerry.core import errors, specs

SCHEMA = 1
MAX_BYTES = 4 << 20

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run, resolved. `stable` names the version that the result must not be worse than (empty: there is none);
    `version` is that object, None when it could not be had."""

    run: specs.TrainingRun
    model: specs.EdgeModel
    retrain: specs.RetrainSpec
    stable: str
    version: specs.ModelVersion | None


def stable_of(run: Json, model_status: Json) -> str:
    """The version that the result of a run is compared with: the one it names, else the model's stable one."""
    return str(run.get("baseVersion") or model_status.get("stableVersion") or "")


def to_json(name: str, run: Json, model: Json, stable: str, version: Json | None) -> bytes:
    """The document: specs of the TrainingRun `name`, of its EdgeModel, and of the ModelVersion `stable` if there is
    one."""
    document = {
        "schema": SCHEMA,
        "run": {"name": name, "spec": run},
        "model": {"name": run["model"], "spec": model, "status": {"stableVersion": stable}},
        "version": None if version is None else {"name": stable, "spec": version},
    }
    return json.dumps(document, sort_keys=True).encode()


def from_json(name: str, data: bytes) -> Snapshot:
    """Read and check. Raises TooLargeError, IntegrityError (no snapshot of run `name`), InputError (a wrong field)."""
    if len(data) > MAX_BYTES:
        raise errors.TooLargeError(f"the snapshot of run {name} has {len(data)} bytes, at most {MAX_BYTES} are read")
    try:
        document = json.loads(data)
        run, model, version = document["run"], document["model"], document["version"]
        if document["schema"] != SCHEMA or run["name"] != name:
            raise ValueError(f"schema {document['schema']!r}, run {run['name']!r}")
        stable = model["status"]["stableVersion"]
        policy = model["spec"].get("retrain") or {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise errors.IntegrityError(f"this is no snapshot of run {name}: {exc!r}") from exc
    parsed = specs.parse_training_run(name, run["spec"])
    return Snapshot(
        run=parsed,
        model=specs.parse_edge_model(parsed.model, model["spec"]),
        retrain=parsed.retrain(policy),
        stable=str(stable),
        version=None if version is None else specs.parse_model_version(str(stable), version["spec"]),
    )
