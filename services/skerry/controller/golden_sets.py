"""Which golden sets hold an erased row: up to 16 rows of a version's holdout go to every node with it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.objects.protocol import Object
from skerry.adapters.trust import repository as trust
from skerry.controller import condition_json, retention
from skerry.controller.store import Store
from skerry.core import contract, digests, erasure_progress, errors, manifest, npz

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


class GoldenSets:
    """Finds them in the model repository, and takes out of it what nothing uses any more."""

    def __init__(self, store: Store, blobs: Blobs, repository: trust.Repository) -> None:
        self._store, self._blobs, self._repository = store, blobs, repository

    def search(self, inputs: Collection[str], model: str) -> list[Held]:
        """The versions with files whose golden set holds a row of `inputs`. Raises UnavailableError."""
        held = []
        for version in self._store.list("ModelVersion") if inputs else ():
            if model not in ("", str(version.spec.get("model"))):
                continue
            found = self._golden(version)
            rows = erased_rows(*found, inputs) if found else []
            if any(rows):
                held.append(Held(version.name, str(version.spec.get("digest")), sum(rows), len(rows)))
        return held

    def retire(self, held: Sequence[Held], *, now_ms: int) -> None:
        """Those that were trained here and serve nowhere any more: first it is said, then their golden sets go; the
        rest of their files goes with the others that are retired."""
        try:
            used = retention.in_use(*(self._store.list(kind) for kind in ("EdgeModel", "EdgeNode", "ModelRollout")))
        except errors.InputError:
            return  # told of where nodes are read
        for one in held:
            version = self._store.get("ModelVersion", one.version)
            if version.spec.get("source") != "Trained" or {one.version, one.digest} & used:
                continue
            text = "its golden set held erased rows, and it is in use nowhere; its files are gone"
            status = condition_json.with_condition(version.status, "Available", "False", retention.ERASED, text, now_ms)
            self._store.put_status(version, status)
            found = self._golden(version)
            if found is not None:
                file = found[1].files["golden"]
                hexdigest = digests.hex_of(file.digest)
                self._repository.blobs.delete(f"targets/{version.spec['targetPath']}/{hexdigest}.{file.name}")
                self._blobs.delete(digests.blob_path(file.digest))

    def _golden(self, version: Object) -> tuple[bytes, manifest.Manifest] | None:
        """The golden set of a version, as it is signed; None where its files are gone, or it has none."""
        try:
            signed = self._repository.find_version(str(version.spec.get("targetPath")))
            parsed = manifest.from_json(self._repository.read_target(signed, trust.MANIFEST))
            file = parsed.files.get("golden")
            return (self._repository.read_target(signed, file.name), parsed) if file else None
        except (errors.InputError, errors.IntegrityError, KeyError):
            return None


def erased_rows(golden: bytes, parsed: manifest.Manifest, inputs: Collection[str]) -> list[bool]:
    """Of each row of a golden set: was it erased?"""
    name = parsed.inputs[0].name
    limits = npz.Limits(_MAX_GOLDEN_BYTES)
    try:
        arrays = npz.read(golden, "a golden set", limits, only=[name], error=errors.IntegrityError)
    except (errors.IntegrityError, errors.TooLargeError):
        return []  # no node takes such a version
    first = arrays.get(name, np.empty(0))
    little = np.ascontiguousarray(first, dtype=first.dtype.newbyteorder("<"))
    return [erasure_progress.content_digest(row.tobytes()) in inputs for row in little]
