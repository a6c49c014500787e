"""Blobs in a directory: written beside, synced, renamed; so a reader sees a blob whole or not at all."""

import os
from collections.abc import Iterator
from pathlib import Path

from skerry.adapters import files
from skerry.adapters.blobs import paths
from skerry.core import errors


class DirectoryBlobs:
    """One file per blob below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, path: str, *, max_bytes: int) -> bytes:
        file = self._root / paths.check(path)
        try:
            with file.open("rb") as source:
                size = os.fstat(source.fileno()).st_size
                if size > max_bytes:
                    raise errors.TooLargeError(f"blob {path} has {size} bytes, more than the limit of {max_bytes}")
                return source.read(max_bytes + 1)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as exc:
            raise errors.NotFoundError(f"there is no blob {path} in {self._root}") from exc
        except OSError as exc:
            raise errors.UnavailableError(f"cannot read blob {file}: {exc.strerror}") from exc

    def write(self, path: str, data: bytes) -> None:
        files.write(self._root / paths.check(path), data)

    def exists(self, path: str) -> bool:
        return (self._root / paths.check(path)).is_file()

    def list(self, prefix: str) -> Iterator[str]:
        top, cut = self._root / paths.check(prefix), len(str(self._root).rstrip("/")) + 1
        walk = os.walk(top)  # texts, not Paths: a listing may have a hundred thousand names
        return iter(sorted(f"{at}/{name}"[cut:] for at, _, names in walk for name in names if not name.startswith(".")))

    def delete(self, path: str) -> None:
        try:
            (self._root / paths.check(path)).unlink(missing_ok=True)
        except OSError as exc:
            raise errors.UnavailableError(f"cannot delete blob {path} in {self._root}: {exc.strerror}") from exc
