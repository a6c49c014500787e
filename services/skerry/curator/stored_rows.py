"""The bytes of captured rows that are not in memory: from parts that hold them already, else from their examples. Never
from an example where a part has the row: what kills its readers now was read when it was packed. Examples are taken in
hand before they are read, as by whoever labels them: one that kills its readers is tried alone and set aside.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from skerry.adapters import blobs as blob_store
from skerry.adapters.blobs.protocol import Blobs
from skerry.core import contract, dataset_parts, datasets, digests, errors
from skerry.curator import examples
from skerry.curator.captured_rows import Row
from skerry.curator.label_task import LabelTask
from skerry.curator.teaching_queue import Work

_IN_HAND_AT_ONCE = 256


class RowsLostError(errors.NotFoundError):
    """Examples of these `names` (hex digits) are not in storage any more, or are damaged there."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"{len(names)} examples cannot be read any more, the first is {names[0]}")
        self.names = frozenset(names)


class Hand(Protocol):
    """Who may touch an example: a part of `setting_aside.SettingAside`."""

    def is_set_aside(self, work: Work) -> bool: ...

    def lets(self, work: Work) -> bool: ...

    def take(self, works: Sequence[Work]) -> None: ...

    def lay_down(self, works: Iterable[Work]) -> None: ...

    def failed(self, work: Work, exc: Exception) -> None: ...


class Unguarded:
    """The hand of one who reads examples that it wrote itself, alone."""

    def is_set_aside(self, work: Work) -> bool:
        return False

    def lets(self, work: Work) -> bool:
        return True

    def take(self, works: Sequence[Work]) -> None: ...

    def lay_down(self, works: Iterable[Work]) -> None: ...

    def failed(self, work: Work, exc: Exception) -> None: ...


class StoredRows:
    """One model's."""

    def __init__(self, blobs: Blobs, task: LabelTask, hand: Hand) -> None:
        self._blobs, self._task, self._hand = blobs, task, hand

    def read(self, rows: Sequence[Row], parts: Iterable[datasets.Part]) -> list[bytes]:
        """The inputs of the rows; `parts` may hold some of them. Raises RowsLostError, UnavailableError."""
        data = {row.hex: row.data for row in rows if row.data}
        missing = {row.hex for row in rows} - data.keys()
        for part in parts:
            if not missing:
                break
            found = self._of_part(part, missing)
            data |= found
            missing -= found.keys()
        data |= self._of_examples(sorted(missing))
        return [data[row.hex] for row in rows]

    def _of_examples(self, names: Sequence[str]) -> dict[str, bytes]:
        works = [Work(self._task.model, name, truth=False) for name in names]
        lost = [work.name for work in works if self._hand.is_set_aside(work)]
        if lost:
            raise RowsLostError(lost)
        if held := [work.name for work in works if not self._hand.lets(work)]:
            raise errors.UnavailableError(
                f"{len(held)} labelled examples are in another curator's hand, or were in one's that died: they are "
                f"looked at alone first ({held[0][:12]}…)"
            )
        data: dict[str, bytes] = {}
        for start in range(0, len(works), _IN_HAND_AT_ONCE):
            some = works[start : start + _IN_HAND_AT_ONCE]
            self._hand.take(some)
            read = {work.name: self._of_example(work) for work in some}
            self._hand.lay_down(some)
            lost += [name for name, row in read.items() if row is None]
            data |= {name: row for name, row in read.items() if row is not None}
        if lost:
            raise RowsLostError(lost)
        return data

    def _of_part(self, part: datasets.Part, names: set[str]) -> dict[str, bytes]:
        """None of a part that is gone or damaged, or whose rows are of another input."""
        task = self._task
        manifest = datasets.DatasetManifest(task.model, task.answers, task.input, (part,))
        try:
            content = blob_store.fetch(self._blobs, part.digest, dataset_parts.MAX_PART_BYTES)
            rows = dataset_parts.unpack(content, manifest, part.label_map)
        except (errors.NotFoundError, errors.IntegrityError, errors.InputError):
            return {}
        wanted = np.isin(rows.id, np.array([f"sha256:{name}".encode() for name in names], dtype=rows.id.dtype))
        little = rows.x.dtype.newbyteorder("<")
        return {
            digests.hex_of(rows.id[index].decode()): np.ascontiguousarray(rows.x[index], dtype=little).tobytes()
            for index in np.flatnonzero(wanted).tolist()
        }

    def _of_example(self, work: Work) -> bytes | None:
        path = contract.example_path(work.model, work.name)
        try:
            data = self._blobs.read(path, max_bytes=contract.MAX_EXAMPLE_BYTES)
            read = examples.read(data, f"sha256:{work.name}", self._task)
        except (errors.NotFoundError, errors.TooLargeError):
            return None
        except errors.UnavailableError:
            raise
        except Exception as exc:  # what nobody foresaw: it is tried alone
            self._hand.failed(work, exc)
            raise errors.UnavailableError(f"labelled example {work.name[:12]}… cannot be read: {exc!r}") from exc
        return read.row.tobytes() if isinstance(read, examples.Captured) and read.has_row else None
