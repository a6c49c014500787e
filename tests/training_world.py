"""A small world to train in: memory stores with one EdgeModel and a dataset of windows that no demo uses."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skerry.adapters import dataset_store
from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.adapters.objects.memory import MemoryObjects
from skerry.core import contract, dataset_parts, datasets, digests, snapshots, writers
from skerry.core.tasks import Classification

MODEL = "press"
NAMES = ("ok", "worn", "broken")
TASK = Classification(NAMES)
INPUT = datasets.Input("window", "FP32", (20, 4))


def windows(per_class: list[int], seed: int = 0, noise: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Windows [n, 20, 4]: class k swings k + 1 times over the window."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(per_class)), per_class))
    t = np.linspace(0, 2 * np.pi, 20)
    phase = rng.uniform(0, 2 * np.pi, size=(len(y), 1, 4))
    x = np.sin((y[:, None, None] * 2 + 1) * t[None, :, None] + phase) + rng.normal(size=(len(y), 20, 4)) * noise
    return x.astype(np.float32), y.astype(np.int64)


def spec(**changes: Any) -> dict[str, Any]:
    """EdgeModel.spec of the press."""
    made = {
        "classNames": list(NAMES),
        "network": {"factory": "own_networks:press", "options": {"width": 48}},
        "input": {"name": INPUT.name, "datatype": INPUT.datatype, "shape": list(INPUT.shape)},
        "retrain": {"epochs": 12, "augment": "none", "learningRatePpm": 10_000},
        "gates": {"minHoldout": 60},
    }
    return made | changes


class World:
    """Stores with an EdgeModel; datasets are put in as rows by (role, origin)."""

    def __init__(self, **changes: Any) -> None:
        self.blobs, self.objects = MemoryBlobs(), MemoryObjects()
        self.objects.create("EdgeModel", MODEL, spec(**changes), manager=writers.OPERATOR)

    def dataset(self, rows: Mapping[tuple[datasets.Role, datasets.Origin], dataset_parts.Rows], **changes: Any) -> str:
        """Store a dataset; returns its digest."""
        return self.datasets(list(rows.items()), **changes)

    def datasets(self, rows: Sequence[tuple[tuple[Any, Any], dataset_parts.Rows]], **changes: Any) -> str:
        """Store a dataset of any parts, each with its (role, origin)."""
        made = []
        for (role, origin), one in rows:
            made.append(dataset_store.write_part(self.blobs, role, origin, one))
        whole = {"model": MODEL, "task": TASK, "input": INPUT, "parts": tuple(made)} | changes
        manifest = datasets.DatasetManifest(**whole).to_json()
        digest = digests.sha256(manifest)
        self.blobs.write(contract.dataset_path(MODEL, digest), manifest)
        return digest

    def standard(self, **changes: Any) -> str:
        return self.dataset(
            {("train", "imported"): rows([60, 60, 60]), ("holdout", "imported"): rows([40] * 3, seed=1)}, **changes
        )

    def ask(self, run: str, dataset: str, **more: Any) -> None:
        """Write the snapshot that a job of the run reads."""
        body = {"model": MODEL, "datasetDigest": dataset, "reason": "a test"} | more
        model = self.objects.get("EdgeModel", MODEL)
        stable = snapshots.stable_of(body, model.status)
        found = next((one.spec for one in self.objects.list("ModelVersion") if one.name == stable), None)
        self.blobs.write(contract.snapshot_path(run), snapshots.to_json(run, body, model.spec, stable, found))


def rows(per_class: list[int], seed: int = 0) -> dataset_parts.Rows:
    x, y = windows(per_class, seed)
    return dataset_parts.imported(x, y, TASK, first=seed * 10_000)
