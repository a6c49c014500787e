"""Publishes datasets: the imported base, and what was captured and labelled, as parts and one manifest.

The same content is the same digest. Captured rows lie in parts by the calendar (64 days, a day, an hour, five minutes,
half a minute: each the widest that is over), so a new dataset writes only its newest rows again. What one part must not
hold lies in several, by the ids of the rows.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.adapters import dataset_store
from skerry.adapters.blobs.protocol import Blobs
from skerry.core import dataset_parts, datasets, digests, errors
from skerry.core.contributions import Fleet
from skerry.core.series import naive
from skerry.curator import captured_rows, contributing, forecast_rows
from skerry.curator.captured_rows import Row
from skerry.curator.label_task import LabelTask
from skerry.curator.stored_rows import StoredRows, Unguarded

_MOST_BITS = 64  # of an id: rows that are alike in so many are one lot
_WIDTHS_MS = (64 * 86_400_000, 86_400_000, 3_600_000, 300_000, 30_000)


@dataclass(frozen=True, slots=True)
class Published:
    """`captured` rows of the dataset `digest` are captured ones, the oldest labelled at `since_unix_ms` (0: none);
    `over_budget` more were captured before and left out since there is a bound. `nodes`: what each gave."""

    digest: str
    captured: int
    since_unix_ms: int
    over_budget: int = 0
    nodes: Mapping[str, datasets.NodeRows] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Base:
    digest: str
    manifest: datasets.DatasetManifest
    known: NDArray[np.uint64]  # the first 64 bits of each input digest


# Role, start and width of the calendar span in ms, and by which bits of their ids rows are in it: empty for all.
Group = tuple[datasets.Role, int, int, str]


@dataclass(frozen=True, slots=True)
class Packed:
    """`signature` is of all that the part says of its rows."""

    signature: bytes
    part: datasets.Part


class Publisher:
    """One model's datasets. Keeps the parts of the last one, to pack only what changed; `packed` are those that an
    earlier publisher made."""

    def __init__(self, blobs: Blobs, task: LabelTask, stored_rows: StoredRows | None = None) -> None:
        self._blobs, self._task = blobs, task
        self._stored_rows = stored_rows or StoredRows(blobs, task, Unguarded())
        self._packed: Mapping[Group, Packed] = {}
        self._base: _Base | None = None

    def publish(
        self, rows: Sequence[Row], dropped: Mapping[str, int], base_digest: str | None, fleet: Fleet
    ) -> Published | None:
        """The dataset of these rows, as far as their nodes may weigh in it, on top of the imported base; None when
        there is nothing at all.

        Raises NotFoundError, InputError or IntegrityError (the base), UnavailableError (storage).
        """
        base = self._load_base(base_digest)
        fresh = _not_in(base.known, rows) if base else list(rows)
        settled = contributing.settle(fresh, self._task, _imported(base, self._task), fleet)
        tallies = {**dropped, "alreadyImported": len(rows) - len(fresh), **settled.dropped}
        fresh = list(settled.rows)
        if not fresh:
            return Published(base.digest, 0, 0, nodes=settled.nodes) if base else None
        captured = self._captured(fresh, forecast_rows.came_true(rows, self._task))
        manifest = datasets.DatasetManifest(
            model=self._task.model,
            task=self._task.answers,
            input=self._task.input,
            parts=(*(base.manifest.parts if base else ()), *captured),
            parents=(base.digest,) if base else (),
            created_unix_ms=max(row.label.at_unix_ms for row in fresh),
            dropped={reason: count for reason, count in sorted(tallies.items()) if count},
            nodes=settled.nodes,
            fleet=settled.fleet,
        )
        since = min(row.label.first_unix_ms for row in fresh)
        digest = dataset_store.write_manifest(self._blobs, manifest)
        return Published(digest, len(fresh), since, dropped.get(datasets.OVER_BUDGET, 0), settled.nodes)

    @property
    def packed(self) -> Mapping[Group, Packed]:
        """The parts of captured rows, which are not stored again while their rows stay."""
        return self._packed

    def resume(self, packed: Mapping[Group, Packed]) -> None:
        """Go on from the parts that an earlier publisher packed, as far as they are there."""
        there = (digests.blob_path(one.part.digest) for one in packed.values())
        is_there = [self._blobs.exists(path) for path in there]
        self._packed = {group: one for (group, one), here in zip(packed.items(), is_there, strict=True) if here}

    @property
    def held_parts(self) -> set[str]:
        """Digests of the parts that are packed, and not stored again while their rows stay."""
        return {one.part.digest for one in self._packed.values()}

    def _captured(self, rows: Sequence[Row], known: naive.Truths) -> list[datasets.Part]:
        spans: dict[tuple[datasets.Role, int, int], list[Row]] = defaultdict(list)
        newest = max(row.label.first_unix_ms for row in rows)
        for row, place in zip(rows, forecast_rows.places(rows, self._task).tolist(), strict=True):
            spans[place, *span(row.label.first_unix_ms, newest)].append(row)
        most = max(1, dataset_parts.SEALED_BYTES // dataset_parts.row_bytes(self._task.input, self._task.answers))
        ordered: dict[Group, list[Row]] = {
            (*place, bits): some
            for place in sorted(spans)
            for bits, some in split(sorted(spans[place], key=_by_name), most)
        }
        self._packed = {group: self._pack(group, members, known) for group, members in ordered.items()}
        return [one.part for one in self._packed.values()]

    def _pack(self, group: Group, rows: Sequence[Row], known: naive.Truths) -> Packed:
        of_forecasts = forecast_rows.columns(rows, self._task, known)
        signature = _signature(rows, of_forecasts)
        packed = self._packed.get(group)
        if packed is not None and packed.signature == signature:
            return packed
        data = self._stored_rows.read(rows, self._near(group))
        arrays = _arrays(rows, data, self._task, of_forecasts)
        return Packed(signature, dataset_store.write_part(self._blobs, group[0], "captured", arrays))

    def _near(self, group: Group) -> list[datasets.Part]:
        """Parts that may hold rows of the group already: those whose span and bits meet its own."""
        role, start, width, bits = group
        return [
            one.part
            for (its_role, its_start, its_width, its_bits), one in self._packed.items()
            if its_role == role
            and its_start < start + width
            and start < its_start + its_width
            and (bits.startswith(its_bits) or its_bits.startswith(bits))
        ]

    def _load_base(self, digest: str | None) -> _Base | None:
        if digest is None:
            return None
        if self._base is None or self._base.digest != digest:
            self._base = _read_base(self._blobs, self._task, digest)
        return self._base


def span(at_unix_ms: int, newest_unix_ms: int) -> tuple[int, int]:
    """Start and width in ms of the widest calendar span that holds `at` and is over at `newest`, else the narrowest."""
    width = next((width for width in _WIDTHS_MS if at_unix_ms // width < newest_unix_ms // width), _WIDTHS_MS[-1])
    return at_unix_ms // width * width, width


def split(rows: Sequence[Row], most: int, bits: str = "") -> Iterator[tuple[str, list[Row]]]:
    """Rows in lots of at most `most`, by the first bits of their ids: a further row changes its own lot alone."""
    if len(rows) <= most or len(bits) == _MOST_BITS:
        yield bits, list(rows)
        return
    for bit in "01":
        some = [row for row in rows if f"{_prefix(row.hex):064b}"[len(bits)] == bit]
        if some:
            yield from split(some, most, bits + bit)


def _read_base(blobs: Blobs, task: LabelTask, digest: str) -> _Base:
    manifest = dataset_store.read_manifest(blobs, task.model, digest)
    if task.answers.cannot_read(manifest.task) or manifest.input != task.input:
        raise errors.InputError(
            f"dataset {digest} has other classes or another input than EdgeModel {task.model}: import one that fits"
        )
    manifest = manifest.grown(task.answers)
    known = [np.empty(0, dtype=np.uint64)]
    for part in manifest.parts:
        rows = dataset_store.read_part(blobs, manifest, part)
        known.append(np.array([_prefix(datasets.input_digest(row)) for row in rows.x], dtype=np.uint64))
    return _Base(digest, manifest, np.unique(np.concatenate(known)))


def _not_in(known: NDArray[np.uint64], rows: Sequence[Row]) -> list[Row]:
    """The rows whose input the base has not."""
    prefixes = np.fromiter((_prefix(row.input_digest) for row in rows), dtype=np.uint64, count=len(rows))
    return [row for row, old in zip(rows, np.isin(prefixes, known).tolist(), strict=True) if not old]


def _imported(base: _Base | None, task: LabelTask) -> NDArray[np.int64]:
    """[classes] the imported training rows of each class; [1] all of them where an answer is no class."""
    parts = base.manifest.select("train") if base else ()
    if not task.classes:
        return np.array([sum(part.samples for part in parts)], dtype=np.int64)
    counts = np.array([part.per_class for part in parts], dtype=np.int64).reshape(-1, task.classes)
    return np.asarray(counts.sum(axis=0))


def _prefix(input_digest: str) -> int:
    return int(input_digest[:16], 16)


def _by_name(row: Row) -> str:
    return row.hex


def _signature(rows: Sequence[Row], of_forecasts: Mapping[str, NDArray[Any]]) -> bytes:
    """Of all that `_arrays` packs."""
    summary = hashlib.sha256(b"".join(column.tobytes() for column in of_forecasts.values()))
    summary.update(b"".join(row.mark or captured_rows.mark_of(row.hex, row.node, row.label) for row in rows))
    return summary.digest()


def _arrays(
    rows: Sequence[Row], data: Iterable[bytes], task: LabelTask, of_forecasts: Mapping[str, NDArray[Any]]
) -> dataset_parts.Rows:
    """[n] rows as a part's arrays, each with weight 1."""
    x: NDArray[Any] = np.frombuffer(b"".join(data), dtype=task.input.dtype)
    none, unknown = (np.nan,) * task.answers.width, task.answers.no_truth(0)
    return dataset_parts.Rows(
        x.reshape(len(rows), *task.input.shape),
        np.array([row.label.truth for row in rows], dtype=unknown.dtype).reshape(len(rows), *unknown.shape[1:]),
        np.array([row.label.probabilities or none for row in rows], dtype=np.float32),
        np.ones(len(rows), dtype=np.float32),
        np.array([f"sha256:{row.hex}" for row in rows], dtype=dataset_parts.ID_DTYPE),
        np.array([row.node for row in rows], dtype=dataset_parts.NODE_DTYPE),
        np.array([row.label.label_map or task.label_map for row in rows], dtype=dataset_parts.ID_DTYPE),
        **of_forecasts,
    )
