"""TUF metadata as blobs: `metadata/<version>.<role>.json`, written once, and `metadata/timestamp.json`, the commit.

Reads, verifies against the delegator, signs and writes single files; which files to write, in which order, is
`repository`'s. Every metadata file carries the time it was signed (`x-skerry-signed-unix-ms`, under the signature): the
clients' floor for a clock that is wrong.
"""

import contextlib
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from tuf.api import exceptions
from tuf.api.metadata import Metadata, Root, Signed, Snapshot, T, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from skerry.adapters.blobs.protocol import SharedBlobs
from skerry.adapters.trust import keys
from skerry.core import errors

SIGNED_AT = "x-skerry-signed-unix-ms"
IMPORTED, RETRAINED = "imported", "retrained"
DELEGATED = (IMPORTED, RETRAINED)
MAX_METADATA_BYTES = 16 << 20
_FOLDER = "metadata"
_PROBE = "conditions"
_TRIES = 5
R = TypeVar("R")

# How long a signature is good for, and how much of it may pass before it is renewed.
LIFETIMES = {
    Root.type: timedelta(days=365),
    Targets.type: timedelta(days=90),
    IMPORTED: timedelta(days=90),
    RETRAINED: timedelta(days=90),
    Snapshot.type: timedelta(days=14),
    Timestamp.type: timedelta(days=2),
}
RENEW_AFTER = {
    Root.type: timedelta(days=270),
    Targets.type: timedelta(days=60),
    IMPORTED: timedelta(days=60),
    RETRAINED: timedelta(days=60),
    Snapshot.type: timedelta(days=7),
    Timestamp.type: timedelta(hours=6),
}


@dataclass
class _Memory:
    """What one operation has seen."""

    names: list[str] | None = None
    contents: dict[str, bytes] = field(default_factory=dict)


