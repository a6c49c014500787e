"""What is a blob path: relative, `/`-separated, no dot segments, bounded. Checked before any storage sees it."""

import re

from skerry.core import errors

MAX_PATH_CHARS = 512
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")


def check(path: str) -> str:
    """`path` when it is one. Raises InputError."""
    if len(path) > MAX_PATH_CHARS or not all(_SEGMENT.fullmatch(segment) for segment in path.split("/")):
        raise errors.InputError(
            f"blob path {path[:80]!r} must be segments of letters, digits, '_', '-' and '.', joined by '/'"
        )
    return path


def check_prefix(prefix: str) -> str:
    """As `check`; the empty prefix is the root. Raises InputError."""
    return check(prefix) if prefix else ""
