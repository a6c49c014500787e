"""Taking a backup of a system, which may run meanwhile.

Everything is looked at in the order *who names* before *who is named*: objects, then the repository's timestamp, its
metadata, its targets, then labels, datasets, examples and last the content by digest. Writers write the other way round
and clean up much later, so whatever one part of the backup names, a later part holds.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from skerry.adapters import blobs as blob_store
from skerry.adapters import objects as object_store
from skerry.adapters.blobs.protocol import SharedBlobs
from skerry.adapters.objects.protocol import Object
from skerry.cli.backup import archive
from skerry.cli.locations import Locations
from skerry.core import digests, errors, urls

# Who names before who is named; a rollout's writes go from the last of these to the first.
KINDS = (
    "AuditRecord",
    "Erasure",
    "Exclusion",
    "EdgeNode",
    "JoinToken",
    "ModelRollout",
    "TrainingRun",
    "EdgeModel",
    "EdgeFleet",
    "ModelVersion",
)
PREFIXES = ("audit", "labels", "truths", "proposals", "runs", "datasets", "examples", "sha256")
TIMESTAMP = "metadata/timestamp.json"
_IN_MEMORY_BYTES = 32 << 20


@dataclass
class Saved:
    """What is in the archive by now. `vanished`: was cleaned up while the backup was taken."""

    objects: int = 0
    blobs: int = 0
    files: int = 0
    keys: int = 0
    vanished: int = 0
    size_bytes: int = 0
    missing: list[str] = field(default_factory=list)


def save(locations: Locations, out: IO[bytes], *, with_keys: bool, now_unix_ms: int) -> Mapping[str, Any]:
    """Write the archive to `out`; returns its manifest, `missing` naming content that objects name and nobody has.

    Raises UnavailableError, NotFoundError (the system was never started), TooLargeError (a blob of more than 512 MiB).
    """
    writer, saved = archive.Writer(out), Saved()
    with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as kept:
        named = _keep_objects(object_store.open_objects(locations.objects), kept, saved)
        _save_repository(blob_store.open_shared(locations.repository), writer, saved)
        held = _save_blobs(blob_store.open_shared(locations.blobs), writer, saved)
        if locations.teacher is not None:
            saved.files += _copy(_folder(locations.teacher), "", "teacher", writer, saved)
        if with_keys and locations.keys is not None:
            saved.keys = _copy(_folder(locations.keys), "", "keys", writer, saved)
        kept.seek(0)
        for line in kept:
            document = json.loads(line)
            writer.add(f"objects/{document['kind']}/{document['name']}.json", line)
    saved.missing = sorted(named - held)
    about = {
        "createdUnixMs": now_unix_ms,
        "objects": saved.objects,
        "blobs": saved.blobs,
        "files": saved.files,
        "keys": saved.keys,
        "vanished": saved.vanished,
        "missing": saved.missing,
    }
    return writer.finish(about)


def _folder(path: Path) -> SharedBlobs:
    return blob_store.open_shared(urls.of_path("file", str(path)))


def _keep_objects(store: object_store.Objects, kept: IO[bytes], saved: Saved) -> set[str]:
    """One line of JSON each, kept for the end of the archive. Returns the digests whose content must be there."""
    named = set()
    for kind in KINDS:
        for thing in store.list(kind):
            kept.write(json.dumps(_document(thing), separators=(",", ":")).encode() + b"\n")
            saved.objects += 1
            named |= set(_digests(thing))
    return named


def _document(thing: Object) -> dict[str, Any]:
    return {
        "kind": thing.kind,
        "name": thing.name,
        "spec": thing.spec,
        "status": thing.status,
        "labels": thing.labels,
        "createdUnixMs": thing.created_unix_ms,
    }


def _digests(thing: Object) -> Iterator[str]:
    """Content that this object cannot be without: a model's dataset, a version's manifest, a run's log."""
    named_by_kind = {"EdgeModel": thing.spec.get("datasetDigest"), "ModelVersion": thing.spec.get("digest")}
    digest = named_by_kind.get(thing.kind) or (thing.status.get("logDigest") if thing.kind == "TrainingRun" else None)
    if isinstance(digest, str) and digest:
        yield digest


def _save_repository(repository: SharedBlobs, writer: archive.Writer, saved: Saved) -> None:
    try:
        timestamp = repository.read(TIMESTAMP, max_bytes=1 << 20)
    except errors.NotFoundError as exc:
        raise errors.NotFoundError("there is no model repository yet: nothing that began can be saved") from exc
    with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as kept:
        spans = []
        for path in repository.list("metadata"):
            if path != TIMESTAMP and (data := _read(repository, path, saved)) is not None:
                kept.write(data)
                spans.append((path, len(data)))
        saved.files += _copy(repository, "targets", "repository", writer, saved)
        kept.seek(0)
        for path, size in spans:
            writer.add(f"repository/{path}", kept.read(size))
    writer.add(f"repository/{TIMESTAMP}", timestamp)
    saved.files += len(spans) + 1


def _save_blobs(blobs: SharedBlobs, writer: archive.Writer, saved: Saved) -> set[str]:
    """Returns the digests of what was saved."""
    held: set[str] = set()
    for prefix in PREFIXES:
        saved.blobs += _copy(blobs, prefix, "blobs", writer, saved, held)
    return held


def _copy(
    source: SharedBlobs, prefix: str, below: str, writer: archive.Writer, saved: Saved, held: set[str] | None = None
) -> int:
    count = 0
    for entry in source.entries(prefix):
        if (data := _read(source, entry.path, saved)) is None:
            continue
        writer.add(f"{below}/{entry.path}", data)
        count += 1
        if held is not None and entry.path.startswith(("sha256/", "datasets/")):
            digest = f"sha256:{entry.path.rpartition('/')[2]}"
            digests.verify(data, digest, f"blob {entry.path}")
            held.add(digest)
    return count


def _read(source: SharedBlobs, path: str, saved: Saved) -> bytes | None:
    try:
        return source.read(path, max_bytes=archive.MAX_ENTRY_BYTES)
    except errors.NotFoundError:
        saved.vanished += 1
        return None
