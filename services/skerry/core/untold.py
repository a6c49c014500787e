"""Entries that the stream of new work did not take, as blobs: what is acknowledged was told of there or here."""

import json
from collections.abc import Iterator, Mapping, Sequence

from skerry.core import contract, digests, errors

MAX_BYTES = 1 << 20
_MAX_ENTRIES = 1000  # of a blob


def pack(entries: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, bytes]]:
    """Path and content of each blob; the same entries are the same blobs."""
    for at in range(0, len(entries), _MAX_ENTRIES):
        some = [dict(entry) for entry in entries[at : at + _MAX_ENTRIES]]
        data = json.dumps(some, separators=(",", ":")).encode()
        yield f"{contract.UNTOLD_FOLDER}/{digests.hex_of(digests.sha256(data))}", data


def unpack(data: bytes, path: str) -> list[dict[str, str]]:
    """Raises IntegrityError."""
    try:
        return [{str(key): str(value) for key, value in entry.items()} for entry in json.loads(data)]
    except (ValueError, TypeError, AttributeError, RecursionError) as exc:
        raise errors.IntegrityError(f"blob {path} holds no entries of the stream: {exc!r:.200}") from exc
