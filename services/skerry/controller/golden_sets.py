"""Which golden sets hold an erased row: up to 16 rows of a version's holdout go to every node with it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from skerry.adapters import blobs as blob_store
from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.objects.protocol import Object
from skerry.controller import condition_json
from skerry.core import contract, erasure_progress, errors, manifest, npz

_MAX_ROWS_BYTES = _MAX_GOLDEN_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Held:
    """A version whose golden set holds erased rows, so many of so many."""

    version: str
    digest: str
    rows: int
    of: int


def erased_inputs(blobs: Blobs, name: str) -> frozenset[str]:
    """`content_digest` of each row that the erasure removed. Raises IntegrityError, UnavailableError."""
    found: set[str] = set()
    for path in blobs.list(contract.erased_rows_folder(name)):
        rows = erasure_progress.unpack_rows(blobs.read(path, max_bytes=_MAX_ROWS_BYTES), path)
        found |= {row.input for row in rows}
    return frozenset(found)


def search(blobs: Blobs, versions: Sequence[Object], inputs: Collection[str], model: str) -> list[Held]:
    """The versions with files whose golden set holds a row of `inputs`. Raises UnavailableError."""
    held = []
    for version in versions if inputs else ():
        is_there = condition_json.is_true(version.status, "Available")
        if not is_there or model not in ("", str(version.spec.get("model"))):
            continue
        try:
            digest = str(version.spec.get("digest"))
            parsed = manifest.from_json(blob_store.fetch(blobs, digest, manifest.MAX_BYTES))
            file = parsed.files.get("golden")
            golden = blob_store.fetch(blobs, file.digest, _MAX_GOLDEN_BYTES) if file else b""
            rows = erased_rows(golden, parsed, inputs) if golden else []
        except (errors.InputError, errors.IntegrityError):
            continue  # an import keeps its files elsewhere: no captured row is in it
        if any(rows):
            held.append(Held(version.name, digest, sum(rows), len(rows)))
    return held


def erased_rows(golden: bytes, parsed: manifest.Manifest, inputs: Collection[str]) -> list[bool]:
    """Of each row of a golden set: was it erased? Raises IntegrityError."""
    name = parsed.inputs[0].name
    what = f"the golden set of {parsed.model}"
    arrays = npz.read(golden, what, npz.Limits(_MAX_GOLDEN_BYTES), only=[name], error=errors.IntegrityError)
    first = arrays.get(name, np.empty(0))
    little = np.ascontiguousarray(first, dtype=first.dtype.newbyteorder("<"))
    return [erasure_progress.content_digest(row.tobytes()) in inputs for row in little]
