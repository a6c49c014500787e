"""The nodes and keys that may speak for the fleet now, as a list for a server that has no objects to ask.

A node is one entry, a line: the hash of its id and of the one key that is approved for it. A reader of the list can
tell whether a certificate that is presented counts, and learns no name from it.
"""

import hashlib
import re
from collections.abc import Iterable

from skerry.core import errors, identity

_HEAD = "skerry members 1"
_ENTRY = re.compile(r"[0-9a-f]{64}")


def entry_of(node: identity.NodeId, key: str) -> str:
    """The entry of a node that speaks with this key (`sha256:…` of its public key)."""
    return hashlib.sha256(f"{node} {key}".encode()).hexdigest()


def render(entries: Iterable[str]) -> bytes:
    """The same bytes for the same nodes, in whatever order they come."""
    return "\n".join([_HEAD, *sorted(entries), ""]).encode()


def read(data: bytes) -> frozenset[str]:
    """The entries of a list. Raises InputError for anything that is not a whole one."""
    head, *lines = data.decode("ascii", "replace").split("\n")
    if head != _HEAD or not lines or lines.pop() or not all(map(_ENTRY.fullmatch, lines)):
        raise errors.InputError(f"what begins with {head[:40]!r} is no list of the fleet's nodes")
    return frozenset(lines)