class Store:
    """The metadata of one repository. A numbered file is never written twice with other content, and `timestamp.json`
    only over the one that was read: on any storage the writer who comes second gets a ConflictError."""

    def __init__(self, blobs: SharedBlobs, signers: keys.Signers) -> None:
        self.blobs = blobs
        self.signers = signers
        self._memory: _Memory | None = None

    @contextlib.contextmanager
    def remembering(self) -> Iterator[None]:
        """Within, the list of files and every numbered file is asked for once: one look at what there is."""
        before, self._memory = self._memory, self._memory or _Memory()
        try:
            yield
        finally:
            self._memory = before

    def refresh_listing(self) -> None:
        """Forget which files there were. What numbered files say never changes."""
        if self._memory is not None:
            self._memory.names = None

    def newest(self, role: str) -> int:
        """The highest version of `role` that was written, 0 when there is none. A crash may leave it unreferenced."""
        pattern = re.compile(rf"{_FOLDER}/([1-9][0-9]{{0,14}})\.{re.escape(role)}\.json")
        names = [pattern.fullmatch(path) for path in self._names()]
        return max((int(name[1]) for name in names if name), default=0)

    def _names(self) -> list[str]:
        if self._memory is None:
            return list(self.blobs.list(_FOLDER))
        if self._memory.names is None:
            self._memory.names = list(self.blobs.list(_FOLDER))
        return self._memory.names

    def path(self, role: str, version: int) -> str:
        return f"{_FOLDER}/timestamp.json" if role == Timestamp.type else f"{_FOLDER}/{version}.{role}.json"

    def read_bytes(self, path: str, max_bytes: int = MAX_METADATA_BYTES) -> bytes:
        """Raises NotFoundError, IntegrityError (longer than anything that was written there) or UnavailableError."""
        try:
            return self.blobs.read(path, max_bytes=max_bytes)
        except errors.NotFoundError as exc:
            raise errors.NotFoundError(f"{path} is missing: the model repository is not complete") from exc
        except errors.TooLargeError as exc:
            raise errors.IntegrityError(f"{exc}: it is not what was signed") from exc

    def load(self, kind: type[T], role: str, version: int) -> tuple[Metadata[T], bytes]:
        """The parsed file and its bytes, signatures unchecked. Raises IntegrityError when it cannot be parsed."""
        path = self.path(role, version)
        data = self._numbered(path) if version else self.read_bytes(path)
        try:
            parsed = Metadata[T].from_bytes(data)
        except DeserializationError as exc:
            raise errors.IntegrityError(f"{path} is not TUF metadata: {exc}; restore it from a backup") from exc
        if parsed.signed.type != kind.type:
            raise errors.IntegrityError(f"{path} holds {parsed.signed.type} metadata, not {kind.type}")
        return parsed, data

    def _numbered(self, path: str) -> bytes:
        if self._memory is None:
            return self.read_bytes(path)
        if path not in self._memory.contents:
            self._memory.contents[path] = self.read_bytes(path)
        return self._memory.contents[path]

    def root(self) -> Metadata[Root]:
        return self.load(Root, Root.type, self.newest(Root.type))[0]

    def delegator(self, role: str) -> Root | Targets:
        """Who says which keys may sign `role`."""
        if role not in DELEGATED:
            return self.root().signed
        return self.load(Targets, Targets.type, self.newest(Targets.type))[0].signed

    def verified(self, kind: type[T], role: str, version: int) -> tuple[Metadata[T], bytes]:
        """As `load`, and signed as its delegator demands. Raises IntegrityError."""
        parsed, data = self.load(kind, role, version)
        try:
            self.delegator(role).verify_delegate(role, parsed.signed_bytes, parsed.signatures)
        except (exceptions.UnsignedMetadataError, ValueError) as exc:
            raise errors.IntegrityError(
                f"{self.path(role, version)} is not signed by the keys of {role}: {exc}"
            ) from exc
        return parsed, data

    def can_sign(self, role: str) -> bool:
        with contextlib.suppress(errors.NotFoundError):
            return any(keyid in self.signers for keyid in self.delegator(role).get_delegated_role(role).keyids)
        return False

    def sign(self, role: str, signed: Signed, now: datetime) -> bytes:
        """Stamp and sign `signed` with every key of `role` that is here. Raises RejectedError when none is."""
        keyids = self.delegator(role).get_delegated_role(role).keyids
        return self.sign_with(role, signed, [keyid for keyid in keyids if keyid in self.signers], now)

    def sign_with(self, role: str, signed: Signed, keyids: list[str], now: datetime) -> bytes:
        if not keyids:
            raise errors.RejectedError(
                f"no key of role {role} is in the given key folders: sign where that key is kept"
            )
        signed.expires = now.astimezone(UTC) + LIFETIMES[role]
        signed.unrecognized_fields[SIGNED_AT] = int(now.timestamp() * 1000)
        metadata: Metadata[Any] = Metadata(signed)
        for keyid in keyids:
            metadata.sign(self.signers[keyid], append=True)
        return metadata.to_bytes()

    def write(self, role: str, signed: Signed, now: datetime) -> bytes:
        """Sign and write one numbered file. Returns its bytes. Raises ConflictError when another writer was first."""
        path, data = self.path(role, signed.version), self.sign(role, signed, now)
        self.blobs.create(path, data)
        if self._memory is not None:
            self._memory.contents[path] = data
            self._names().append(path)
        return data

    def timestamp_tag(self) -> str:
        """Which `timestamp.json` there is now, empty for none; to be taken before it is read."""
        try:
            return self.blobs.stat(self.path(Timestamp.type, 0)).tag
        except errors.NotFoundError:
            return ""

    def commit(self, data: bytes, tag: str) -> None:
        """Make `data` the timestamp unless it was written since `tag` was taken. Raises ConflictError."""
        if tag:
            self.blobs.replace(self.path(Timestamp.type, 0), data, tag)
        else:
            self.blobs.create(self.path(Timestamp.type, 0), data)


def written(blobs: SharedBlobs, attempt: Callable[[], R]) -> R:
    """What `attempt` returns: run under the writers' lock where there is one, and again when another writer was first.

    It must read what it decides from by itself. Raises ConflictError when others keep coming first.
    """
    for _ in range(_TRIES):
        with contextlib.suppress(errors.ConflictError), blobs.locked():
            return attempt()
    raise errors.ConflictError("others write to the model repository all the time: try again")


def check_conditions(blobs: SharedBlobs) -> None:
    """Raise RejectedError when the storage writes over what must be written once: two writers would undo each other."""
    with blobs.locked():
        with contextlib.suppress(errors.ConflictError):  # another process tries it right now
            blobs.create(_PROBE, secrets.token_bytes(16))
        try:
            _must_conflict(lambda: blobs.create(_PROBE, secrets.token_bytes(16)), "If-None-Match")
            _must_conflict(lambda: blobs.replace(_PROBE, secrets.token_bytes(16), "not its tag"), "If-Match")
        finally:
            blobs.delete(_PROBE)


def _must_conflict(write: Callable[[], None], header: str) -> None:
    try:
        write()
    except errors.SkerryError:  # two controllers that start at once delete each other's probe: then it is not found
        return
    raise errors.RejectedError(f"this object storage ignores {header}: use one with conditional writes, or a folder")


def is_due(role: str, signed: Signed, now: datetime) -> bool:
    """Whether a signature of `role` is old enough to be renewed."""
    return now >= signed.expires - LIFETIMES[role] + RENEW_AFTER[role]
