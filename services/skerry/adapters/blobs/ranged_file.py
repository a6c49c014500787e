"""A blob as a file that seeks: only the ranges that are read leave storage, so one array of a large npz is cheap."""

import io
from typing import Any

from skerry.adapters.blobs.protocol import SharedBlobs

_BUFFER_BYTES = 256 << 10


def opened(blobs: SharedBlobs, path: str) -> io.BufferedReader:
    """Raises NotFoundError, UnavailableError; so does reading."""
    return io.BufferedReader(_Ranges(blobs, path), _BUFFER_BYTES)


class _Ranges(io.RawIOBase):
    def __init__(self, blobs: SharedBlobs, path: str) -> None:
        self._blobs, self._path, self._at = blobs, path, 0
        self._size = blobs.stat(path).size_bytes

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), max(0, self._size - self._at))
        data = self._blobs.read_part(self._path, self._at, wanted) if wanted else b""
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
