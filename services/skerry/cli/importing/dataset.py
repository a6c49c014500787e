"""From labelled data to a dataset: checked, split, packed into parts, stored by digest, and named in the EdgeModel.

Every source comes as `Prepared`: labelled rows by `prepare`, rows of series by `prepare_forecast`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from skerry.adapters import dataset_store
from skerry.adapters.acts import Acts
from skerry.adapters.blobs import Blobs
from skerry.adapters.objects import Object
from skerry.cli.importing import holdout_split, labeled
from skerry.cli.importing.labeled import LabeledRows
from skerry.core import dataset_parts, datasets, errors, intents, specs
from skerry.core.datasets import DatasetManifest, Input, Part, Role
from skerry.core.series.conversion import ForecastRows
from skerry.core.tasks import Forecast, Task

_PARTS, _LEAST_PART_BYTES = 64, 4 << 20  # of a role: as many as may be, of no less
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Choices:
    """What the person who imports decides. `labels`: class names in the order in which numbers count, empty where
    nothing was said."""

    labels: Sequence[str] = ()
    holdout_share: float = 0.3
    drop_nonfinite: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """What the EdgeModel says that its data must be."""

    model: str
    task: Task
    row: Input
    min_holdout: int

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.task.class_names

    @property
    def forecast(self) -> Forecast | None:
        """What is forecast, if the model has no classes."""
        return self.task if isinstance(self.task, Forecast) else None


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows and which of them are for training and holdout (masks [n]; a row may be neither). `notes` are sentences for
    the person who imports; `windows` counts the windows of each group."""

    rows: dataset_parts.Rows
    train: NDArray[np.bool_]
    holdout: NDArray[np.bool_]
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    windows: Mapping[str, int] = field(default_factory=dict)
    may_leave: bool = False  # to nodes, whatever the privacy of the model


@dataclass(frozen=True, slots=True)
class Imported:
    """`notes` are sentences for the person who imports; `windows` counts the windows of each group."""

    digest: str
    manifest: DatasetManifest
    notes: tuple[str, ...] = ()
    windows: Mapping[str, int] = field(default_factory=dict)


def target(model: Object) -> Target:
    """Read the EdgeModel. Raises InputError naming the field that is wrong, or an input that no dataset can hold."""
    parsed = specs.parse_edge_model(model.name, model.spec)
    taken = parsed.input
    if taken.datatype not in datasets.DTYPES:
        raise errors.InputError(f"EdgeModel {model.name}: rows of {taken.datatype} cannot be imported")
    row = Input(taken.name, taken.datatype, taken.shape)
    return Target(model.name, parsed.task, row, parsed.gates.min_holdout)


def prepare(data: LabeledRows, wanted: Target, choices: Choices) -> Prepared:
    """Raises InputError naming the source and what is wrong. Pure."""
    if not len(data.x):
        raise errors.InputError(f"{data.source} has no samples")
    if len(data.x) != len(data.y):
        raise errors.InputError(f"{data.source}: {len(data.x)} rows but {len(data.y)} labels")
    data = labeled.finite(data, drop=choices.drop_nonfinite)
    data = replace(data, x=labeled.conform(data, wanted.row))
    y = labeled.indices(data, wanted.class_names, choices.labels)
    if data.holdout is None:
        units = labeled.equal_rows(data.x) if data.units is None else data.units
        mask = holdout_split.holdout(units, y, choices.holdout_share)
        if not mask.any():
            raise errors.InputError(
                f"{data.source}: nothing can be held out, for each class has a single {_unit(data)}: bring more rows"
            )
    else:
        mask = data.holdout
        if not mask.any() or mask.all():
            raise errors.InputError(
                f"{data.source}: its holdout has {int(mask.sum())} of {len(mask)} rows; both need some"
            )
    rows = dataset_parts.imported(data.x, y, wanted.task)
    notes = (*data.notes, *_one_sided(rows.y, mask, wanted.class_names))
    return Prepared(rows, ~mask, mask, dict(data.dropped), notes, data.windows)


def prepare_forecast(found: ForecastRows, wanted: Target, *, time_zone: str) -> Prepared:
    """`time_zone`: where the clock of the times stands, empty where nothing was said. Pure."""
    names = np.char.encode(found.series, "utf-8").astype(dataset_parts.SERIES_DTYPE)
    rows = dataset_parts.imported(found.x, found.y, wanted.task, series=names, time=found.time, naive=found.naive)
    note = "no --time-zone was given: times that say no offset are those of a clock without summer time"
    return Prepared(
        rows, found.split.train, found.split.holdout, dict(found.dropped), notes=() if time_zone else (note,)
    )


def store(data: Prepared, wanted: Target, *, blob_store: Blobs, acts: Acts, now_unix_ms: int) -> Imported:
    """Store the parts, then the manifest, then name it in EdgeModel.spec.datasetDigest: what is named is there."""
    roles: tuple[tuple[Role, NDArray[np.bool_]], ...] = (("train", data.train), ("holdout", data.holdout))
    stored = [part for role, which in roles for part in _parts(data.rows.take(which), role, wanted, blob_store)]
    stored = [replace(part, may_leave=data.may_leave) for part in stored]
    manifest = DatasetManifest(wanted.model, wanted.task, wanted.row, tuple(stored), (), now_unix_ms, data.dropped)
    digest = dataset_store.write_manifest(blob_store, manifest)
    named = intents.Patch("EdgeModel", wanted.model, {"datasetDigest": digest})
    acts.change("import data", "EdgeModel", wanted.model, lambda _: named)
    return Imported(digest, manifest, data.notes, data.windows)


def _one_sided(y: NDArray[np.int64], mask: NDArray[np.bool_], class_names: Sequence[str]) -> Iterator[str]:
    """A sentence for the classes that nothing is learned of, and for those that nothing is known of afterwards."""
    counts = {side: np.bincount(y[which], minlength=len(class_names)) for side, which in ((0, ~mask), (1, mask))}
    for side, what in (
        (1, "no row in the holdout, so that no gate sees how well a version knows it: bring more rows of it"),
        (0, "rows in the holdout alone, so that nothing can be learned of it: bring rows for training"),
    ):
        present = zip(class_names, counts[side], counts[1 - side], strict=True)
        named = [repr(name) for name, here, there in present if not here and there]
        if named:
            shown = ", ".join(named[:_SHOWN]) + (f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else "")
            yield f"class {shown} has {what}" if len(named) == 1 else f"classes {shown}: each has {what}"


def _unit(data: LabeledRows) -> str:
    return "row (equal rows count as one)" if data.units is None else "block of windows"


def _parts(rows: dataset_parts.Rows, role: Role, wanted: Target, blob_store: Blobs) -> list[Part]:
    """Equal parts, and enough of them for workers to share; each with rows of everywhere, for one worker reads it
    alone."""
    size = len(rows) * dataset_parts.row_bytes(wanted.row, wanted.task)
    most = min(dataset_parts.SEALED_BYTES, max(_LEAST_PART_BYTES, -(-size // _PARTS)))
    count = min(-(-size // most), len(rows))
    chunks = (np.arange(first, len(rows), count) for first in range(count))
    return [dataset_store.write_part(blob_store, role, "imported", rows.take(chunk)) for chunk in chunks]
