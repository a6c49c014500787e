"""A repository that was founded, a mirror that somebody has taken over, and a node that fetches from it."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mirror
import pytest
from tuf.api.metadata import Metadata, Timestamp

from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.trust import client, keys, repository, store

T0 = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)

MODEL = bytes(range(256)) * 40

GOLDEN = b"golden" * 100


def contents(model: str = "digits", salt: bytes = b"") -> dict[str, bytes]:
    files = {"model.onnx": MODEL + salt, "golden.npz": GOLDEN + salt}
    named = {name.partition(".")[0]: {"name": name, "digest": digest(data)} for name, data in files.items()}
    return {"manifest.json": json.dumps({"model": model, "files": named}).encode(), **files}


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class World:
    """A repository, its mirror, and a node; `now` is everybody's clock unless a test says otherwise."""

    tmp: Path
    mirror: mirror.Mirror
    now: datetime = T0

    @property
    def repository(self) -> repository.Repository:
        return repository.Repository(DirectoryBlobs(self.tmp / "repository"), keys.load(self.tmp / "keys" / "online"))

    def publish(self, version: int, *, model: str = "digits", salt: bytes = b"", role: str = store.RETRAINED) -> str:
        folder = "online" if role == store.RETRAINED else "publisher"
        signing = repository.Repository(DirectoryBlobs(self.tmp / "repository"), keys.load(self.tmp / "keys" / folder))
        files = contents(model, salt or str(version).encode())
        prefix = signing.add_version(role, model, version, digest(files["manifest.json"]), files, now=self.now)
        self.repository.publish(now=self.now)
        return prefix

    def fetch(
        self, prefix: str, *, max_bytes: int = 1 << 20, now: datetime | None = None, timeout_s: float = 20.0
    ) -> Any:
        root = (self.tmp / "repository" / "metadata" / "1.root.json").read_bytes()
        node = client.TrustClient(self.tmp / "node", root, self.mirror.url, timeout_s=timeout_s)
        return node.fetch(prefix, self.tmp / "fetched", max_bytes, now=now or self.now)

    def target_file(self, prefix: str, name: str) -> Path:
        return next((self.tmp / "repository" / "targets" / prefix).glob(f"*.{name}"))

    def refused(self, prefix: str, reason: str, **options: Any) -> None:
        with pytest.raises(client.UntrustedMetadataError) as caught:
            self.fetch(prefix, **options)
        assert reason == caught.value.reason, caught.value

    def sign_as_thief(self, edit: Any, role: str = Timestamp.type) -> bytes:
        """`role`'s newest file, edited and signed anew with the stolen online keys."""
        metadata = self.repository.store
        path = metadata.path(role, metadata.newest(role))
        parsed: Metadata[Any] = Metadata.from_bytes(metadata.read_bytes(path))
        edit(parsed.signed)
        parsed.signatures.clear()
        for keyid in metadata.delegator(role).get_delegated_role(role).keyids:
            parsed.sign(metadata.signers[keyid], append=True)
        return parsed.to_bytes()
