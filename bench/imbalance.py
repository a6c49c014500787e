"""Ways with rare classes, one against another: recalls on rows that no run saw, by the trainer's whole cycle.

    python -m bench.imbalance [--case digits|plates|texts] [--ways auto,draws,…] [--seeds 0,1,2] [--epochs N]

`digits`: 7,000 of 10,000 handwritten digits, three classes drawn by the seed cut to 1 in 50; the bar of learning.md is
a macro-recall of .94. `plates`: steel plates, seven classes of 55 to 673. `texts`: queries of ten domains, three cut to
1 in 50. What is asked at the end is the shipped file (int8 where it won), on rows that were neither trained on nor
judged by. SKERRY_DATA names the folder of the data sets (default ../shared/data).
"""

import argparse
import csv
import gzip
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from skerry.adapters import dataset_store
from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.core import balancing, contract, dataset_parts, datasets, digests, gates, manifest, paired, specs
from skerry.trainer import cycle
from skerry.trainer.shipped import Shipped

ONE_IN, RARE, MODEL = 50, 3, "unequal"


@dataclass(frozen=True, slots=True)
class Case:
    """Rows by part, and the EdgeModel for them; `rare` are the classes that were cut."""

    train: tuple[NDArray[Any], NDArray[np.int64]]
    held: tuple[NDArray[Any], NDArray[np.int64]]
    test: tuple[NDArray[Any], NDArray[np.int64]]
    spec: Mapping[str, Any]
    rare: Sequence[int]


@dataclass(frozen=True, slots=True)
class Result:
    way: str
    macro: float
    worst: float
    rare: float
    verdict: gates.Verdict
    cpu_s: float


def plates_network(classes: int = 7, features: int = 27) -> nn.Module:
    return nn.Sequential(
        nn.BatchNorm1d(features), nn.Linear(features, 96), nn.ReLU(), nn.Dropout(0.2), nn.Linear(96, classes)
    )


def digits(seed: int) -> Case:
    found = np.load(_data() / "mnist10k_npm.npz")
    x, y = (found[name] for name in found.files[:2])
    x, y = x.reshape(-1, 28, 28).astype(np.uint8), y.astype(np.int64)
    order = np.random.default_rng(seed).permutation(len(y))
    spec = {
        "network": {"factory": "skerry.nets.cnn:reference", "options": {"classes": 10}},
        "input": {"name": "image", "datatype": "UINT8", "shape": [28, 28]},
        "preprocessing": [{"op": "affine", "factor": 1 / 255, "offset": 0.0}, {"op": "reshape", "shape": [1, 28, 28]}],
    }
    return _cut(x[order], y[order], (7000, 8000), spec, seed)


def plates(seed: int) -> Case:
    with gzip.open(_data() / "steel_plates_faults.csv.gz", "rt") as file:
        table = np.array([[float(value) for value in row] for row in list(csv.reader(file))[1:]])
    x, y = table[:, :27].astype(np.float32), table[:, 27:].argmax(axis=1).astype(np.int64)
    spec = {
        "network": {"factory": "bench.imbalance:plates_network"},
        "input": {"name": "plate", "datatype": "FP32", "shape": [27]},
        "retrain": {"epochs": 60},
        "gates": {"minHoldout": 200},
    }
    rng = np.random.default_rng(seed)
    parts: list[list[int]] = [[], [], []]  # of every class the same share goes to each
    for label in range(7):
        mine = rng.permutation(np.flatnonzero(y == label))
        for part, rows in zip(parts, np.split(mine, [round(0.6 * len(mine)), round(0.75 * len(mine))]), strict=True):
            part += rows.tolist()
    train, held, test = ((x[rows], y[rows]) for rows in parts)
    return Case(train, held, test, spec, (int(np.bincount(y).argmin()),))


def texts(seed: int) -> Case:
    with gzip.open(_data() / "clinc150_domains.json.gz", "rt") as file:
        domains = json.load(file)
    with gzip.open(_data() / "clinc150_full.json.gz", "rt") as file:
        found = json.load(file)
    names, domain = sorted(domains), {intent: name for name, intents in domains.items() for intent in intents}
    rows = [(text, domain[intent]) for part in ("train", "val", "test") for text, intent in found[part]]
    order = np.random.default_rng(seed).permutation(len(rows))[:10_000]
    y = np.array([names.index(rows[index][1]) for index in order], dtype=np.int64)
    words = Counter(word for index in order[:7000] for word in rows[index][0].lower().split())
    vocabulary = {word: at + 2 for at, (word, _) in enumerate(words.most_common(4000))}
    x = np.zeros((len(order), 20), dtype=np.int64)
    for at, index in enumerate(order):
        ids = [vocabulary.get(word, 1) for word in rows[index][0].lower().split()][-20:]
        x[at, -len(ids) :] = ids
    spec = {
        "network": {"factory": "skerry.nets.rnn:tokens", "options": {"classes": 10, "vocabulary": 4002, "cell": "gru"}},
        "input": {"name": "ids", "datatype": "INT64", "shape": [20]},
    }
    return _cut(x, y, (7000, 8000), spec, seed)


