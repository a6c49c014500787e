"""Reading arrays from npz files that a person brings: no pickles, nothing beyond stated bounds."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from skerry.core import errors, npz

MAX_UNPACKED_BYTES = 2 << 30


def read(path: Path, *, max_bytes: int = MAX_UNPACKED_BYTES) -> dict[str, NDArray[Any]]:
    """All arrays of an npz file by name. Raises NotFoundError, TooLargeError, InputError."""
    if not path.is_file():
        raise errors.NotFoundError(f"there is no file {path}")
    try:
        with path.open("rb") as file:
            return npz.read(file, str(path), npz.Limits(max_bytes))
    except OSError as exc:
        raise errors.InputError(f"{path} cannot be read: {exc.strerror}") from exc
