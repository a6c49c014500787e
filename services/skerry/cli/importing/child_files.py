"""Files that the process that tried a network leaves for its parent. It ran what others made: a file may be missing, no
file at all, of any size, and hold anything; so each one is bounded, and every fault is an IntegrityError that says what
was left."""

import json
import os
import stat
from pathlib import Path
from typing import Any

from skerry.core import errors

MAX_JSON_BYTES = 1 << 20
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe without a writer holds nobody up


def read(path: Path, max_bytes: int) -> bytes:
    """Raises IntegrityError."""
    try:
        with os.fdopen(os.open(path, _OPEN), "rb") as source:
            if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
                raise fault(f"{path.name} that is no file")
            data = source.read(max_bytes + 1)
    except OSError as exc:
        raise fault(f"no {path.name} that can be read: {exc.strerror}") from exc
    if len(data) > max_bytes:
        raise fault(f"{path.name} of more than {max_bytes} bytes")
    return data


def read_json(path: Path) -> Any:
    """Raises IntegrityError."""
    try:
        return json.loads(read(path, MAX_JSON_BYTES))
    except (ValueError, RecursionError) as exc:
        raise fault(f"{path.name} that is no JSON: {exc!s:.200}") from exc


def fault(left: str) -> errors.IntegrityError:
    return errors.IntegrityError(f"the process that tried the network left {left}; nothing of it is taken")