def every_row(case: Case) -> NDArray[Any]:
    return np.concatenate([case.train[0], case.held[0], case.test[0]])


CASES: dict[str, Callable[[int], Case]] = {"digits": digits, "plates": plates, "texts": texts}


def play(case: Case, way: str, seed: int, epochs: int = 0) -> Result:
    """One whole run, and its shipped file on the test rows."""
    retrain = {"balance": way, "seed": seed, **case.spec.get("retrain", {})} | ({"epochs": epochs} if epochs else {})
    classes = int(case.train[1].max()) + 1
    named = {"task": "Classification", "classNames": [str(label) for label in range(classes)]}
    model = specs.parse_edge_model(MODEL, named | dict(case.spec) | {"retrain": retrain})
    blobs, row = MemoryBlobs(), datasets.Input(model.input.name, model.input.datatype, model.input.shape)
    both: tuple[tuple[datasets.Role, Any], ...] = (("train", case.train), ("holdout", case.held))
    parts = [
        dataset_store.write_part(blobs, role, "imported", dataset_parts.imported(rows[0], rows[1], model.task))
        for role, rows in both
    ]
    digest = dataset_store.write_manifest(blobs, datasets.DatasetManifest(MODEL, model.task, row, tuple(parts)))
    began_s = time.process_time()
    verdict = cycle.run(cycle.ResolvedRun("run", model, model.retrain, digest, None), blobs, None)
    spent_s = time.process_time() - began_s
    assert verdict is not None
    proposed = json.loads(blobs.read(contract.proposal_path("run"), max_bytes=1 << 24))
    made = manifest.from_json(blobs.read(digests.blob_path(proposed["digest"]), max_bytes=1 << 24))
    file = blobs.read(digests.blob_path(made.files["model"].digest), max_bytes=1 << 26)
    answers = Shipped(made, file).logits(case.test[0]).argmax(axis=1)
    recalls = paired.recalls(case.test[1], answers, classes)
    rare = float(np.mean([recalls[label] for label in case.rare]))
    return Result(way, float(recalls.mean()), float(recalls.min()), rare, verdict, spent_s)


def main() -> None:
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(prog="bench.imbalance", description=__doc__)
    parser.add_argument("--case", default="digits", choices=CASES)
    parser.add_argument("--ways", default=",".join((balancing.AUTO, *balancing.WAYS)))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epochs", type=int, default=0, help="0: what the model says, or the default")
    given = parser.parse_args()
    print(f"{'way':10} {'seed':>4} {'macro':>6} {'worst':>6} {'rare':>6} {'CPU s':>6}  what the run says")
    for way in given.ways.split(","):
        for seed in map(int, given.seeds.split(",")):
            found = play(CASES[given.case](seed), way, seed, given.epochs)
            said = next((gate.reason for gate in found.verdict.gates if gate.name == "balance"), "")
            numbers = f"{found.macro:6.4f} {found.worst:6.4f} {found.rare:6.4f} {found.cpu_s:6.1f}"
            print(f"{way:10} {seed:4} {numbers}  {found.verdict.outcome}: {said}", flush=True)


def _cut(x: NDArray[Any], y: NDArray[np.int64], ends: tuple[int, int], spec: Mapping[str, Any], seed: int) -> Case:
    """Of three classes of the training rows, chosen by the seed, one row in 50 is left."""
    rng = np.random.default_rng(seed)
    rare = sorted(rng.choice(int(y.max()) + 1, RARE, replace=False).tolist())
    largest = int(np.bincount(y[: ends[0]]).max())
    kept = [np.flatnonzero(y[: ends[0]] == label) for label in range(int(y.max()) + 1)]
    rows = np.concatenate([of[: largest // ONE_IN] if label in rare else of for label, of in enumerate(kept)])
    train = rng.permutation(rows)
    held, test = slice(*ends), slice(ends[1], None)
    return Case((x[train], y[train]), (x[held], y[held]), (x[test], y[test]), spec, rare)


def _data() -> Path:
    return Path(os.environ.get("SKERRY_DATA", "../shared/data"))


if __name__ == "__main__":
    main()
