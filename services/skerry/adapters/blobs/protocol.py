"""Object storage by path. A write is atomic and durable when it returns; paths are relative, `/`-separated, checked."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Entry:
    """A blob without its content. `tag` is another one whenever the blob was written again with other content."""

    path: str
    size_bytes: int
    modified_unix_s: float
    tag: str


class SharedBlobs(Blobs, Protocol):
    """Blobs whose writers may meet, and whose content may be too large for memory. On a directory writers wait for
    `locked`; object storage has no lock, there `create` and `replace` tell the one who came second. A caller does
    both: what it decides from, it reads under `locked`, and on ConflictError it begins again."""

    def stat(self, path: str) -> Entry:
        """Raises NotFoundError."""
        ...

    def entries(self, prefix: str) -> Iterator[Entry]:
        """As `list`; an empty `prefix` means everything."""
        ...

    def read_part(self, path: str, start: int, size_bytes: int) -> bytes:
        """`size_bytes` bytes from byte `start` on; fewer at the end of the blob."""
        ...

    def create(self, path: str, data: bytes) -> None:
        """Write unless there is a blob already. Raises ConflictError when there is one with other content."""
        ...

    def replace(self, path: str, data: bytes, tag: str) -> None:
        """Write while the blob is still the one that `stat` gave `tag` for. Raises ConflictError when it is not."""
        ...

    def locked(self) -> AbstractContextManager[None]:
        """One writer at a time, where the storage can. Not reentrant. Raises UnavailableError after 30 s."""
        ...
