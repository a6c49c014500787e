"""Housekeeping of the model repository: what no reader can still be following is removed, an hour after it was written.

Readers begin at `timestamp.json`, so everything it leads to stays; so do all roots (nodes climb them one by one) and
everything young, which a writer may be about to name or a slow reader still be fetching.
"""

import math
from collections.abc import Callable
from datetime import datetime, timedelta

from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from skerry.adapters.trust import repository as trust
from skerry.adapters.trust import store

GRACE = timedelta(hours=1)


def remove_unreachable(
    repository: trust.Repository, *, now: datetime, unfollowed_s: Callable[[str], float] = lambda _: math.inf
) -> int:
    """Remove what no reader follows; returns how many files that were. `unfollowed_s`: for how long the caller, by its
    monotonic clock, has found a path among those that nobody follows: `now` may be wrong, and an import under way lose
    its files. Raises IntegrityError, and removes nothing, when the published metadata cannot be followed."""
    blobs, oldest_unix_s = repository.blobs, (now - GRACE).timestamp()

    def remove() -> int:
        # Listed before it is asked what is followed: what a writer names in between is then kept.
        entries = [entry for folder in ("metadata", "targets") for entry in blobs.entries(folder)]
        with repository.store.remembering():
            keep = _followed(repository)
        unfollowed = [(entry, unfollowed_s(entry.path)) for entry in entries if entry.path not in keep]
        gone = [
            entry.path
            for entry, waited_s in unfollowed
            if entry.modified_unix_s < oldest_unix_s and waited_s >= GRACE.total_seconds()
        ]
        for path in gone:
            blobs.delete(path)
        return len(gone)

    return store.written(blobs, remove)


def _followed(repository: trust.Repository) -> set[str]:
    metadata = repository.store
    keep = {metadata.path(Timestamp.type, 0)}
    keep |= {metadata.path(Root.type, version) for version in range(1, metadata.newest(Root.type) + 1)}
    timestamp = metadata.verified(Timestamp, Timestamp.type, 0)[0].signed
    snapshot_version = timestamp.snapshot_meta.version
    keep.add(metadata.path(Snapshot.type, snapshot_version))
    snapshot = metadata.verified(Snapshot, Snapshot.type, snapshot_version)[0].signed
    for role in (Targets.type, *store.DELEGATED):
        # What is signed and not yet published is about to be followed.
        for version in {snapshot.meta[f"{role}.json"].version, metadata.newest(role)}:
            keep.add(metadata.path(role, version))
            listed = metadata.verified(Targets, role, version)[0].signed.targets
            keep |= {trust.target_file(target) for target in listed.values()}
    return keep
