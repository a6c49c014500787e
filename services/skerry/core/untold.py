"""Entries that the stream of new work did not take, as a blob: what is acknowledged was told of there or here."""

import json
from collections.abc import Mapping, Sequence

from skerry.core import contract, digests, errors

MAX_BYTES = 1 << 20


def pack(entries: Sequence[Mapping[str, str]]) -> tuple[str, bytes]:
    """Path and content; the same entries are one blob."""
    data = json.dumps([dict(entry) for entry in entries], separators=(",", ":")).encode()
    return f"{contract.UNTOLD_FOLDER}/{digests.hex_of(digests.sha256(data))}", data


def unpack(data: bytes, path: str) -> list[dict[str, str]]:
    """Raises IntegrityError."""
    try:
        return [{str(key): str(value) for key, value in entry.items()} for entry in json.loads(data)]
    except (ValueError, TypeError, AttributeError, RecursionError) as exc:
        raise errors.IntegrityError(f"blob {path} holds no entries of the stream: {exc!r:.200}") from exc
