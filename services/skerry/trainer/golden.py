"""The golden set: a few rows and what the shipped file answers on them, for the self-test that every node repeats.

It goes to every node. Real rows are in it only where the model's rows may leave for the cloud, or where whoever
imported a data set said that this one may; else they are synthetic.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import synthetic_rows, tolerance
from skerry.core.privacy import Leave, Privacy
from skerry.serving import selftest
from skerry.trainer.data import Loaded
from skerry.trainer.shipped import Shipped

ROWS = 16
_MEASURED_ROWS = 20_000  # of each kind: enough for a mean and a spread


@dataclass(frozen=True, slots=True)
class Golden:
    data: bytes
    tolerance_abs: float


def build(version: Shipped, x: NDArray[Any]) -> Golden:
    """From up to ROWS of the rows `x` [n ≥ 1, …]."""
    rows = x[:ROWS]
    logits = version.logits(rows)
    manifest = version.manifest
    data = selftest.pack({manifest.inputs[0].name: rows}, {manifest.outputs[0].name: logits})
    return Golden(data, tolerance.of(logits))


def rows_for(privacy: Privacy, loaded: Loaded) -> tuple[NDArray[Any], str]:
    """Rows that may go to every node, and where they are from, for the run's report."""
    held = {origin: rows.x for origin, rows in loaded.holdouts.items() if len(rows)}
    taught = {origin: rows.x for origin, rows in loaded.train.items() if len(rows)}
    if privacy.leave is Leave.CLOUD:  # of the holdout when there is any, so that nothing of the training is shipped
        origin, rows = next(iter((held or taught).items()))
        return rows, origin
    imported = held.get("imported", taught.get("imported"))
    if imported is not None and all(part.may_leave for part in loaded.manifest.parts if part.origin == "imported"):
        return imported, "imported"
    some = np.concatenate([rows[:_MEASURED_ROWS] for rows in (*taught.values(), *held.values())])
    return synthetic_rows.like(some, ROWS), "synthetic"
