"""The model repository, cloud side: a TUF repository of static files (`metadata/`, `targets/`) in any blob storage.

Order of writing: target files, then the delegated role's metadata, then the snapshot, then `timestamp.json`. Readers
follow only what the timestamp names, so they see the old state or the new one; a run that died is repaired by running
it again, and so is one whose writer was overtaken by another (`store.written`). What may be published is decided
elsewhere (`controller.publish`); serving the files is the gateway's.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from tuf.api.metadata import MetaFile, Snapshot, TargetFile, Targets, Timestamp

from skerry.adapters import files
from skerry.adapters.blobs.protocol import SharedBlobs
from skerry.adapters.trust import keys, store
from skerry.core import errors

MANIFEST = "manifest.json"
_HASH = "sha256"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SignedVersion:
    """What the delegated role says of one version: `files` maps file name to (sha256 hex, size in bytes)."""

    target_path: str
    model: str
    version: int
    digest: str
    files: Mapping[str, tuple[str, int]]


class Repository:
    """One repository, with the keys this process was given: the controller's `online`, or the publisher's."""

    def __init__(self, blobs: SharedBlobs, signers: keys.Signers) -> None:
        self.blobs = blobs
        self.store = store.Store(blobs, signers)

    def _written(self, attempt: Callable[[], T]) -> T:
        def remembering() -> T:
            with self.store.remembering():
                return attempt()

        return store.written(self.blobs, remembering)

    def add_version(
        self, role: str, model: str, version: int, digest: str, contents: Mapping[str, bytes], *, now: datetime
    ) -> str:
        """Write and sign the files of a version; returns its target path. Clients see it after `publish`.

        Adding the same content again changes nothing. Raises InputError (bad name, no manifest), RejectedError (no key
        of the role here, or the release number already names other content).
        """
        prefix = target_path(role, model, version)
        if MANIFEST not in contents or f"sha256:{hashlib.sha256(contents[MANIFEST]).hexdigest()}" != digest:
            raise errors.InputError(f"version {prefix} needs a {MANIFEST} whose digest is {digest}")
        custom = {"model": model, "version": version, "digest": digest}
        described = []
        for name, data in contents.items():
            files.check_name(name, f"file of {prefix}")
            target = TargetFile.from_data(f"{prefix}/{name}", data, [_HASH])
            if name == MANIFEST:
                target.unrecognized_fields["custom"] = custom
            described.append((target, data))

        def add() -> None:
            targets = self._targets(role)
            before = dict(targets.targets)
            for target, data in described:
                self._place(targets, target, data)
            self._save(role, targets, before, now)
            for target, data in described:
                if not self.blobs.exists(target_file(target)):
                    self.blobs.write(target_file(target), data)  # taken by a sweep that had not seen it named

        self._written(add)
        return prefix

    def find_version(self, path: str) -> SignedVersion:
        """What the newest `role` metadata, its signature checked, says of `<role>/<model>/<version>`.

        Raises NotFoundError (not signed), IntegrityError (metadata or its signature is wrong), InputError (bad path).
        """
        role, model, version = parse_target_path(path)
        listed = self._targets(role).targets
        files = {p.rpartition("/")[2]: target for p, target in listed.items() if p.rpartition("/")[0] == path}
        if MANIFEST not in files:
            raise errors.NotFoundError(f"{path} is not signed by role {role}: import or publish it first")
        custom = files[MANIFEST].custom or {}
        if custom.get("model") != model or custom.get("version") != version:
            raise errors.IntegrityError(f"{path} is signed as {custom.get('model')} version {custom.get('version')}")
        sizes = {name: (_hash_of(target), target.length) for name, target in files.items()}
        return SignedVersion(path, model, version, str(custom.get("digest")), sizes)

    def highest_version(self, model: str) -> int:
        """The highest release number that either role ever signed for `model` and still lists; 0 for none."""
        with self.store.remembering():
            paths = {path for role in store.DELEGATED for path in self.listed(role)}
        return max((number for _, name, number in map(parse_target_path, paths) if name == model), default=0)

    def listed(self, role: str) -> set[str]:
        """Target paths of all versions the newest metadata of `role` lists."""
        return {path.rpartition("/")[0] for path in self._targets(role).targets}

    def keys_of(self, role: str) -> tuple[str, ...]:
        """Ids of the keys that signed the newest metadata of `role`, which is verified. Raises IntegrityError."""
        return tuple(sorted(self.store.verified(Targets, role, self.store.newest(role))[0].signatures))

    def read_target(self, version: SignedVersion, name: str) -> bytes:
        """A file of a signed version, its hash checked. Raises NotFoundError, IntegrityError."""
        hexdigest, size = version.files[name]
        data = self.store.read_bytes(_target_file(f"{version.target_path}/{name}", hexdigest), size)
        if len(data) != size or hashlib.sha256(data).hexdigest() != hexdigest:
            raise errors.IntegrityError(f"{version.target_path}/{name} is not the file that was signed")
        return data

    def retire(self, paths: set[str], *, now: datetime) -> None:
        """Take the `retrained` versions `paths` out of the metadata. Clients see it after `publish`."""

        def take_out() -> None:
            targets = self._targets(store.RETRAINED)
            before = dict(targets.targets)
            for path in [p for p in before if p.rpartition("/")[0] in paths]:
                del targets.targets[path]
            self._save(store.RETRAINED, targets, before, now)

        self._written(take_out)

    def publish(self, *, now: datetime) -> bool:
        """Make the newest signed metadata what clients see; False when they already do and nothing is due for renewal.

        Raises IntegrityError when a role's newest file is not signed by its keys: nothing is published then.
        """
        return self._written(lambda: self.publish_once(now=now))

    def refresh_if_due(self, *, now: datetime) -> bool:
        """Renew, before they expire, the signatures whose keys are here. Whether anything was written."""

        def renew() -> bool:
            renewed = [role for role in (Targets.type, *store.DELEGATED) if self._renew_if_due(role, now)]
            if self.store.can_sign(Timestamp.type):
                return self.publish_once(now=now) or bool(renewed)
            return bool(renewed)

        return self._written(renew)

    def publish_once(self, *, now: datetime) -> bool:
        """As `publish`, for a caller that runs within `store.written`."""
        # From the end to the beginning: who publishes newer roles in between makes one of our two writes a conflict.
        tag = self.store.timestamp_tag()
        self.store.refresh_listing()
        version = self.store.newest(Snapshot.type)
        return self._timestamp(self._snapshot(newest_meta(self.store), version, now), tag, now)

    def _snapshot(self, meta: dict[str, MetaFile], version: int, now: datetime) -> MetaFile:
        """Snapshot `version`, the newest, if it says `meta`, is well signed and fresh; else a new one."""
        if version:
            try:
                parsed, data = self.store.verified(Snapshot, Snapshot.type, version)
                if parsed.signed.meta == meta and not store.is_due(Snapshot.type, parsed.signed, now):
                    return describe(version, data)
            except errors.IntegrityError:
                pass  # signed by a key that was rotated out, or damaged: the next version replaces it
        data = self.store.write(Snapshot.type, Snapshot(version + 1, meta=meta), now)
        return describe(version + 1, data)

    def _timestamp(self, snapshot: MetaFile, tag: str, now: datetime) -> bool:
        version = 0
        if tag:
            signed = self.store.load(Timestamp, Timestamp.type, 0)[0].signed
            version = signed.version
            try:
                self.store.verified(Timestamp, Timestamp.type, 0)
                if signed.snapshot_meta == snapshot and not store.is_due(Timestamp.type, signed, now):
                    return False
            except errors.IntegrityError:
                pass  # signed by a key that was rotated out
        newer = Timestamp(version + 1, snapshot_meta=snapshot)
        self.store.commit(self.store.sign(Timestamp.type, newer, now), tag)
        return True

    def _targets(self, role: str) -> Targets:
        return self.store.verified(Targets, role, self.store.newest(role))[0].signed

    def _save(self, role: str, targets: Targets, before: Mapping[str, TargetFile], now: datetime) -> None:
        """Write the version after the one that was read, unless it would say the same. Raises ConflictError."""
        if targets.targets != before:
            targets.version += 1
            self.store.write(role, targets, now)

    def _renew_if_due(self, role: str, now: datetime) -> bool:
        targets = self._targets(role)
        if not store.is_due(role, targets, now) or not self.store.can_sign(role):
            return False
        targets.version += 1
        self.store.write(role, targets, now)
        return True

    def _place(self, targets: Targets, target: TargetFile, data: bytes) -> None:
        known = targets.targets.get(target.path)
        if known is not None and known.hashes != target.hashes:
            raise errors.RejectedError(f"{target.path} is already signed with other content: take a new release number")
        # A file that is not named yet may be old enough to be removed, whichever run left it: it is written again.
        if known is None or not self._is_placed(target, data):
            self.blobs.write(target_file(target), data)
        targets.targets[target.path] = target

    def _is_placed(self, target: TargetFile, data: bytes) -> bool:
        try:
            return self.blobs.read(target_file(target), max_bytes=len(data)) == data
        except errors.InputError:
            return False


def target_file(target: TargetFile) -> str:
    """Where a target's content lies (consistent snapshots: the name begins with the hash). Raises IntegrityError."""
    return _target_file(target.path, _hash_of(target))


