"""The bytes of captured rows that are not in memory: from parts that hold them already, else from their examples. Never
from an example where a part has the row: what kills its readers now was read when it was packed."""

from collections.abc import Iterable, Sequence

import numpy as np

from skerry.adapters import blobs as blob_store
from skerry.adapters.blobs.protocol import Blobs
from skerry.core import contract, dataset_parts, datasets, digests, errors
from skerry.curator import examples
from skerry.curator.captured_rows import Row
from skerry.curator.label_task import LabelTask


class RowsLostError(errors.NotFoundError):
    """Examples of these `names` (hex digits) are not in storage any more, or are damaged there."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"{len(names)} examples cannot be read any more, the first is {names[0]}")
        self.names = frozenset(names)


class StoredRows:
    """One model's."""

    def __init__(self, blobs: Blobs, task: LabelTask) -> None:
        self._blobs, self._task = blobs, task

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
        lost = []
        for name in sorted(missing):
            if (row := self._of_example(name)) is None:
                lost.append(name)
            else:
                data[name] = row
        if lost:
            raise RowsLostError(lost)
        return [data[row.hex] for row in rows]

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

    def _of_example(self, name: str) -> bytes | None:
        path = contract.example_path(self._task.model, name)
        try:
            data = self._blobs.read(path, max_bytes=contract.MAX_EXAMPLE_BYTES)
        except (errors.NotFoundError, errors.TooLargeError):
            return None
        read = examples.read(data, f"sha256:{name}", self._task)
        return read.row.tobytes() if isinstance(read, examples.Captured) and read.has_row else None
