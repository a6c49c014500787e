"""Digests as text: `sha256:` and 64 hex digits, and where content by digest lies in object storage."""

import hashlib
import re

from skerry.core import errors

_FORM = re.compile(r"sha256:[0-9a-f]{64}")
HEX_CHARS = 64


def sha256(data: bytes) -> str:
    """The digest of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def check(text: str, what: str = "digest") -> str:
    """`text` when it is a digest. Raises InputError naming `what`."""
    if not _FORM.fullmatch(text):
        raise errors.InputError(f"{what} must be 'sha256:' and 64 lower-case hex digits, not {text[:80]!r}")
    return text


def hex_of(digest: str) -> str:
    """The 64 hex digits. Raises InputError for anything that is no digest."""
    return check(digest)[7:]


def blob_path(digest: str) -> str:
    """Where the content lies: `sha256/<first two hex digits>/<hex>`."""
    name = hex_of(digest)
    return f"sha256/{name[:2]}/{name}"


def verify(data: bytes, digest: str, what: str) -> bytes:
    """`data` when it has that digest. Raises IntegrityError naming `what`."""
    if sha256(data) != check(digest):
        raise errors.IntegrityError(f"{what} does not have its digest {digest}: it is damaged or was replaced")
    return data
