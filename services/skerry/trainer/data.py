"""From a dataset's digest to rows that may be trained on, and rows that only judge. Everything is bounded and verified.

Bad rows are dropped, counted and reported; what cannot be learned from is refused in words. A row that also stands in a
holdout is never trained on, whatever part it came in.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.adapters import dataset_store
from skerry.adapters.blobs.protocol import Blobs
from skerry.core import dataset_parts, datasets, errors, extremes, sharding, specs
from skerry.core.dataset_parts import Rows
from skerry.core.datasets import DatasetManifest, Origin
from skerry.nets.worker_group import SINGLE, WorkerGroup
from skerry.trainer import measures

MAX_TOTAL_BYTES = 4 << 30
ORIGINS: tuple[Origin, ...] = ("imported", "captured")
_REASONS = ("non-finite", "impossible", "unlabelled", "removed-class", "in-holdout")  # for which a row is left out


@dataclass(frozen=True, slots=True)
class Loaded:
    """`train` and `holdouts` by origin, in the manifest's order; an origin without parts has no entry in `holdouts`.
    `dropped` counts rows by reason. Of several workers each has its own rows of `train`, and all have the holdouts."""

    manifest: DatasetManifest
    train: Mapping[str, Rows]
    holdouts: Mapping[str, Rows]
    dropped: Mapping[str, int]


def load(blobs: Blobs, model: specs.EdgeModel, digest: str, workers: WorkerGroup = SINGLE) -> Loaded:
    """Read the dataset `digest` of `model`: all holdouts, and of the training parts this worker's rows.

    Raises NotFoundError, IntegrityError (damaged bytes), TooLargeError, InputError (not this model's data, or nothing
    to learn from).
    """
    manifest = read_manifest(blobs, model, digest)
    dropped: Counter[str] = Counter()
    holdouts: dict[str, Rows] = {}
    for origin in ORIGINS:
        parts = [dataset_store.read_part(blobs, manifest, part) for part in manifest.select("holdout", origin)]
        holdouts[origin] = _usable(parts, manifest, dropped)
    if workers.rank:
        dropped.clear()  # every worker reads the holdouts; the first one counts
    held = {datasets.input_digest(row) for rows in holdouts.values() for row in rows.x}
    mine = _my_parts(blobs, manifest, workers)
    train: dict[str, Rows] = {
        origin: _without(
            _usable(mine[origin], manifest, dropped, taught=True), origin, holdouts, held, manifest, dropped
        )
        for origin in ORIGINS
    }
    _check_learnable(manifest, train, dropped, workers)
    present: dict[str, Rows] = {origin: holdouts[origin] for origin in ORIGINS if manifest.select("holdout", origin)}
    return Loaded(manifest, train, present, {reason: dropped[reason] for reason in _REASONS})


def some_rows(loaded: Loaded) -> NDArray[Any]:
    """Inputs as callers send them: of a holdout where there is one, so that nothing of the training is shipped."""
    held = [rows.x for rows in loaded.holdouts.values() if len(rows)]
    return held[0] if held else next(rows.x for rows in loaded.train.values() if len(rows))


def read_manifest(blobs: Blobs, model: specs.EdgeModel, digest: str) -> DatasetManifest:
    """The manifest, verified and checked against the EdgeModel."""
    manifest = dataset_store.read_manifest(blobs, model.name, digest)
    if fault := _difference(manifest, model):
        raise errors.InputError(f"dataset {digest} does not fit EdgeModel {model.name}: {fault}; import data that fits")
    manifest = manifest.grown(model.task)
    total = sum(part.samples for part in manifest.parts) * manifest.input.row_bytes
    if total > MAX_TOTAL_BYTES:
        raise errors.TooLargeError(
            f"dataset {digest} unpacks to {total} bytes: at most {MAX_TOTAL_BYTES} are trained on"
        )
    return manifest


def _difference(manifest: DatasetManifest, model: specs.EdgeModel) -> str:
    """How the dataset's rows and classes are not the model's, for people; empty: they are. A class index means what the
    order of names says, so another order is another dataset, unless classMap says what became of each class; the model
    may have classes more since."""
    if manifest.model != model.name:
        return f"it is of {manifest.model}"
    if model.class_names and (fault := model.task.cannot_read(manifest.task)):
        return fault
    row, wanted = manifest.input, model.input
    if row.name != wanted.name:
        return f"its input is named {row.name!r}, that of the model {wanted.name!r}"
    if (row.datatype, row.shape) != (wanted.datatype, wanted.shape):
        return f"its rows are {row.datatype} {list(row.shape)}, the model takes {wanted.datatype} {list(wanted.shape)}"
    return ""


def _my_parts(blobs: Blobs, manifest: DatasetManifest, workers: WorkerGroup) -> Mapping[str, Sequence[Rows]]:
    """This worker's rows of the training parts, by origin. A part without any of its rows is not even read."""
    mine: dict[str, list[Rows]] = {origin: [] for origin in ORIGINS}
    parts = [part for origin in ORIGINS for part in manifest.select("train", origin)]
    for piece in sharding.plan([part.samples for part in parts], workers.size)[workers.rank]:
        rows = dataset_store.read_part(blobs, manifest, parts[piece.part])
        share = rows if piece.step == 1 else rows.take(np.arange(piece.first, len(rows), piece.step))
        mine[parts[piece.part].origin].append(share)
    return mine


