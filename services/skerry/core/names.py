"""Names of objects: one rule for every store, for what nodes report, and for what a node is told to be called."""

import re

from skerry.core import errors

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,118}[a-z0-9])?")


def is_name(name: str) -> bool:
    """Names are DNS-like, as in Kubernetes."""
    return _NAME.fullmatch(name) is not None


def check(kind: str, name: str) -> str:
    """`name`, the name of an object of `kind`. Raises InputError."""
    if not is_name(name):
        raise errors.InputError(
            f"{kind} name {name[:80]!r} must be 1-120 lower-case letters, digits, '-' or '.', "
            "beginning and ending with a letter or digit"
        )
    return name
