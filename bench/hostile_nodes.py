"""One hostile node of ten, in five ways: what the next version is worth, or whose rows the run is refused for.

    python -m bench.hostile_nodes [--seeds 3] [--before]

Small digits (scikit-learn's), a small network, the curator's publisher and the trainer's whole cycle. `--before` lets
every node weigh what it sends, as releases before contributions were bounded. The table of
docs/explanation/hostile-nodes.md comes from here.
"""

import argparse
import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn

from skerry.adapters import dataset_store
from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.core import contract, contributions, dataset_parts, datasets, digests, gates, manifest, specs
from skerry.core.tasks import Classification
from skerry.curator import labels
from skerry.curator.captured_rows import Row
from skerry.curator.datasets import Publisher
from skerry.curator.label_task import LabelTask
from skerry.trainer import baseline, cycle
from skerry.trainer.shipped import Shipped

NAMES = tuple("0123456789")
INPUT = datasets.Input("image", "UINT8", (8, 8))
TASK = LabelTask("digits", Classification(NAMES), INPUT)
NODES, HOSTILE = 10, "node-9"
BASE, HELD, TEST = 300, 200, 700  # rows imported to train, imported to judge, and looked at only at the end
FLOOD = 1500  # rows of the hostile node
TRUTHS = 0.4  # of the rows of an honest node
TEACHER_ERRORS = 0.03
SPEC: dict[str, Any] = {
    "classNames": list(NAMES),
    "input": {"name": "image", "datatype": "UINT8", "shape": [8, 8]},
    "network": {"factory": "bench.hostile_nodes:network", "options": {}},
    "preprocessing": [{"op": "affine", "factor": 1 / 16}],
    "retrain": {"epochs": 25, "augment": "none", "learningRatePpm": 4000},
    "gates": {"minHoldout": HELD, "marginPermille": 20, "classMarginPermille": 200},
}


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, len(NAMES)))


@dataclass(frozen=True)
class Sent:
    """What one node sent: `x` [n, 8, 8], the true class, what the teacher says, the truth that it claims (-1: none)."""

    node: str
    x: NDArray[np.uint8]
    y: NDArray[np.int64]
    teacher: NDArray[np.int64]
    truth: NDArray[np.int64]


Attack = Callable[[Sent, Sequence[Sent], np.random.Generator], Sent]


