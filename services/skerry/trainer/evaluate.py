"""The shipped file, through the serving runtime, on holdout rows that nothing ever trained on; the baseline beside it.

Measures only: answers, confidence, golden set, latency. What follows from them is decided in `core.gates`.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import confidence, errors
from skerry.core.confidence import Outputs
from skerry.core.dataset_parts import Rows
from skerry.core.manifest import Manifest
from skerry.core.tasks import Task
from skerry.core.tasks.classification import NO_CLASS
from skerry.trainer.shipped import Shipped

LATENCY_RUNS = 200
_WARM_RUNS = 20


@dataclass(frozen=True, slots=True)
class Answers:
    """What one version answers on the rows of one holdout, logits or probabilities [n, classes], and the classes [n]
    that they mean (-1: none)."""

    logits: NDArray[np.float32]

    @property
    def classes(self) -> NDArray[np.int64]:
        usable = np.isfinite(self.logits).all(axis=1)
        return np.asarray(np.where(usable, np.nan_to_num(self.logits).argmax(axis=1), -1), dtype=np.int64)


def answer(version: Shipped, holdouts: Mapping[str, Rows]) -> dict[str, Answers]:
    """What `version` answers on each holdout."""
    return {origin: Answers(version.logits(rows.x)) for origin, rows in holdouts.items()}


def kind_of(answers: NDArray[np.float32]) -> Outputs:
    """What the answers [n, classes] of a network hold, seen from the numbers."""
    usable = answers[np.isfinite(answers).all(axis=1)]
    return Outputs.PROBABILITIES if confidence.are_probabilities(usable) else Outputs.LOGITS


def in_our_terms(classes: NDArray[np.int64], theirs: Task, ours: Task) -> NDArray[np.int64]:
    """Class indices of a version of another label map as ours, by the class map, else by names; a class that we do not
    have becomes -1."""
    meanings = ours.meanings(theirs.digest)
    if meanings is None:
        position = {name: index for index, name in enumerate(ours.class_names)}
        meanings = [position.get(name, NO_CLASS) for name in theirs.class_names]
    table = np.array([*meanings, NO_CLASS], dtype=np.int64)
    return np.asarray(table[classes])


def latency_us(version: Shipped, row: NDArray[Any]) -> float:
    """The median time of one row [1, …] through preprocessing and network, in µs, warm."""
    for _ in range(_WARM_RUNS):
        version.logits(row)
    spent = []
    for _ in range(LATENCY_RUNS):
        began = time.perf_counter_ns()
        version.logits(row)
        spent.append(time.perf_counter_ns() - began)
    return float(np.median(spent)) / 1000


def check_same_input(candidate: Manifest, baseline: Manifest) -> None:
    """Raises InputError when the stable version cannot be asked about the same rows."""
    if candidate.inputs != baseline.inputs:
        raise errors.InputError(
            f"the stable version takes {_input_text(baseline)}, the new one {_input_text(candidate)}: "
            "they cannot be compared"
        )


def _input_text(manifest: Manifest) -> str:
    return ", ".join(f"{spec.name} {spec.datatype} {list(spec.shape)}" for spec in manifest.inputs)
