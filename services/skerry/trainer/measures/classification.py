"""Classes: a loss over logits, a hash of the row as holdout, accuracy as evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from skerry.core import class_gates, confidence, datasets, paired
from skerry.core.compression import Loss
from skerry.core.confidence import Calibration, Outputs
from skerry.core.dataset_parts import Rows
from skerry.core.datasets import Input
from skerry.core.tasks import Classification, Task
from skerry.nets import export
from skerry.nets.class_objective import ClassObjective
from skerry.nets.training import Objective
from skerry.nets.worker_group import WorkerGroup
from skerry.trainer import evaluate
from skerry.trainer.measures.protocol import VALIDATION_ONE_IN, HoldoutOutputs, Measured


@dataclass(frozen=True, slots=True)
class OfClasses:
    task: Classification
    output: str = export.OUTPUT
    keeps_head: bool = False

    @property
    def objective(self) -> Objective:
        return ClassObjective(self.task.width)

    def kind_of(self, outputs: NDArray[np.float32]) -> Outputs:
        return evaluate.kind_of(outputs)

    def fault_of(self, network: nn.Module) -> str:
        return ""

    def fault_in_training(self, outputs: NDArray[np.float32]) -> str:
        if not confidence.are_probabilities(outputs):
            return ""
        return (
            "the network answers with probabilities while it is trained, and the loss takes logits: "
            "leave its last softmax out, or apply it in evaluation mode only"
        )

    def soft_of(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        return confidence.softmax(confidence.in_terms_of(outputs, Outputs.LOGITS)).astype(np.float32)

    def learnable(self, targets: NDArray[Any], workers: WorkerGroup) -> tuple[int, str]:
        counts = workers.total(np.bincount(targets, minlength=self.task.width).astype(np.float64))
        present = np.flatnonzero(counts)
        only = f"has samples of one class only, {self.task.class_names[present[0]]!r}" if len(present) == 1 else ""
        return int(counts.sum()), only

    def is_holdout(self, rows: Rows, digests: Sequence[str], row: Input) -> NDArray[np.bool_]:
        return np.array([datasets.is_holdout(digest) for digest in digests], dtype=np.bool_)

    def reaches_into(self, rows: Rows, held: Rows, row: Input) -> NDArray[np.bool_]:
        return np.zeros(len(rows), dtype=np.bool_)

    def kept_aside(self, rows: Rows) -> NDArray[np.bool_]:
        """Every tenth, by position."""
        return np.asarray(np.arange(len(rows)) % VALIDATION_ONE_IN == 0)

    def loss_of_compression(self, truth: NDArray[Any], whole: NDArray[np.float32], small: NDArray[np.float32]) -> Loss:
        """Of accuracy, 0–1."""
        of_whole, of_small = self.task.classes(whole), self.task.classes(small)
        before, after = float((of_whole == truth).mean()), float((of_small == truth).mean())
        differing = f"other answer on {(of_whole != of_small).mean():.2%}"
        text = f"float {before:.4f}, this one {after:.4f} on {len(truth)} rows, {differing}"
        return Loss(before - after, text, class_gates.INT8_CHANCE_ROWS / len(truth))

    def quality(self, truth: NDArray[Any], outputs: NDArray[np.float32]) -> Mapping[str, float]:
        return {"accuracy": float((self.task.classes(outputs) == truth).mean())}

    def incomparable(self, stable: Task) -> str:
        return "" if isinstance(stable, Classification) else f"it answers {stable}"

    def holdout(
        self, origin: str, rows: Rows, outputs: HoldoutOutputs, stable: Task, calibration: Calibration
    ) -> Measured:
        held = class_gates.Holdout(
            origin,
            self.task.class_names,
            rows.targets,
            self.task.classes(outputs.candidate),
            None if outputs.baseline is None else self._in_our_terms(outputs.baseline, stable),
            None if outputs.unquantized is None else self.task.classes(outputs.unquantized),
            distinct=len({datasets.input_digest(row) for row in rows.x}),
            sure=np.asarray(self.task.confidences(outputs.candidate, calibration)) if len(rows) else None,
            node=rows.node,
        )
        return Measured(origin, held, _numbers(held))

    def _in_our_terms(self, outputs: NDArray[np.float32], stable: Task) -> NDArray[np.int64]:
        return evaluate.in_our_terms(self.task.classes(outputs), stable, self.task)


def _numbers(held: class_gates.Holdout) -> dict[str, Any]:
    """What people and the demo want to see of a holdout: {n, candidate, baseline, float, perClass, and of a compressed
    one perClassFloat}; None where there is none."""

    def accuracy(classes: NDArray[np.int64] | None) -> float | None:
        if classes is None or not len(held.labels):
            return None
        return round(float((classes == held.labels).mean()), 6)

    named = {"candidate": held.candidate, "baseline": held.baseline, "float": held.unquantized}

    def recalls(classes: NDArray[np.int64] | None) -> list[float | None] | None:
        if classes is None:
            return None
        found = paired.recalls(held.labels, classes, int(max([*held.labels, 0])) + 1)
        return [None if np.isnan(recall) else round(float(recall), 4) for recall in found]

    return {
        "n": len(held.labels),
        **{name: accuracy(classes) for name, classes in named.items()},
        "perClass": recalls(held.candidate),
        **({} if held.unquantized is None else {"perClassFloat": recalls(held.unquantized)}),
    }
