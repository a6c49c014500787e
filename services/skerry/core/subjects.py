"""Whom a row is of: the request parameter `skerry_subject`, and the keyed hash that is kept in its place.

The hash is HMAC-SHA256 under a key that agents and the operator have, and the cloud's storage has not: whoever reads
an example, a database or a backup cannot try out names. Without a key on the node a row of a named subject is not kept.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping

from skerry.core import errors
from skerry.core.inference import Parameter

SUBJECT = "skerry_subject"
MAX_SUBJECT_BYTES = 256
KEY_BYTES = 32
_HASH = re.compile("[0-9a-f]{64}")


def of(parameters: Mapping[str, Parameter]) -> str:
    """The subject as the caller named it, empty when it named none. Raises InputError naming the parameter."""
    given = parameters.get(SUBJECT)
    return "" if given is None else check(given)


def check(given: object) -> str:
    """Raises InputError."""
    if not isinstance(given, str) or not given or not given.isprintable() or len(given.encode()) > MAX_SUBJECT_BYTES:
        # What was given is not shown: it says whose row this is.
        raise errors.InputError(f"parameter {SUBJECT}: must be printable text of 1 to {MAX_SUBJECT_BYTES} bytes")
    return given


def hashed(subject: str, key: bytes) -> str:
    """64 hex digits."""
    return hmac.new(key, subject.encode(), hashlib.sha256).hexdigest()


def is_hash(text: str) -> bool:
    return _HASH.fullmatch(text) is not None


def read_key(text: str, where: str) -> bytes:
    """The key from a file's text: 64 hex digits. Raises InputError that does not show it."""
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise errors.InputError(f"{where} must hold a subject key, {2 * KEY_BYTES} hex digits: `openssl rand -hex 32`")
    return key
