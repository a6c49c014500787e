"""Reading arrays from npz files that somebody brings: no pickles, nothing beyond stated bounds."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors

MAX_UNPACKED_BYTES = 2 << 30
MAX_ARRAYS = 64
# What zipfile and numpy raise for bytes that are no npz, cut or altered anywhere (a huge declared shape: MemoryError).
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    OSError,
    EOFError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
    SyntaxError,
)


def read(path: Path, *, max_bytes: int = MAX_UNPACKED_BYTES) -> dict[str, NDArray[Any]]:
    """All arrays of an npz file by name. Raises InputError, TooLargeError."""
    if not path.is_file():
        raise errors.NotFoundError(f"there is no file {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        unpacked = sum(member.file_size for member in members)
        if unpacked > max_bytes or len(members) > MAX_ARRAYS:
            raise errors.TooLargeError(
                f"{path} holds {len(members)} arrays of {unpacked} bytes: "
                f"at most {MAX_ARRAYS} arrays of {max_bytes} bytes in all are read"
            )
        with np.load(path, allow_pickle=False) as loaded:
            return {name: loaded[name] for name in loaded.files}
    except _UNREADABLE as exc:
        raise errors.InputError(f"{path} is not a readable npz of plain arrays: {exc}") from exc
