"""Housekeeping of the model repository: what no reader can still be following is removed, an hour after it was written.

Readers begin at `timestamp.json`, so everything it leads to stays; so do all roots (nodes climb them one by one) and
everything young, which a writer may be about to name or a slow reader still be fetching.
"""

from datetime import datetime, timedelta
from pathlib import Path

from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from skerry.adapters.trust import store
from skerry.adapters.trust.repository import Repository

GRACE = timedelta(hours=1)


def sweep(repository: Repository, *, now: datetime) -> int:
    """Remove what nobody follows; returns how many files that were. Raises IntegrityError, and removes nothing, when
    the published metadata cannot be followed."""
    with repository.locked():
        keep = _followed(repository)
        oldest = (now - GRACE).timestamp()
        gone = [
            path
            for folder in ("metadata", "targets")
            for path in (repository.directory / folder).rglob("*")
            if path.is_file() and path not in keep and path.stat().st_mtime < oldest
        ]
        for path in gone:
            path.unlink()
        return len(gone)


def _followed(repository: Repository) -> set[Path]:
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
            keep |= {repository.target_file(path, target.hashes["sha256"]) for path, target in listed.items()}
    return keep
