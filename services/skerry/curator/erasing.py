"""Carries out erasures in object storage: examples with their truths, labels and records, then the parts of datasets
that hold a row of them. Whoever runs after a crash begins the pass again: every step can be done twice.

Rows are written down before they are removed (`core.erasure_progress`), for what else may hold them is searched later,
in part by the controller. A pass works on all erasures that are not done together, so that a part which several mean is
counted for each. Blocking, and meant for the thread of `Labeling`.
"""

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from skerry.adapters import dataset_store, example_facts
from skerry.adapters.blobs.protocol import SharedBlobs
from skerry.adapters.telemetry import logs
from skerry.core import contract, dataset_parts, datasets, digests, erasure_progress, erasures, errors
from skerry.core.erasure_progress import Progress, Row
from skerry.core.erasures import Erasure
from skerry.curator import catalogue
from skerry.curator.erased_blobs import ErasedBlobs
from skerry.proto import fleet_pb2

_STEP_S = 0.1  # of a pass at a time, for the thread has other work
_AGAIN_S = 2.0  # until the pass that is to find nothing any more
_MENDED_S = 60.0  # until what could not be searched is tried again
_ROWS_AT_ONCE = 256
_RETENTION = "retention"  # in the place of an Erasure's uid

_log = logs.logger("curator")


@dataclass(slots=True)
class _Work:
    """One erasure in a pass. `ids` are of removed examples, as parts name them."""

    erasure: Erasure
    progress: Progress
    rules: erasures.Rules
    ids: set[bytes] = field(default_factory=set)
    datasets: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)
    found: int = 0


@dataclass(frozen=True, slots=True)
class _Meant:
    """An example (hex digits), and the erasures that mean it."""

    model: str
    name: str
    works: Sequence[_Work]


