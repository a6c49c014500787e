"""The plates: what is measured of each, which fault it has, how they are split, and what the new furnace changes. Pure
but for `read` and `write`."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors

CLASSES = ("Pastry", "Z_Scratch", "K_Scatch", "Stains", "Dirtiness", "Bumps", "Other_Faults")
FEATURES = 27
SPLIT = {"base": 0.5, "replay": 0.3, "final": 0.2}  # of each class
SPLIT_SEED = 0
# Behind a new furnace plates still glow when the camera sees them: both of these read so much more.
FURNACE = {"Minimum_of_Luminosity": 40.0, "Maximum_of_Luminosity": 40.0}


@dataclass(frozen=True, slots=True)
class Plates:
    """`x` [n, 27] and the fault `y` [n] as an index of CLASSES; `names` of the columns."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.y)

    def at(self, rows: NDArray[np.int64]) -> "Plates":
        return Plates(self.x[rows], self.y[rows], self.names)


def read(table: Path) -> Plates:
    """Raises InputError where a plate has not exactly one of the seven faults."""
    with table.open(newline="") as file:
        head, *rows = csv.reader(file)
    try:
        values = np.array(rows, dtype=np.float64)
        marks = values[:, [head.index(name if name == "Other_Faults" else f"{name}_Fault") for name in CLASSES]]
    except ValueError as exc:
        raise errors.InputError(f"{table.name} is not the table of plates: {exc}") from exc
    if values.shape[1] != FEATURES + len(CLASSES) or not (marks.sum(axis=1) == 1).all():
        raise errors.InputError(f"{table.name}: each plate must have {FEATURES} numbers and one fault of seven")
    return Plates(values[:, :FEATURES].astype(np.float32), marks.argmax(axis=1), head[:FEATURES])


def write(plates: Plates, path: Path) -> None:
    """As `skerry datasets import --label-column fault` reads it."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*plates.names, "fault"])
        writer.writerows([*map(float, x), CLASSES[y]] for x, y in zip(plates.x, plates.y, strict=True))


def folds(y: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """[n] the fold of each plate: of every class as many in one as in another, but for one."""
    draw, fold = np.random.default_rng(seed), np.empty(len(y), dtype=np.int64)
    for kind in np.unique(y):
        rows = draw.permutation(np.flatnonzero(y == kind))
        fold[rows] = np.arange(len(rows)) % count
    return fold


def split(plates: Plates) -> Mapping[str, Plates]:
    """By SPLIT, the same for every seed; each part in a random order."""
    draw, parts = np.random.default_rng(SPLIT_SEED), dict[str, list[NDArray[np.int64]]]()
    ends = np.cumsum(list(SPLIT.values()))[:-1]
    for kind in range(len(CLASSES)):
        rows = draw.permutation(np.flatnonzero(plates.y == kind))
        for name, part in zip(SPLIT, np.split(rows, np.round(ends * len(rows)).astype(int)), strict=True):
            parts.setdefault(name, []).append(part)
    return {name: plates.at(draw.permutation(np.concatenate(rows))) for name, rows in parts.items()}


def behind_furnace(plates: Plates) -> Plates:
    x = plates.x.copy()
    for name, by in FURNACE.items():
        x[:, list(plates.names).index(name)] += by
    return Plates(x, plates.y, plates.names)


def recalls(answers: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """[classes] share of each class's plates that were answered so; NaN where there is none."""
    return np.array(
        [(answers[y == kind] == kind).mean() if (y == kind).any() else np.nan for kind in range(len(CLASSES))]
    )