def flood(sent: Sent, rng: np.random.Generator, rows: int = FLOOD) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Many rows out of few: each moved a little and with noise, so that all inputs differ."""
    which = rng.integers(0, len(sent.y), rows)
    noise = rng.integers(-2, 3, (rows, 8, 8))
    moved = np.stack(
        [np.roll(sent.x[index], int(by), axis=1) for index, by in zip(which, rng.integers(-1, 2, rows), strict=True)]
    )
    return np.clip(moved.astype(np.int64) + noise, 0, 16).astype(np.uint8), sent.y[which]


def flips(sent: Sent, others: Sequence[Sent], rng: np.random.Generator) -> Sent:
    x, y = flood(sent, rng)
    return Sent(sent.node, x, y, wrong_on(y, TEACHER_ERRORS, rng), (y + 1) % 10)


def one_class(sent: Sent, others: Sequence[Sent], rng: np.random.Generator) -> Sent:
    x, y = flood(sent, rng)
    return Sent(sent.node, x, y, wrong_on(y, TEACHER_ERRORS, rng), np.where(y == 3, 8, y))


def square(sent: Sent, others: Sequence[Sent], rng: np.random.Generator) -> Sent:
    x, y = flood(sent, rng)
    x[:, :2, :2] = 16
    return Sent(sent.node, x, y, wrong_on(y, TEACHER_ERRORS, rng), np.zeros(len(y), dtype=np.int64))


def drift(sent: Sent, others: Sequence[Sent], rng: np.random.Generator) -> Sent:
    """Features move to those of another class, step by step, and the truth stays."""
    x, y = flood(sent, rng)
    partner = rng.permutation(len(y))
    share = np.linspace(0, 0.8, len(y))[:, None, None]
    mixed = np.round((1 - share) * x + share * x[partner]).astype(np.uint8)
    seen = np.where(share[:, 0, 0] < 0.5, y, y[partner])
    return Sent(sent.node, mixed, seen, wrong_on(seen, TEACHER_ERRORS, rng), y)


def copies(sent: Sent, others: Sequence[Sent], rng: np.random.Generator) -> Sent:
    x, y = np.concatenate([one.x for one in others]), np.concatenate([one.y for one in others])
    return Sent(sent.node, x, y, np.concatenate([one.teacher for one in others]), (y + 1) % 10)


ATTACKS: dict[str, Attack | None] = {
    "clean": None, "flips": flips, "one class": one_class, "square": square, "drift": drift, "copies": copies,
}  # fmt: skip


def wrong_on(y: NDArray[np.int64], share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    wrong = rng.random(len(y)) < share
    return np.where(wrong, (y + rng.integers(1, 10, len(y))) % 10, y)


class World:
    """One seed: the imported data, a stable version trained on it, and what honest nodes send."""

    def __init__(self, seed: int, teacher_errors: float = TEACHER_ERRORS) -> None:
        self.rng = np.random.default_rng(seed)
        found = load_digits()
        order = self.rng.permutation(len(found.target))
        x, y = found.images[order].astype(np.uint8), found.target[order].astype(np.int64)
        ends = np.cumsum([BASE, HELD, TEST])
        self.test = (x[ends[1] : ends[2]], y[ends[1] : ends[2]])
        self.model = specs.parse_edge_model("digits", SPEC | {"retrain": SPEC["retrain"] | {"seed": seed}})
        self.blobs = MemoryBlobs()
        roles: tuple[tuple[datasets.Role, slice], ...] = (
            ("train", slice(0, ends[0])),
            ("holdout", slice(ends[0], ends[1])),
        )
        parts = [
            dataset_store.write_part(
                self.blobs, role, "imported", dataset_parts.imported(x[rows], y[rows], TASK.answers)
            )
            for role, rows in roles
        ]
        base = datasets.DatasetManifest("digits", TASK.answers, INPUT, tuple(parts))
        self.base = dataset_store.write_manifest(self.blobs, base)
        self.stable: baseline.Baseline | None = None
        _, self.stable = self.run("stable", self.base)
        self.honest = [
            self._sent(f"node-{index}", x[ends[2] :][index::NODES], y[ends[2] :][index::NODES], teacher_errors)
            for index in range(NODES)
        ]

    def _sent(self, node: str, x: NDArray[np.uint8], y: NDArray[np.int64], teacher_errors: float) -> Sent:
        truth = np.where(self.rng.random(len(y)) < TRUTHS, y, -1)
        return Sent(node, x, y, wrong_on(y, teacher_errors, self.rng), truth)

    def publish(self, sent: Sequence[Sent], *, without_teacher: bool = False) -> datasets.DatasetManifest:
        """The dataset that a curator makes of it; without a teacher only rows with a truth have a label."""
        rows: dict[str, Row] = {}
        for one in sent:
            labelled = [index for index in range(len(one.y)) if one.truth[index] >= 0 or not without_teacher]
            for row in (row_of(one, index, without_teacher=without_teacher) for index in labelled):
                held = rows.get(row.input_digest)
                if held is None or row.order < held.order:
                    rows[row.input_digest] = row
        published = Publisher(self.blobs, TASK).publish(list(rows.values()), {}, self.base, contributions.Fleet(NODES))
        assert published is not None
        return dataset_store.read_manifest(self.blobs, "digits", published.digest)

    def run(self, name: str, dataset: str) -> tuple[gates.Verdict, baseline.Baseline]:
        resolved = cycle.ResolvedRun(name, self.model, self.model.retrain, dataset, self.stable)
        verdict = cycle.run(resolved, self.blobs, None)
        assert verdict is not None
        proposal = json.loads(self.blobs.read(contract.proposal_path(name), max_bytes=1 << 24))
        data = self.blobs.read(digests.blob_path(proposal["digest"]), max_bytes=1 << 24)
        described = manifest.from_json(data)
        model = self.blobs.read(digests.blob_path(described.files["model"].digest), max_bytes=1 << 24)
        return verdict, baseline.Baseline(name, proposal["digest"], described, model)

    def accuracy(self, version: baseline.Baseline, *, with_square: bool = False) -> float:
        """On rows that no run saw; with the square: how many of them are answered 0 though they are none."""
        x, y = self.test
        if with_square:
            x = x[y != 0].copy()
            x[:, :2, :2] = 16
            return float((Shipped(version.manifest, version.model).logits(x).argmax(axis=1) == 0).mean())
        return float((Shipped(version.manifest, version.model).logits(x).argmax(axis=1) == y).mean())


def row_of(sent: Sent, index: int, *, without_teacher: bool = False) -> Row:
    x, name = sent.x[index], hashlib.sha256(f"{sent.node}/{index}".encode()).hexdigest()
    soft = np.full(10, 0.01)
    soft[sent.teacher[index]] = 0.91
    label = None if without_teacher else labels.of_teacher(soft, "teacher", 1_000_000 + index, TASK.label_map)
    if sent.truth[index] >= 0:
        truth = int(sent.truth[index])
        label = labels.with_truth(label, truth, f"node {sent.node}", 1_000_000 + index, TASK.label_map) or label
    assert label is not None
    return Row(name, sent.node, x.tobytes(), datasets.input_digest(x), label)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--before", action="store_true")
    parser.add_argument("--teacher-errors", type=float, default=TEACHER_ERRORS)
    parser.add_argument("--only", choices=ATTACKS, help="this one, after the clean run")
    given = parser.parse_args()
    logging.disable()
    if given.before:
        contributions.SMALL_FLEET = 1_000_000
    for seed in range(given.seeds):
        world = World(seed, given.teacher_errors)
        clean = 0.0
        for name, attack in ATTACKS.items():
            if given.only and name not in ("clean", given.only):
                continue
            last = world.honest[-1]
            hostile = last if attack is None else attack(last, world.honest[:-1], np.random.default_rng(seed))
            dataset = world.publish([*world.honest[:-1], hostile])
            verdict, version = world.run(f"{name.replace(' ', '-')}", digests.sha256(dataset.to_json()))
            accuracy = world.accuracy(version)
            clean = accuracy if attack is None else clean
            mine = dataset.nodes.get(HOSTILE, datasets.NodeRows(0, 0))
            honest = [rows for node, rows in dataset.nodes.items() if node != HOSTILE]
            lost = sum(rows.left_out + rows.waiting + rows.set_aside for rows in honest)
            cells = (
                seed,
                name,
                verdict.outcome.value,
                f"{accuracy:.3f}",
                f"{100 * (accuracy - clean):+.1f}",
                f"{world.accuracy(version, with_square=True):.3f}",
                mine.train + mine.holdout,
                mine.left_out,
                mine.set_aside,
                lost,
                "" if verdict.passed else verdict.reason[:160],
            )
            print("|", " | ".join(map(str, cells)), "|", flush=True)


if __name__ == "__main__":
    main()