class Erasing:
    """`monotonic` gives seconds, `clock` Unix milliseconds."""

    def __init__(self, blobs: SharedBlobs, monotonic: Callable[[], float], clock: Callable[[], int]) -> None:
        self._blobs, self._monotonic, self._clock = blobs, monotonic, clock
        self._store = ErasedBlobs(blobs)
        self._catalogue = catalogue.Catalogue(blobs, clock)
        self._done: set[str] = set()  # uids
        self._pass: Iterator[None] | None = None
        self._again_at_s = float("-inf")
        self._has_faults = False  # in the pass that ended last

    def step(self, standing: Mapping[str, Erasure]) -> None:
        """Go on with whatever is not done; `standing` are all erasures by uid. Raises UnavailableError; then the pass
        begins again."""
        self._done &= standing.keys()
        if self._pass is None:
            if self._monotonic() < self._again_at_s or not (left := standing.keys() - self._done):
                return
            self._pass = self._run([(uid, standing[uid]) for uid in sorted(left)])
        until_s = self._monotonic() + _STEP_S
        try:
            for _ in self._pass:
                if self._monotonic() >= until_s:
                    return
        except errors.UnavailableError:
            self._pass, self._again_at_s = None, self._monotonic() + _AGAIN_S
            raise
        self._pass, self._again_at_s = None, self._monotonic() + (_MENDED_S if self._has_faults else _AGAIN_S)

    def late(self, standing: Mapping[str, Erasure], model: str, found: Mapping[str, str]) -> None:
        """Examples (hex digits) that came although the erasure of that name stands. Raises UnavailableError."""
        by_name = {one.name: (uid, one) for uid, one in standing.items()}
        for name, erasure in list(found.items()):
            if erasure in by_name:
                self._remove([_Meant(model, name, [self._work(*by_name[erasure])])])

    def retire(self, model: str, names: Sequence[str]) -> int:
        """Remove examples that are kept no longer, and every part that holds one, also of a call that was broken off;
        returns how many examples and parts that were. Raises UnavailableError."""
        kept = Erasure(f"retention-{model}", erasures.REQUEST, "", model)
        work = self._work(_RETENTION, kept)
        for at in range(0, len(names), _ROWS_AT_ONCE):
            self._remove([_Meant(model, name, [work]) for name in names[at : at + _ROWS_AT_ONCE]])
        if not work.ids:
            return 0
        for _ in itertools.chain(self._parts([work]), self._catalogue_entries([work])):
            pass
        self._store.forget_rows(kept.name)
        self._blobs.delete(contract.erasure_path(kept.name))
        return work.progress.examples + work.progress.parts

    def _run(self, running: Sequence[tuple[str, Erasure]]) -> Iterator[None]:
        works = [self._work(uid, erasure) for uid, erasure in running]
        works = [work for work in works if not work.progress.is_done]
        if not works:
            return
        yield from self._examples(works)
        yield from self._truths(works)
        yield from self._parts(works)
        yield from self._catalogue_entries(works)
        self._has_faults = any(work.faults and not work.found for work in works)
        for work in works:
            if not work.found and not work.faults:
                work.progress = replace(work.progress, state=erasure_progress.DONE)
                self._done.add(work.progress.uid)
                _log.info(
                    "erased",
                    erasure=work.erasure.name,
                    examples=work.progress.examples,
                    parts=work.progress.parts,
                    datasets=len(work.datasets),
                )
            self._write(work)

    def _work(self, uid: str, erasure: Erasure) -> _Work:
        """As an earlier pass left it; of an earlier Erasure of this name nothing."""
        progress = self._store.progress(erasure.name)
        if progress is None or progress.uid != uid:
            self._store.forget_rows(erasure.name)
            progress = Progress(uid)
        elif progress.is_done:
            self._done.add(uid)
        work = _Work(erasure, progress, erasures.Rules([erasure]), datasets=Counter(progress.datasets))
        work.ids |= {f"sha256:{row.example}".encode() for row in self._store.rows(erasure.name)}
        if erasure.what == erasures.EXAMPLE:
            work.ids.add(str(erasure.value).encode())
        return work

    def _examples(self, works: Sequence[_Work]) -> Iterator[None]:
        models = {work.erasure.model for work in works}
        folder = contract.examples_folder(models.pop()) if len(models) == 1 and "" not in models else "examples"
        batch: list[_Meant] = []
        for path in self._blobs.list(folder):
            model, _, name = path.removeprefix("examples/").partition("/")
            if meant := self._meant_by(works, path, model, name):
                batch.append(_Meant(model, name, meant))
            if len(batch) >= _ROWS_AT_ONCE:
                self._remove(batch)
                batch = []
            yield
        self._remove(batch)

    def _meant_by(self, works: Sequence[_Work], path: str, model: str, name: str) -> list[_Work]:
        """The erasures that mean the example; none when it is gone."""
        needs_time = any(work.erasure.what == erasures.BEFORE for work in works)
        try:
            stored_ms = int(1000 * self._blobs.stat(path).modified_unix_s) if needs_time else 0
            data = self._blobs.read(path, max_bytes=contract.MAX_EXAMPLE_BYTES)
            facts = example_facts.of(fleet_pb2.Example.FromString(data), f"sha256:{name}", stored_ms)
        except errors.NotFoundError:
            return []
        except (DecodeError, errors.TooLargeError) as exc:
            named = [work for work in works if work.erasure.value == f"sha256:{name}"]
            for work in () if named else works:
                if not work.erasure.model or work.erasure.model == model:
                    work.faults[path] = f"it cannot be read: {exc}"
            return named
        return [work for work in works if work.rules.match(facts)]

    def _remove(self, batch: Sequence[_Meant]) -> None:
        """The rows are written down for each erasure that means them, and only then removed."""
        inputs = {(one.model, one.name): self._store.input_of(one.model, one.name) for one in batch}
        works = {id(work): work for one in batch for work in one.works}
        for work in works.values():
            mine = [one for one in batch if any(work is other for other in one.works)]
            self._store.keep_rows(work.erasure.name, [Row(one.name, inputs[one.model, one.name]) for one in mine])
            work.ids |= {f"sha256:{one.name}".encode() for one in mine}
            work.found += len(mine)
            work.progress = replace(work.progress, examples=work.progress.examples + len(mine))
        for one in batch:
            self._store.remove_example(one.model, one.name)
        for work in works.values():
            self._write(work)

    def _truths(self, works: Sequence[_Work]) -> Iterator[None]:
        """Truths whose example is gone, of what was erased: one may have come while its example went."""
        for path in self._blobs.list("truths"):
            yield
            model, _, name = path.removeprefix("truths/").partition("/")
            if self._blobs.exists(contract.example_path(model, name)):
                continue
            truth = self._store.truth(path)
            meant = f"sha256:{name}".encode()
            for work in works:
                if meant in work.ids or (truth is not None and work.rules.match(example_facts.of_truth(truth))):
                    self._blobs.delete(path)
                    work.found += 1
                    break

    def _parts(self, works: Sequence[_Work]) -> Iterator[None]:
        seen: dict[str, list[int]] = {}  # of each part, how many rows of it each erasure means
        for path in self._blobs.list("datasets"):
            yield
            model, _, name = path.removeprefix("datasets/").partition("/")
            try:
                manifest = dataset_store.read_manifest(self._blobs, model, f"sha256:{name}")
            except errors.NotFoundError:
                continue  # swept since
            except (errors.InputError, errors.IntegrityError) as exc:
                for work in works:
                    work.faults[path] = str(exc)
                continue
            for part in manifest.parts:
                if part.origin != "captured":
                    continue
                if part.digest not in seen:
                    seen[part.digest] = self._part(works, manifest, part)
                    yield
                for work, rows in zip(works, seen[part.digest], strict=True):
                    key = (model, f"sha256:{name}")
                    if rows and key not in work.progress.datasets:
                        work.datasets[key] += rows
        for work in works:
            work.progress = replace(work.progress, datasets=dict(work.datasets))

    def _part(self, works: Sequence[_Work], manifest: datasets.DatasetManifest, part: datasets.Part) -> list[int]:
        """How many of its rows each erasure means; with any, a tombstone takes its place."""
        try:
            rows = dataset_store.read_part(self._blobs, manifest, part)
        except errors.NotFoundError:
            buried = self._store.erased_from(part.digest)
            return [buried.get(work.erasure.name, 0) for work in works]
        except (errors.InputError, errors.IntegrityError) as exc:
            for work in works:
                work.faults[digests.blob_path(part.digest)] = str(exc)
            return [0] * len(works)
        hits = [_hits(work, manifest.model, rows) for work in works]
        counts = [int(hit.sum()) for hit in hits]
        if not any(counts):
            return counts
        for work, hit in zip(works, hits, strict=True):
            if hit.any():
                self._store.keep_rows(work.erasure.name, _rows(rows.take(hit)))
        named = {work.erasure.name: count for work, count in zip(works, counts, strict=True) if count}
        self._store.bury(part.digest, manifest.model, len(rows), named, self._clock())
        for work, count in zip(works, counts, strict=True):
            if count:
                work.found += count
                work.progress = replace(work.progress, parts=work.progress.parts + 1)
        return counts

    def _catalogue_entries(self, works: Sequence[_Work]) -> Iterator[None]:
        """What the publisher wrote down of the examples."""
        for model, path in self._catalogue.everything():
            yield
            mine = [work for work in works if work.erasure.model in ("", model)]
            gone = self._catalogue.forget(path, functools.partial(_is_meant, mine, model)) if mine else 0
            for work in mine:
                work.found += gone

    def _write(self, work: _Work) -> None:
        faults = dict(itertools.islice(work.faults.items(), 20))
        self._store.put_progress(work.erasure.name, replace(work.progress, faults=faults))


def _is_meant(works: Sequence[_Work], model: str, one: catalogue.Entry) -> bool:
    return any(f"sha256:{one.hex}".encode() in work.ids or work.rules.match(one.facts(model)) for work in works)


def _hits(work: _Work, model: str, rows: dataset_parts.Rows) -> NDArray[np.bool_]:
    """[n] which rows of a part the erasure means: by the node that captured them, or by the ids of examples."""
    erasure = work.erasure
    if erasure.model not in ("", model):
        return np.zeros(len(rows), dtype=np.bool_)
    known = np.isin(rows.id, np.array(sorted(work.ids), dtype=dataset_parts.ID_DTYPE))
    if erasure.what == erasures.NODE:
        known |= rows.node == str(erasure.value).encode()
    return np.asarray(known)


def _rows(rows: dataset_parts.Rows) -> list[Row]:
    named = zip(rows.id.tolist(), rows.x, strict=True)
    return [
        Row(digests.hex_of(name.decode()), erasure_progress.content_digest(_little_endian(row))) for name, row in named
    ]


def _little_endian(row: NDArray[Any]) -> bytes:
    return bytes(np.ascontiguousarray(row, dtype=row.dtype.newbyteorder("<")).tobytes())
