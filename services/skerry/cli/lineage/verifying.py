"""Recomputes every digest along a lineage: examples, dataset manifests and parts, manifests and files of versions, and
the signature over them. Parts are hashed piece by piece; nothing is repaired."""

import functools
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from skerry.adapters import dataset_store
from skerry.adapters.blobs.protocol import SharedBlobs
from skerry.adapters.objects.protocol import Object
from skerry.adapters.trust import repository as trust
from skerry.cli.lineage.reading import Reading
from skerry.core import contract, digests, errors, lineage, manifest
from skerry.core.datasets import Part
from skerry.curator import labels

_CHUNK_BYTES = 1 << 20


@dataclass
class Verified:
    """`matches`: how many checks held. `differ`: (what, why) of those that did not; `unchecked` could not be made."""

    matches: int = 0
    differ: list[tuple[str, str]] = field(default_factory=list)
    unchecked: list[tuple[str, str]] = field(default_factory=list)

    def check(self, what: str, act: Callable[[], object]) -> None:
        """`act` raises where something is wrong. Raises UnavailableError."""
        try:
            act()
        except (errors.IntegrityError, errors.InputError) as exc:
            self.differ.append((what, str(exc)))
        else:
            self.matches += 1

    def to_json(self) -> dict[str, Any]:
        lists = {"differ": self.differ, "unchecked": self.unchecked}
        named = {key: [{"what": what, "why": why} for what, why in found] for key, found in lists.items()}
        return {"matches": self.matches, **named}


def verify(reading: Reading, found: lineage.Lineage, repository: trust.Repository) -> Verified:
    """Every fact of the lineage. Raises UnavailableError."""
    result, parts = Verified(), set[str]()
    for fact in _facts(found):
        match fact:
            case lineage.Example():
                _example(reading, fact, result)
            case lineage.Dataset():
                _dataset(reading, fact, result, parts)
            case lineage.Version():
                _version(reading, fact, result, repository)
            case _:
                pass  # a run and a node hold no content
    told = " ".join(what for what, _ in result.differ)
    result.differ += [(what, why) for what, why in sorted(reading.damaged.items()) if what.split(" of ")[0] not in told]
    return result


def _facts(found: lineage.Lineage) -> Iterator[lineage.Fact]:
    yield found.subject
    seen = {(type(found.subject), found.subject.name)}
    for side in (found.before, found.after):
        for facts in side.values():
            for fact in facts:
                if (key := (type(fact), fact.name)) not in seen:
                    seen.add(key)
                    yield fact


def _example(reading: Reading, fact: lineage.Example, result: Verified) -> None:
    what = f"example {fact.name}"
    hex_name, blobs = digests.hex_of(fact.name), reading.blobs
    if not fact.is_stored and not blobs.exists(contract.example_path(fact.model, hex_name)):
        result.unchecked.append((what, "it is not stored any more"))
    else:
        path = contract.example_path(fact.model, hex_name)
        read = blobs.read
        result.check(what, lambda: digests.verify(read(path, max_bytes=contract.MAX_EXAMPLE_BYTES), fact.name, what))
    path_of_label = contract.label_path(fact.model, hex_name)
    if fact.label is None and blobs.exists(path_of_label):
        result.differ.append((f"label of {fact.name}", f"blob {path_of_label} is no label of {labels.MAX_LABEL_BYTES} "
                              "bytes at most: it is damaged"))  # fmt: skip


def _dataset(reading: Reading, fact: lineage.Dataset, result: Verified, parts: set[str]) -> None:
    result.check(
        f"manifest of dataset {fact.name}", lambda: dataset_store.read_manifest(reading.blobs, fact.model, fact.name)
    )
    read = reading.manifest(fact.model, fact.name)
    for part in () if read is None else read.parts:
        if part.digest not in parts:
            parts.add(part.digest)
            what = f"part {part.digest} of dataset {fact.name}"
            result.check(what, functools.partial(_part, reading, part, fact.model))


def _part(reading: Reading, part: Part, model: str) -> None:
    """Raises IntegrityError, NotFoundError."""
    path = digests.blob_path(part.digest)
    if _digest_of(reading.blobs, path) != part.digest:
        raise errors.IntegrityError(f"blob {path} does not have its digest: it is damaged or was replaced")
    rows = sum(1 for _ in reading.ids(part, model))
    if rows != part.samples:
        raise errors.IntegrityError(f"it has {rows} rows, its manifest says {part.samples}")


def _digest_of(blobs: SharedBlobs, path: str) -> str:
    running, at, size = hashlib.sha256(), 0, blobs.stat(path).size_bytes
    while at < size:
        data = blobs.read_part(path, at, min(_CHUNK_BYTES, size - at))
        if not data:
            break
        running.update(data)
        at += len(data)
    return f"sha256:{running.hexdigest()}"


def _version(reading: Reading, fact: lineage.Version, result: Verified, repository: trust.Repository) -> None:
    if fact.gone:
        result.unchecked.append((f"files of {fact.name}", fact.gone))
        return
    thing = reading.objects.get("ModelVersion", fact.name)
    result.check(f"signature and files of {fact.name}", lambda: _signed(thing, repository, reading))
    if fact.source != "Imported" and fact.dataset is None:
        result.differ.append((f"manifest of {fact.name}", f"content {fact.digest} is missing or damaged"))


def _signed(thing: Object, repository: trust.Repository, reading: Reading) -> None:
    """Object, signed metadata, manifest and files say the same. Raises IntegrityError, NotFoundError."""
    spec = thing.spec
    signed = repository.find_version(str(spec.get("targetPath", "")))
    if (signed.model, signed.version, signed.digest) != (spec.get("model"), spec.get("version"), spec.get("digest")):
        raise errors.IntegrityError(
            f"it says {spec.get('digest')}, and {signed.target_path} is signed as {signed.digest}"
        )
    data = repository.read_target(signed, trust.MANIFEST)
    parsed = manifest.from_json(digests.verify(data, signed.digest, f"manifest of {thing.name}"))
    for file in parsed.files.values():
        if file.name not in signed.files:
            raise errors.IntegrityError(f"{file.name} is named by its manifest and not signed")
        digests.verify(repository.read_target(signed, file.name), file.digest, f"{signed.target_path}/{file.name}")
    named = str(spec.get("run", ""))
    run = next((one for one in reading.runs if one.name == named), None)
    if run is not None and parsed.dataset != run.dataset:
        raise errors.IntegrityError(f"its manifest names dataset {parsed.dataset}, its run {run.name} {run.dataset}")
