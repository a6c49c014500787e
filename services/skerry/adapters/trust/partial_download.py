"""Unfinished downloads of target files, kept so that the next attempt goes on where this one broke off.

A target's name begins with the hash of its content, so what is kept under a name belongs to it or is damaged; only
the hash, checked when everything is there, decides. Nothing here is durable: after a power cut a download may begin
again. Downloading is `fetcher`'s, believing `client`'s.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

_OLDEST_S = 86_400.0
_CHUNK_BYTES = 64 * 1024


class PartialDownload:
    """`<folder>/<name>` and beside it, in `<name>.tag`, the server's validator (ETag) of what it was sending."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file, self._tag_file = folder / name, folder / f"{name}.tag"

    @property
    def size_bytes(self) -> int:
        try:
            return self._file.stat().st_size
        except OSError:
            return 0

    @property
    def tag(self) -> str:
        try:
            return self._tag_file.read_text()
        except (OSError, UnicodeDecodeError):
            return ""

    def headers(self) -> dict[str, str]:
        """What asks for the rest, or for everything when the server's file changed; nothing when nothing is kept."""
        if not self.size_bytes:
            return {}
        tag = self.tag
        return {"Range": f"bytes={self.size_bytes}-", **({"If-Range": tag} if tag else {})}

    def begin(self, tag: str) -> None:
        """Start with nothing, of a file that the server calls `tag`. Raises OSError."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_bytes(b"")
        self._tag_file.write_text(tag)

    def read(self) -> Iterator[bytes]:
        with self._file.open("rb") as source:
            while chunk := source.read(_CHUNK_BYTES):
                yield chunk

    def keep(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Pass `chunks` on, each kept first. Raises OSError (disk full)."""
        with self._file.open("ab", buffering=0) as out:
            for chunk in chunks:
                out.write(chunk)
                yield chunk

    def forget(self) -> None:
        for path in (self._file, self._tag_file):
            with contextlib.suppress(OSError):
                path.unlink()


def make_room(folder: Path, name: str, limit_bytes: int) -> None:
    """Of what is kept beside `name`, remove what is older than a day, then the oldest until `limit_bytes` hold it."""
    kept = []
    for path in folder.glob("*"):
        with contextlib.suppress(OSError):
            if not path.name.endswith(".tag") and path.name != name:
                kept.append((path.stat().st_mtime, path.stat().st_size, path.name))
    kept.sort(reverse=True)
    total = 0
    for modified, size, other in kept:
        total += size
        if total > limit_bytes or time.time() - modified > _OLDEST_S:
            PartialDownload(folder, other).forget()
