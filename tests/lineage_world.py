"""A system at rest in which everything that a lineage joins is there once: an import, what nodes captured, a run on
both, its version, and nodes that run it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import curating
import manifests
import numpy as np
from cli_system import StillSystem

from skerry.adapters import blobs, dataset_store
from skerry.adapters.trust import ceremony
from skerry.core import contract, dataset_parts, datasets, digests, writers
from skerry.core.tasks import Classification
from skerry.curator import labels

TASK = Classification(("zero", "one", "two"))
PRESS = "sha256:" + "cd" * 32
NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
GONE = "older than the newest 3 versions and in use nowhere; its files are gone"


@dataclass
class Played:
    """Names of what was made: `examples` three captured ones (south's has a corrected truth), `base` the imported
    dataset, `grown` the one that captured rows joined."""

    system: StillSystem
    examples: list[str]
    base: str
    grown: str
    version: str


def played(folder: Path, rows_of_import: int = 4) -> Played:
    """Everything once."""
    folder.mkdir()
    system = StillSystem(folder)
    system.edge_model("digits", **curating.SPEC)
    examples = [_example(system, 1, "north"), _example(system, 2, "south"), _example(system, 4, "north")]
    base, grown = _datasets(system, examples, rows_of_import)
    version = _version(system, grown)
    for node in ("north", "west"):
        system.objects.create("EdgeNode", node, {}, manager=writers.GATEWAY)
        runs = [{"model": "digits", "digest": version, "version": 2}, {"model": "press", "digest": PRESS, "version": 1}]
        report = {"models": runs, "lastSeenUnixMs": 1000}
        system.objects.patch("EdgeNode", node, manager=writers.GATEWAY, status=report)
    return Played(system, examples, base, grown, version)


def _example(system: StillSystem, seed: int, node: str) -> str:
    data = curating.example(seed, node=node)
    name = digests.sha256(data)
    system.blobs.write(contract.example_path("digits", digests.hex_of(name)), data)
    said = labels.of_teacher(np.eye(3)[seed % 3], "teacher digits 1", 2000 + seed, TASK.digest)
    if node == "south":
        wrong = labels.with_truth(said, 0, "node south", 3000, TASK.digest)
        corrected = labels.with_truth(wrong, 1, "node south", 4000, TASK.digest)
        assert corrected is not None
        said = corrected
    system.blobs.write(contract.label_path("digits", digests.hex_of(name)), said.to_json())
    return name


def rows(ids: list[str], nodes: list[str]) -> dataset_parts.Rows:
    n = len(ids)
    x = np.arange(n * 4, dtype=np.uint32).astype(np.uint8).reshape(n, 2, 2)
    y = np.arange(n, dtype=np.int64) % 3
    return dataset_parts.Rows(
        x,
        y,
        np.full((n, 3), np.nan, dtype=np.float32),
        np.ones(n, dtype=np.float32),
        np.array(ids, dtype=dataset_parts.ID_DTYPE),
        np.array(nodes, dtype=dataset_parts.NODE_DTYPE),
        np.full(n, TASK.digest, dtype=dataset_parts.ID_DTYPE),
    )


def _datasets(system: StillSystem, examples: list[str], rows_of_import: int) -> tuple[str, str]:
    brought = rows([f"imported:{index}" for index in range(rows_of_import)], [""] * rows_of_import)
    first = dataset_store.write_part(system.blobs, "train", "imported", brought)
    base = dataset_store.write_manifest(
        system.blobs, datasets.DatasetManifest("digits", TASK, curating.INPUT, (first,), created_unix_ms=1000)
    )
    system.objects.patch("EdgeModel", "digits", manager=writers.OPERATOR, spec={"datasetDigest": base})
    captured = dataset_store.write_part(system.blobs, "train", "captured", rows(examples, ["north", "south", "north"]))
    nodes = {"north": datasets.NodeRows(2, 0), "south": datasets.NodeRows(1, 0)}
    grown = datasets.DatasetManifest(
        "digits", TASK, curating.INPUT, (first, captured), (base,), created_unix_ms=5000, nodes=nodes, fleet=2
    )
    return base, dataset_store.write_manifest(system.blobs, grown)


def _version(system: StillSystem, dataset: str) -> str:
    """digits-v1 is imported, digits-v2 trained on the dataset by run `digits-a`, signed; digits-v0's files are gone."""
    repository = ceremony.ensure(
        blobs.open_shared(system.description.repository), Path(system.description.keys), now=NOW
    )
    made = manifests.digits(dataset=dataset)
    contents = {"manifest.json": made.to_json(), "model.onnx": b"network", "golden.npz": b"golden"}
    path = repository.add_version("retrained", "digits", 2, made.digest, contents, now=NOW)
    repository.publish(now=NOW)
    blobs.put(system.blobs, made.to_json())
    run: dict[str, Any] = {"model": "digits", "datasetDigest": dataset, "reason": "drift"}
    system.objects.create("TrainingRun", "digits-a", run, manager=writers.OPERATOR)
    ended = {"type": "Succeeded", "status": "True", "reason": "Published", "message": "digits-v2 is published"}
    system.objects.patch("TrainingRun", "digits-a", manager=writers.CONTROLLER, status={"conditions": [ended]})
    spec = {"model": "digits", "version": 2, "digest": made.digest, "targetPath": path, "source": "Trained"}
    system.objects.create("ModelVersion", "digits-v2", spec | {"run": "digits-a"}, manager=writers.CONTROLLER)
    brought = spec | {"version": 1, "digest": curating.VERSION, "targetPath": "imported/digits/1", "source": "Imported"}
    system.objects.create("ModelVersion", "digits-v1", brought, manager=writers.OPERATOR)
    press = brought | {"model": "press", "digest": PRESS, "targetPath": "imported/press/1"}
    system.objects.create("ModelVersion", "press-v1", press, manager=writers.OPERATOR)
    old = manifests.digits(dataset=dataset, metrics={"of": "an earlier run"})
    blobs.put(system.blobs, old.to_json())
    lost = spec | {"version": 3, "digest": old.digest, "targetPath": "retrained/digits/3", "run": "digits-lost"}
    system.objects.create("ModelVersion", "digits-v3", lost, manager=writers.CONTROLLER)
    retired = {"type": "Available", "status": "False", "reason": "Retired", "message": GONE}
    system.objects.patch("ModelVersion", "digits-v3", manager=writers.CONTROLLER, status={"conditions": [retired]})
    return made.digest
