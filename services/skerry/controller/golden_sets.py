"""Which golden sets hold an erased row: up to 16 rows of a version's holdout go to every node with it.

A version that serves is published again with the rows that are left (none: without a golden set, so that nodes try
its network on zeros), as another version of the same network; the old one retires when nothing uses it any more.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from skerry.adapters import blobs as blob_store
from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.objects.protocol import Object
from skerry.adapters.trust import repository as trust
from skerry.controller import condition_json, proposals, publish, retention
from skerry.controller.store import Store
from skerry.core import contract, digests, erasure_progress, errors, manifest, npz

BY_HAND = "roll out another version (`skerry retrain`; an import anew)"
_MAX_ROWS_BYTES = 64 << 20
_LIMITS = npz.Limits(64 << 20)


@dataclass(frozen=True, slots=True)
class Held:
    """A version whose golden set holds erased rows, so many of so many. `replaced_by`: the version of the same network
    without them, empty: there is none; `then` says for people what follows."""

    version: str
    digest: str
    rows: int
    of: int
    replaced_by: str = ""
    then: str = BY_HAND


def erased_inputs(blobs: Blobs, name: str) -> frozenset[str]:
    """`content_digest` of each row that the erasure removed. Raises IntegrityError, UnavailableError."""
    found: set[str] = set()
    for path in blobs.list(contract.erased_rows_folder(name)):
        rows = erasure_progress.unpack_rows(blobs.read(path, max_bytes=_MAX_ROWS_BYTES), path)
        found |= {row.input for row in rows}
    return frozenset(found)


class GoldenSets:
    """Finds them in the model repository, has others made in their place, and takes out what nothing uses any more."""

    def __init__(self, store: Store, blobs: Blobs, publisher: publish.Publisher) -> None:
        self._store, self._blobs, self._publisher = store, blobs, publisher
        self._repository = publisher.repository

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
            used = retention.in_use(self._store)
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

    def replace(self, held: Sequence[Held], *, now_ms: int) -> list[Held]:
        """Of each that is the stable version of its model and was trained here: another version of the same network,
        without a row that any erasure means, and what became of it. Raises UnavailableError."""
        return [self._replaced(one, now_ms) for one in held]

    def _replaced(self, one: Held, now_ms: int) -> Held:
        version = self._store.get("ModelVersion", one.version)
        if version.spec.get("source") != "Trained":
            return replace(one, then="it was imported: import it again without them")
        model = str(version.spec.get("model"))
        found = self._store.find("EdgeModel", model)
        stable = "" if found is None else str(found.status.get("stableVersion", ""))
        rollouts = [one for one in self._store.list("ModelRollout") if one.spec.get("model") == model]
        running = next((one for one in rollouts if not condition_json.is_terminal(one.status)), None)
        if stable != one.version:
            then = "it goes when nothing uses it any more" if running is None else f"{running.name} has yet to end"
            return replace(one, then=then)
        golden = self._golden(version)
        assert golden is not None  # it was searched just now
        candidate = self._without(version, *golden)
        made = self._published(model, candidate.digest)
        if made is None and running is not None:
            return replace(one, then=f"it is published again without them when {running.name} has ended")
        if made is None or not condition_json.is_true(made.status, "Available"):
            for data in candidate.contents.values():
                blob_store.put(self._blobs, data)  # a later run compares its network with this version
            made = self._publisher.publish_again(version, candidate, now_ms=now_ms)
        return replace(one, replaced_by=made.name, then=self._follows(made.name))

    def _without(self, version: Object, golden: bytes, parsed: manifest.Manifest) -> proposals.Candidate:
        """The version as it would be without the rows of all erasures: the same again, the same bytes."""
        names = [one.name for one in self._store.list("Erasure")]
        left = rows_left(golden, parsed, frozenset().union(*(erased_inputs(self._blobs, name) for name in names)))
        signed = self._repository.find_version(str(version.spec["targetPath"]))
        files = {role: file for role, file in parsed.files.items() if role != "golden"}
        contents = {file.name: self._repository.read_target(signed, file.name) for file in files.values()}
        if left:
            name = parsed.files["golden"].name
            files["golden"], contents[name] = manifest.file_of(name, left), left
        made = replace(parsed, files=files, parents=(str(version.spec["digest"]),))
        return proposals.Candidate(made.digest, made, {trust.MANIFEST: made.to_json(), **contents})

    def _published(self, model: str, digest: str) -> Object | None:
        versions = self._store.list("ModelVersion")
        return next(
            (one for one in versions if (one.spec.get("model"), one.spec.get("digest")) == (model, digest)), None
        )

    def _follows(self, version: str) -> str:
        text = f"{version} is the same network without them"
        rollout = self._store.find("ModelRollout", publish.rollout_name(version))
        if rollout is None:
            return f"{text}: roll it out (`skerry rollout start`), rollouts of this model are not automatic"
        if condition_json.is_terminal(rollout.status):
            return f"{text}, but its rollout {rollout.name} has ended ({rollout.status.get('phase')}): {BY_HAND}"
        return f"{text} and is being rolled out ({rollout.name})"

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
    try:
        arrays = npz.read(golden, "a golden set", _LIMITS, only=[name], error=errors.IntegrityError)
    except (errors.IntegrityError, errors.TooLargeError):
        return []  # no node takes such a version
    first = arrays.get(name, np.empty(0))
    little = np.ascontiguousarray(first, dtype=first.dtype.newbyteorder("<"))
    return [erasure_progress.content_digest(row.tobytes()) in inputs for row in little]


def rows_left(golden: bytes, parsed: manifest.Manifest, inputs: Collection[str]) -> bytes:
    """A golden set without the rows that were erased; empty when none is left."""
    kept = np.array([not erased for erased in erased_rows(golden, parsed, inputs)], dtype=np.bool_)
    if not kept.any():
        return b""
    arrays = npz.read(golden, "a golden set", _LIMITS, error=errors.IntegrityError)
    return npz.pack({name: rows[kept] for name, rows in arrays.items()})