def _hash_of(target: TargetFile) -> str:
    if _HASH not in target.hashes:
        others = ", ".join(target.hashes)
        raise errors.IntegrityError(f"{target.path} is signed with {others}, not with {_HASH}: skerry did not sign it")
    return target.hashes[_HASH]


def _target_file(path: str, hexdigest: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"targets/{folder}/{hexdigest}.{name}"


def target_path(role: str, model: str, version: int) -> str:
    """`<role>/<model>/<version>`. Raises InputError."""
    if role not in store.DELEGATED:
        raise errors.InputError(f"unknown role {role!r}: versions are {' or '.join(store.DELEGATED)}")
    if not 1 <= version < 2**53:
        raise errors.InputError(f"version {version} of {model} must be from 1 to 2^53 - 1")
    return f"{role}/{files.check_name(model, 'model')}/{version}"


def parse_target_path(path: str) -> tuple[str, str, int]:
    """(role, model, version) of `<role>/<model>/<version>`. Raises InputError."""
    role, _, rest = path.partition("/")
    model, _, version = rest.rpartition("/")
    if (
        not (version.isascii() and version.isdigit() and len(version) <= 16)
        or target_path(role, model, int(version)) != path
    ):
        raise errors.InputError(f"{path!r} is not <role>/<model>/<version>")
    return role, model, int(version)


def newest_meta(metadata: store.Store) -> dict[str, MetaFile]:
    """The newest of every role, as a snapshot names it. Raises IntegrityError when one is not signed by its keys."""
    meta = {}
    for role in (Targets.type, *store.DELEGATED):
        parsed, data = metadata.verified(Targets, role, metadata.newest(role))
        meta[f"{role}.json"] = describe(parsed.signed.version, data)
    return meta


def describe(version: int, data: bytes) -> MetaFile:
    """A metadata file as another one names it: version, length, sha256."""
    return MetaFile.from_data(version, data, [_HASH])
