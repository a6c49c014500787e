"""Blobs in an object store that fsspec knows (S3, GCS, Azure). A put of an object store is atomic by itself."""

from collections.abc import Iterator

import fsspec

from skerry.adapters.blobs import paths
from skerry.core import errors


class RemoteBlobs:
    """Objects below the URL `root`, for example `s3://bucket/skerry`. Credentials are the driver's own business."""

    def __init__(self, root: str) -> None:
        try:
            self._store, self._root = fsspec.url_to_fs(root)
        except (ImportError, ValueError) as exc:
            raise errors.InputError(f"cannot use object storage {root!r}: {exc}") from exc

    def _full(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{paths.check(path)}"

    def read(self, path: str, *, max_bytes: int) -> bytes:
        full = self._full(path)
        try:
            size = int(self._store.size(full) or 0)
            if size > max_bytes:
                raise errors.TooLargeError(f"blob {path} has {size} bytes, more than the limit of {max_bytes}")
            return bytes(self._store.cat_file(full))
        except FileNotFoundError as exc:
            raise errors.NotFoundError(f"there is no blob {path} in {self._root}") from exc
        except OSError as exc:
            raise errors.UnavailableError(f"object storage did not give {full}: {exc}") from exc

    def write(self, path: str, data: bytes) -> None:
        try:
            self._store.pipe_file(self._full(path), data)
        except OSError as exc:
            raise errors.UnavailableError(f"object storage did not take {path}: {exc}") from exc

    def exists(self, path: str) -> bool:
        try:
            return bool(self._store.exists(self._full(path)))
        except OSError as exc:
            raise errors.UnavailableError(f"object storage did not answer for {path}: {exc}") from exc

    def list(self, prefix: str) -> Iterator[str]:
        self._store.invalidate_cache()
        try:
            found = self._store.find(self._full(prefix))
        except FileNotFoundError:
            found = []
        except OSError as exc:
            raise errors.UnavailableError(f"object storage did not list {prefix}: {exc}") from exc
        cut = len(self._root.rstrip("/")) + 1
        return iter(sorted(path[cut:] for path in found))

    def delete(self, path: str) -> None:
        try:
            self._store.rm_file(self._full(path))
        except FileNotFoundError:
            return
        except OSError as exc:
            raise errors.UnavailableError(f"object storage did not delete {path}: {exc}") from exc
