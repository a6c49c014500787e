"""Object storage by path. A write is atomic and durable when it returns; paths are relative, `/`-separated, checked."""

from collections.abc import Iterator
from typing import Protocol


class Blobs(Protocol):
    """Raises NotFoundError, InputError (bad path), UnavailableError (storage did not answer, disk full)."""

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """The whole blob. Raises TooLargeError when it is longer than `max_bytes`."""
        ...

    def write(self, path: str, data: bytes) -> None: ...

    def exists(self, path: str) -> bool: ...

    def list(self, prefix: str) -> Iterator[str]:
        """Paths below the folder `prefix`, sorted."""
        ...

    def delete(self, path: str) -> None: ...
