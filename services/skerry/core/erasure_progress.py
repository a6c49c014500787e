"""What the curator leaves for the controller of an erasure, in object storage: how far it is, and what it removed.

The document is written again as it goes; of the removed rows a record of 64 bytes each is written *before* they go, so
that a process that dies in between loses no trace of what golden sets and parts are still to be searched for.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from skerry.core import digests, errors

MAX_BYTES = 4 << 20
MAX_DATASETS = 10_000
ROW_BYTES = 64  # the example's id, and the digest of its input
RUNNING, DONE = "Running", "Done"


@dataclass(frozen=True, slots=True)
class Row:
    """An example that was removed: hex digits of its id and `content_digest` of its input."""

    example: str
    input: str


@dataclass(frozen=True, slots=True)
class Progress:
    """`uid` is the Erasure's: another one of its name is another matter. `datasets` counts erased rows by (model,
    dataset); `faults` says what could not be searched, by path."""

    uid: str
    state: str = RUNNING
    examples: int = 0
    parts: int = 0
    datasets: Mapping[tuple[str, str], int] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        return self.state == DONE

    def to_json(self) -> bytes:
        named = [{"model": model, "dataset": one, "rows": rows} for (model, one), rows in self.datasets.items()]
        document = {
            "uid": self.uid,
            "state": self.state,
            "examples": self.examples,
            "parts": self.parts,
            "datasets": named[:MAX_DATASETS],
            "faults": dict(self.faults),
        }
        return json.dumps(document, sort_keys=True).encode()


def from_json(data: bytes, where: str) -> Progress:
    """Raises IntegrityError."""
    try:
        document = json.loads(data)
        named = {(str(one["model"]), str(one["dataset"])): int(one["rows"]) for one in document["datasets"]}
        state = str(document["state"])
        if state not in (RUNNING, DONE):
            raise ValueError(f"state {state!r:.40}")
        faults = {str(path): str(why) for path, why in document["faults"].items()}
        return Progress(str(document["uid"]), state, int(document["examples"]), int(document["parts"]), named, faults)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise errors.IntegrityError(f"{where} does not say how far an erasure is: {exc!r:.200}") from exc


def pack_rows(rows: Iterable[Row]) -> bytes:
    return b"".join(bytes.fromhex(row.example) + bytes.fromhex(row.input) for row in rows)


def unpack_rows(data: bytes, where: str) -> list[Row]:
    """Raises IntegrityError."""
    if len(data) % ROW_BYTES:
        raise errors.IntegrityError(f"{where} has {len(data)} bytes: rows of {ROW_BYTES} were written there")
    texts = (data[at : at + ROW_BYTES].hex() for at in range(0, len(data), ROW_BYTES))
    return [Row(text[:ROW_BYTES], text[ROW_BYTES:]) for text in texts]


def content_digest(raw: bytes) -> str:
    """64 hex digits of a row's input as it was sent (little-endian): equal in an example, a part and a golden set."""
    return hashlib.sha256(raw).hexdigest()


def tombstone(part: str, model: str, rows: int, erased: Mapping[str, int], at_unix_ms: int) -> bytes:
    """What lies in the place of a removed part: how many rows it had, and how many of them each Erasure meant."""
    document: dict[str, Any] = {
        "part": digests.check(part, "digest of a removed part"),
        "model": model,
        "rows": rows,
        "erased": dict(erased),
        "atUnixMs": at_unix_ms,
    }
    return json.dumps(document, sort_keys=True).encode()
