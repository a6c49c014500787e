"""Blobs in memory: the twin that tests use."""

from collections.abc import Iterator

from skerry.adapters.blobs import paths
from skerry.core import errors


class MemoryBlobs:
    """Same promises as the real ones, but for durability."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    def read(self, path: str, *, max_bytes: int) -> bytes:
        try:
            data = self._blobs[paths.check(path)]
        except KeyError as exc:
            raise errors.NotFoundError(f"there is no blob {path}") from exc
        if len(data) > max_bytes:
            raise errors.TooLargeError(f"blob {path} has {len(data)} bytes, more than the limit of {max_bytes}")
        return data

    def write(self, path: str, data: bytes) -> None:
        self._blobs[paths.check(path)] = bytes(data)

    def exists(self, path: str) -> bool:
        return paths.check(path) in self._blobs

    def list(self, prefix: str) -> Iterator[str]:
        start = f"{paths.check(prefix)}/"
        return iter(sorted(path for path in self._blobs if path.startswith(start)))

    def delete(self, path: str) -> None:
        self._blobs.pop(paths.check(path), None)
