"""Putting a backup back. Content goes in as it is read, for it is named by its digest or follows from it; what makes it
count, the repository's metadata and the objects, is held back until the whole archive has been verified.

While objects are written the controller's lease is held, so nobody acts on half a system. Running it again is harmless.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from skerry.adapters import blobs as blob_store
from skerry.adapters import files, lease
from skerry.adapters import objects as object_store
from skerry.adapters.blobs.protocol import SharedBlobs
from skerry.adapters.objects.protocol import Object
from skerry.cli.backup import archive, erased, saving
from skerry.cli.locations import Locations
from skerry.core import audit, contract, errors, specs, urls

# Nodes obey no leader whose epoch is below the highest they have seen, and there were leaders after the backup.
EPOCH_STEP = 10_000
# Nor do they take other content under a release number they know, and numbers were given after the backup.
RELEASE_STEP = 1000
_LEASE = "controller"
_HELD_BACK_BYTES = 64 << 20


@dataclass
class Restored:
    objects: int = 0
    blobs: int = 0
    files: int = 0
    keys: int = 0
    erasures: int = 0


def check(source: IO[bytes]) -> Mapping[str, Any]:
    """Verify a whole archive; returns its manifest. Raises IntegrityError."""
    reader = archive.Reader(source)
    for _ in reader:
        pass
    return reader.manifest


def restore(locations: Locations, source: IO[bytes], *, merge: bool, listed: Sequence[Object] = ()) -> Restored:
    """Put the backup at `source` into `places`.

    Erasures, also the `listed` ones, stand afterwards and are carried out again: the backup holds what they removed.
    With `merge` objects of the same name are replaced, others stay, and a model repository that is there is kept: it
    is at least as new. Raises RejectedError (something is there, or a controller leads), IntegrityError (the archive;
    nothing counts then), UnavailableError.
    """
    held = lease.open_lease(locations.objects, _LEASE)
    if held.acquire(f"restore-{os.getpid()}") is None:
        raise errors.RejectedError(
            "a controller leads: stop it first (`skerry down`; `kubectl scale deploy/skerry-controller --replicas=0`)"
        )
    try:
        known = object_store.open_objects(locations.objects)
        repository = blob_store.open_shared(locations.repository)
        is_founded = repository.exists(saving.TIMESTAMP)
        if not merge and (is_founded or any(_counts(one) for kind in saving.KINDS for one in known.list(kind))):
            raise errors.RejectedError(
                f"{locations.objects} or {locations.repository} is not empty: empty it, or use --merge"
            )
        return _restore(locations, source, repository, is_founded, listed)
    finally:
        held.release()


def _counts(thing: Object) -> bool:
    """Would it be a loss? The fleet of every node is not, as each installation makes it; nor are records."""
    if thing.kind == audit.KIND:
        return False
    if thing.kind != "EdgeFleet" or thing.name != specs.RolloutStrategy().fleet:
        return True
    try:
        return specs.parse_fleet(thing.name, thing.spec) != specs.EdgeFleet(thing.name)
    except errors.InputError:
        return True


def _restore(
    locations: Locations,
    source: IO[bytes],
    repository: SharedBlobs,
    is_founded: bool,
    listed: Sequence[Object],
) -> Restored:
    done, blobs = Restored(), blob_store.open_shared(locations.blobs)
    with tempfile.SpooledTemporaryFile(_HELD_BACK_BYTES) as kept:
        spans = []
        for name, data in archive.Reader(source):
            part, _, path = name.partition("/")
            if part == "blobs":
                done.blobs += _put(blobs, path, data)
            elif part == "repository" and path.startswith("targets/"):
                done.files += _put(repository, path, data)
            elif part == "teacher":
                if locations.teacher is not None:
                    done.files += _put(blob_store.open_shared(urls.of_path("file", str(locations.teacher))), path, data)
            elif part in ("repository", "objects", "keys"):
                kept.write(data)
                spans.append((part, path, len(data)))
            else:
                raise errors.InputError(f"the backup holds {name}: it is of another version of skerry")
        # From here on the archive is known to be whole.
        kept.seek(0)
        things = []
        for part, path, size in spans:
            data = kept.read(size)
            if part == "keys":
                done.keys += _put_key(locations, path, data)
            elif part == "repository" and not is_founded:
                repository.write(path, data)  # the timestamp is the last of them
                done.files += 1
            elif part == "objects":
                things.append(_parse(data))
    done.objects = _put_objects(locations, things, listed)
    for thing in object_store.open_objects(locations.objects).list("Erasure"):
        blobs.delete(contract.erasure_path(thing.name))  # what storage has done of it is to be done again
        done.erasures += 1
    return done


def _put(storage: SharedBlobs, path: str, data: bytes) -> int:
    """Write unless the very same is there. How many were written."""
    try:
        if storage.stat(path).size_bytes == len(data) and storage.read(path, max_bytes=len(data)) == data:
            return 0
    except errors.NotFoundError:
        pass
    storage.write(path, data)
    return 1


def _put_key(locations: Locations, path: str, data: bytes) -> int:
    if locations.keys is None:
        raise errors.InputError("the backup holds keys: --keys-folder (SKERRY_KEYS) must say where they go")
    file = locations.keys / path
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    files.write(file, data, mode=0o600)
    return 1


def _parse(data: bytes) -> Object:
    try:
        read = json.loads(data)
        spec, status, labels = (dict(read[part]) for part in ("spec", "status", "labels"))
        return Object(str(read["kind"]), str(read["name"]), "", spec, status, labels, 1, 0, int(read["createdUnixMs"]))
    except (ValueError, KeyError, TypeError) as exc:
        raise errors.InputError(f"the backup holds an object that cannot be read ({exc!r})") from exc


def _put_objects(locations: Locations, saved: list[Object], listed: Sequence[Object]) -> int:
    """Who is named before who names, so that a restore that dies leaves nothing that points nowhere."""
    known = object_store.open_objects(locations.objects)
    present = [thing for kind in saving.KINDS for thing in known.list(kind)]
    again = erased.begun_again(saved, present, listed)
    things = [thing for thing in saved if thing.kind != "Erasure"] + again
    epoch = EPOCH_STEP + max((epoch for thing in (*present, *things) for epoch in _epochs(thing)), default=0)
    counters = {
        thing.name: int(thing.status.get("releaseCounter") or 0) for thing in present if thing.kind == "EdgeModel"
    }
    restorer = object_store.open_restorer(locations.objects)
    for thing in sorted(things, key=lambda thing: (-saving.KINDS.index(thing.kind), thing.created_unix_ms, thing.name)):
        restorer.restore(as_restored(thing, epoch, counters.get(thing.name, 0)))
    lease.begin_above(locations.objects, _LEASE, epoch)
    return len(things)


def _epochs(thing: Object) -> Iterator[int]:
    """Every epoch that an object names: of the leader that wrote it, and of the permits it gave."""
    holders: list[Any] = [thing.status, thing.status.get("catchUp")]
    for assignment in thing.spec.get("assignments") or ():
        holders += [assignment.get("permit"), assignment.get("lease")] if isinstance(assignment, Mapping) else []
    for holder in holders:
        if isinstance(holder, Mapping) and isinstance(epoch := holder.get("epoch"), int):
            yield epoch


def as_restored(thing: Object, epoch: int, release_counter: int) -> Object:
    """The object as the system that wakes up should find it: no node is connected to it yet, and epochs and release
    numbers go on above all that nodes may have seen. `release_counter` is what the model's is at least."""
    status = dict(thing.status)
    if thing.kind == "EdgeNode" and status.get("connected"):
        status["connected"] = False
    if thing.kind == "EdgeModel":
        status["releaseCounter"] = max(release_counter, int(status.get("releaseCounter") or 0) + RELEASE_STEP)
    if thing.kind == "ModelRollout" and "epoch" in status:
        status["epoch"] = epoch
    return Object(thing.kind, thing.name, thing.uid, thing.spec, status, thing.labels, 1, 0, thing.created_unix_ms)
