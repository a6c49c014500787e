"""Blobs in memory: the twin that tests use."""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager

from skerry.adapters.blobs import paths
from skerry.adapters.blobs.protocol import Entry
from skerry.core import errors


class MemoryBlobs:
    """Same promises as the real ones, but for durability. Like object storage it has no lock. `clock_unix_s` is when
    blobs are said to be written."""

    def __init__(self) -> None:
        self.clock_unix_s = 0.0
        self._blobs: dict[str, bytes] = {}
        self._written: dict[str, tuple[float, int]] = {}
        self._writes = 0

    def read(self, path: str, *, max_bytes: int) -> bytes:
        data = self._get(path)
        if len(data) > max_bytes:
            raise errors.TooLargeError(f"blob {path} has {len(data)} bytes, more than the limit of {max_bytes}")
        return data

    def read_part(self, path: str, start: int, size_bytes: int) -> bytes:
        return self._get(path)[start : start + size_bytes]

    def _get(self, path: str) -> bytes:
        try:
            return self._blobs[paths.check(path)]
        except KeyError as exc:
            raise errors.NotFoundError(f"there is no blob {path}") from exc

    def write(self, path: str, data: bytes) -> None:
        self._writes += 1
        self._blobs[paths.check(path)] = bytes(data)
        self._written[path] = (self.clock_unix_s, self._writes)

    def create(self, path: str, data: bytes) -> None:
        if self._blobs.get(paths.check(path), data) != data:
            raise errors.ConflictError(f"blob {path} was written by another writer: read it again")
        self.write(path, data)

    def replace(self, path: str, data: bytes, tag: str) -> None:
        if self.stat(path).tag != tag:
            raise errors.ConflictError(f"blob {path} was written by another writer: read it again")
        self.write(path, data)

    def locked(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def exists(self, path: str) -> bool:
        return paths.check(path) in self._blobs

    def stat(self, path: str) -> Entry:
        size_bytes, (modified, number) = len(self._get(path)), self._written[path]
        return Entry(path, size_bytes, modified, str(number))

    def list(self, prefix: str) -> Iterator[str]:
        start = f"{paths.check(prefix)}/"
        return iter(sorted(path for path in self._blobs if path.startswith(start)))

    def entries(self, prefix: str) -> Iterator[Entry]:
        start = f"{prefix}/" if paths.check_prefix(prefix) else ""
        return iter([self.stat(path) for path in sorted(self._blobs) if path.startswith(start)])

    def delete(self, path: str) -> None:
        self._blobs.pop(paths.check(path), None)
