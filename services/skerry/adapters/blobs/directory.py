"""Blobs in a directory: written beside, synced, renamed; so a reader sees a blob whole or not at all."""

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from skerry.adapters import files
from skerry.adapters.blobs import paths
from skerry.adapters.blobs.protocol import Entry
from skerry.core import errors

_LOCK = ".lock"  # no blob: a segment never begins with a dot


class DirectoryBlobs:
    """One file per blob below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, path: str, *, max_bytes: int) -> bytes:
        data = self._read(path, 0, max_bytes + 1)
        if len(data) > max_bytes:
            size = self.stat(path).size_bytes
            raise errors.TooLargeError(f"blob {path} has {size} bytes, more than the limit of {max_bytes}")
        return data

    def read_part(self, path: str, start: int, size_bytes: int) -> bytes:
        return self._read(path, start, size_bytes)

    def _read(self, path: str, start: int, size_bytes: int) -> bytes:
        file = self._root / paths.check(path)
        try:
            with file.open("rb") as source:
                source.seek(start)
                return source.read(min(size_bytes, os.fstat(source.fileno()).st_size))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as exc:
            raise errors.NotFoundError(f"there is no blob {path} in {self._root}") from exc
        except OSError as exc:
            raise errors.UnavailableError(f"cannot read blob {file}: {exc.strerror}") from exc

    def write(self, path: str, data: bytes) -> None:
        files.write(self._root / paths.check(path), data)

    def create(self, path: str, data: bytes) -> None:
        if self.exists(path):  # it cannot be made meanwhile: callers hold the lock
            if self.read_part(path, 0, len(data) + 1) == data:
                return
            raise errors.ConflictError(f"blob {path} in {self._root} was written by another writer: read it again")
        self.write(path, data)

    def replace(self, path: str, data: bytes, tag: str) -> None:
        if self.stat(path).tag != tag:
            raise errors.ConflictError(f"blob {path} in {self._root} was written by another writer: read it again")
        self.write(path, data)

    def locked(self) -> AbstractContextManager[None]:
        return files.locked(self._root / _LOCK)

    def exists(self, path: str) -> bool:
        return (self._root / paths.check(path)).is_file()

    def stat(self, path: str) -> Entry:
        file = self._root / paths.check(path)
        try:
            status = file.stat()
            if not stat.S_ISREG(status.st_mode):
                raise FileNotFoundError(file)
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise errors.NotFoundError(f"there is no blob {path} in {self._root}") from exc
        except OSError as exc:
            raise errors.UnavailableError(f"cannot look at blob {path} in {self._root}: {exc.strerror}") from exc
        return Entry(
            path, status.st_size, status.st_mtime, f"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_size:x}"
        )

    def list(self, prefix: str) -> Iterator[str]:
        paths.check(prefix)
        return iter(_names(self._root, prefix))

    def entries(self, prefix: str) -> Iterator[Entry]:
        for path in _names(self._root, paths.check_prefix(prefix)):
            try:
                yield self.stat(path)
            except errors.NotFoundError:
                continue  # removed since it was listed

    def delete(self, path: str) -> None:
        try:
            (self._root / paths.check(path)).unlink(missing_ok=True)
        except OSError as exc:
            raise errors.UnavailableError(f"cannot delete blob {path} in {self._root}: {exc.strerror}") from exc


def _names(root: Path, prefix: str) -> list[str]:
    """Paths below a folder, sorted. Texts, not Paths: a listing may have a hundred thousand names."""
    cut = len(str(root).rstrip("/")) + 1
    walk = os.walk(root / prefix)
    return sorted(f"{at}/{name}"[cut:] for at, _, names in walk for name in names if not name.startswith("."))
