"""The golden set: a few rows and what the shipped file answers on them, for the self-test that every node repeats."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.serving import selftest
from skerry.trainer.shipped import Shipped

ROWS = 16
_TOLERANCE_SHARE = 0.02
_MIN_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Golden:
    data: bytes
    tolerance_abs: float


def build(version: Shipped, x: NDArray[Any]) -> Golden:
    """From up to ROWS of the rows `x` [n ≥ 1, …]. The tolerance is 2 % of the largest logit: kernels of other CPUs
    round differently, while another network, or one without weights, is far away."""
    rows = x[:ROWS]
    logits = version.logits(rows)
    manifest = version.manifest
    data = selftest.pack({manifest.inputs[0].name: rows}, {manifest.outputs[0].name: logits})
    largest = float(np.nan_to_num(np.abs(logits), nan=0.0, posinf=0.0).max())
    return Golden(data, max(_MIN_TOLERANCE, round(_TOLERANCE_SHARE * largest, 4)))
