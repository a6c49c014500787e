"""The cloud side of a model repository for tests: founded, published to, read as a client does, killed at a write."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
from tuf.ngclient.config import EnvelopeType

from skerry.adapters import files
from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.trust import ceremony, repository

T0 = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)

FILES = {"manifest.json": b'{"model":"digits"}', "model.onnx": b"m" * 1000}

DIGEST = f"sha256:{hashlib.sha256(FILES['manifest.json']).hexdigest()}"


class Killed(BaseException):
    """The process is gone: no handler of ours may catch it."""


def founded(tmp: Path) -> repository.Repository:
    return ceremony.ensure(DirectoryBlobs(tmp / "repository"), tmp / "keys", now=T0)


def die_at(monkeypatch: pytest.MonkeyPatch, nth: int, *, after: bool) -> None:
    """Kill the process at its nth durable write: before it, or right after it."""
    real, count = files.write, 0

    def write(path: Path, data: bytes, *, mode: int = 0o644) -> None:
        nonlocal count
        count += 1
        if count == nth and not after:
            raise Killed
        real(path, data, mode=mode)
        if count == nth:
            raise Killed

    monkeypatch.setattr(files, "write", write)


def read(tmp: Path) -> dict[str, Any] | None:
    """What a client with an empty cache sees: target path -> file; None before there is a timestamp. Verifies all."""
    folder = tmp / "repository" / "metadata"
    if not (folder / "timestamp.json").exists():
        return None
    trusted = TrustedMetadataSet((folder / "1.root.json").read_bytes(), EnvelopeType.METADATA)
    trusted.reference_time = T0
    while (newer := folder / f"{trusted.root.version + 1}.root.json").exists():
        trusted.update_root(newer.read_bytes())
    trusted.update_timestamp((folder / "timestamp.json").read_bytes())
    trusted.update_snapshot((folder / f"{trusted.timestamp.snapshot_meta.version}.snapshot.json").read_bytes())
    seen = {}
    for role, delegator in (("targets", "root"), ("imported", "targets"), ("retrained", "targets")):
        data = (folder / f"{trusted.snapshot.meta[f'{role}.json'].version}.{role}.json").read_bytes()
        seen |= trusted.update_delegated_targets(data, role, delegator).targets
    for path, target in seen.items():
        parent, _, name = path.rpartition("/")
        target.verify_length_and_hashes(
            (tmp / "repository/targets" / parent / f"{target.hashes['sha256']}.{name}").read_bytes()
        )
    return seen


def add_and_publish(tmp: Path) -> None:
    online = founded(tmp)
    online.add_version("retrained", "digits", 1, DIGEST, FILES, now=T0)
    online.publish(now=T0)


def rotate_publisher(tmp: Path) -> int:
    def published(is_published: Callable[[], bool]) -> None:
        assert is_published(), "with the online keys here the ceremony publishes by itself"

    return ceremony.rotate_publisher(
        DirectoryBlobs(tmp / "repository"), tmp / "keys", now=T0, await_published=published
    )