def _usable(parts: Sequence[Rows], manifest: DatasetManifest, dropped: Counter[str], *, taught: bool = False) -> Rows:
    """The rows that are finite, possible and labelled; counts the others. `taught`: what a teacher says is a label
    too."""
    rows = dataset_parts.concatenate(parts, manifest.input, manifest.task)
    finite, labelled = dataset_parts.finite_rows(rows), manifest.task.has_truth(rows.targets)
    labelled = labelled | rows.has_soft if taught else labelled
    dropped["non-finite"] += int((~finite).sum())
    possible = finite & ~extremes.impossible(rows.x)
    dropped["impossible"] += int((finite & ~possible).sum())
    removed = dataset_parts.gone(rows, manifest.task) & ~labelled
    dropped["removed-class"] += int((possible & removed).sum())
    dropped["unlabelled"] += int((possible & ~labelled & ~removed).sum())
    return rows.take(possible & labelled)


def _without(
    rows: Rows,
    origin: Origin,
    holdouts: Mapping[str, Rows],
    held: set[str],
    manifest: DatasetManifest,
    dropped: Counter[str],
) -> Rows:
    """Leave out what stands in a holdout too (`held`: the digests of its inputs) or, of a series, reaches into one, and
    captured rows that the holdout rule keeps out of training."""
    inputs = [datasets.input_digest(row) for row in rows.x]
    measure = measures.of(manifest.task)
    leaked = np.array([digest in held for digest in inputs], dtype=np.bool_)
    for part in holdouts.values():
        leaked |= measure.reaches_into(rows, part, manifest.input)
    if origin == "captured":
        leaked |= measure.is_holdout(rows, inputs, manifest.input)
    dropped["in-holdout"] += int(leaked.sum())
    return rows.take(~leaked)


def _check_learnable(
    manifest: DatasetManifest, train: Mapping[str, Rows], dropped: Counter[str], workers: WorkerGroup
) -> None:
    """All workers come to the same answer: what counts is what they have together."""
    targets = np.concatenate([rows.targets for rows in train.values()])
    rows, fault = measures.of(manifest.task).learnable(targets, workers)
    together = workers.total(np.array([dropped[reason] for reason in _REASONS], dtype=np.float64)).astype(int)
    lost = ", ".join(f"{count} {reason}" for reason, count in zip(_REASONS, together, strict=True) if count)
    note = f" ({lost} rows were left out)" if lost else ""
    if not rows:
        raise errors.InputError(f"the dataset of {manifest.model} has no training samples{note}: import some")
    if fault:
        raise errors.InputError(f"the dataset of {manifest.model} {fault}{note}: import samples of another")
