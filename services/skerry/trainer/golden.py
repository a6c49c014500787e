"""The golden set: a few rows and what the shipped file answers on them, for the self-test that every node repeats."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from skerry.core import tolerance
from skerry.serving import selftest
from skerry.trainer.shipped import Shipped

ROWS = 16


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
