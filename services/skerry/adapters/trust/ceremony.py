"""Key ceremonies: founding a repository, rotating the root key, rotating the snapshot and timestamp keys.

The last is the recovery from a fast-forward attack (a thief of the online keys published enormous version numbers):
clients drop what the replaced keys signed. Each ceremony may die at any point and be run again. Needs the root key;
nothing else in skerry does.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import DelegatedRole, Delegations, Key, Root, Snapshot, Targets, Timestamp

from skerry.adapters import files
from skerry.adapters.trust import keys, repository, store
from skerry.core import errors

_ONLINE_ROLES = (store.RETRAINED, Snapshot.type, Timestamp.type)


def ensure(directory: Path, key_folder: Path, *, now: datetime) -> repository.Repository:
    """The repository of `directory` with the online keys; founded, with new keys, on first start.

    An interrupted founding is completed. Once `timestamp.json` is there, neither the root key nor the publisher's is
    read. Raises IntegrityError when metadata and keys do not belong together.
    """
    with files.locked(directory / ".lock"):
        if not (directory / "metadata" / "timestamp.json").exists():
            _found(directory, key_folder, now)
    return repository.Repository(directory, keys.load(key_folder / keys.ONLINE))


def rotate_root(directory: Path, key_folder: Path, *, now: datetime) -> int:
    """Replace the root key; the new root is signed by the old key and the new. Returns the root's new version."""
    folder = key_folder / keys.ROOT
    with files.locked(directory / ".lock"):
        metadata = store.Store(directory / "metadata", keys.load(folder))
        root = metadata.root().signed
        old = list(root.roles[Root.type].keyids)
        _require(metadata, old)
        new = keys.create(folder, Root.type)
        signers = {**metadata.signers, new.public_key.keyid: new}
        _replace_keys(root, Root.type, new.public_key)
        _write_root(store.Store(metadata.folder, signers), root, [*old, new.public_key.keyid], now)
        keys.forget(folder, {new.public_key.keyid})
        return root.version


def rotate_online(directory: Path, key_folder: Path, *, now: datetime) -> int:
    """Replace the snapshot and timestamp keys and publish again under the new ones. Returns the root's new version.

    Snapshot and timestamp are first signed by the old and the new keys, so that a reader between two writes verifies
    against either root; then the new root is written; then both are signed by the new keys alone.
    """
    online = key_folder / keys.ONLINE
    with files.locked(directory / ".lock"):
        metadata = store.Store(directory / "metadata", keys.load(key_folder / keys.ROOT))
        root = metadata.root().signed
        root_keys = list(root.roles[Root.type].keyids)
        _require(metadata, root_keys)
        new = {role: keys.create(online, role) for role in (Snapshot.type, Timestamp.type)}
        _sign_with_both(directory, online, root, new, now)
        for role, signer in new.items():
            _replace_keys(root, role, signer.public_key)
        _write_root(metadata, root, root_keys, now)
        model_repository = repository.Repository(directory, keys.load(online))
        model_repository.publish_locked(now=now)
        retrained = model_repository.store.delegator(store.RETRAINED).get_delegated_role(store.RETRAINED)
        keys.forget(online, {*retrained.keyids, *(signer.public_key.keyid for signer in new.values())})
        return root.version


def _found(directory: Path, key_folder: Path, now: datetime) -> None:
    root_key = keys.ensure(key_folder / keys.ROOT, Root.type)
    publisher = keys.ensure(key_folder / keys.PUBLISHER, keys.PUBLISHER)
    online = {role: keys.ensure(key_folder / keys.ONLINE, role) for role in _ONLINE_ROLES}
    signers = {signer.public_key.keyid: signer for signer in (root_key, publisher, *online.values())}
    new = repository.Repository(directory, signers)
    holders = {Root.type: root_key, Targets.type: publisher, **online}
    del holders[store.RETRAINED]

    def root() -> bytes:
        signed = Root(consistent_snapshot=True)
        for role, signer in holders.items():
            signed.add_key(signer.public_key, role)
        return new.store.sign_with(Root.type, signed, [root_key.public_key.keyid], now)

    def targets() -> bytes:
        delegations = _delegations(publisher.public_key, online[store.RETRAINED].public_key)
        return new.store.sign(Targets.type, Targets(delegations=delegations), now)

    makers: dict[str, Callable[[], bytes]] = {Root.type: root, Targets.type: targets}
    makers |= {role: lambda role=role: new.store.sign(role, Targets(), now) for role in store.DELEGATED}  # type: ignore[misc]  # mypy does not see the default of a lambda
    for role, make in makers.items():
        if not new.store.newest(role):
            files.write(new.store.path(role, 1), make())
    new.publish_locked(now=now)


def _delegations(imported: Key, retrained: Key) -> Delegations:
    roles = {
        role: DelegatedRole(role, [key.keyid], 1, terminating=True, paths=[f"{role}/*/*/*"])
        for role, key in ((store.IMPORTED, imported), (store.RETRAINED, retrained))
    }
    return Delegations({key.keyid: key for key in (imported, retrained)}, roles)


def _require(metadata: store.Store, keyids: list[str]) -> None:
    if not all(keyid in metadata.signers for keyid in keyids):
        raise errors.RejectedError("the root key is not in the given folder: bring it from where it is kept offline")


def _replace_keys(root: Root, role: str, key: Key) -> None:
    for keyid in list(root.roles[role].keyids):
        root.revoke_key(keyid, role)
    root.add_key(key, role)


def _write_root(metadata: store.Store, root: Root, keyids: list[str], now: datetime) -> None:
    root.version += 1
    files.write(metadata.path(Root.type, root.version), metadata.sign_with(Root.type, root, keyids, now))


def _sign_with_both(directory: Path, online: Path, root: Root, new: dict[str, CryptoSigner], now: datetime) -> None:
    metadata = store.Store(directory / "metadata", keys.load(online))
    timestamp, _ = metadata.load(Timestamp, Timestamp.type, 0)
    snapshot, _ = metadata.load(Snapshot, Snapshot.type, timestamp.signed.snapshot_meta.version)

    def write(role: str, signed: Snapshot | Timestamp) -> bytes:
        old = [keyid for keyid in root.roles[role].keyids if keyid in metadata.signers]
        data = metadata.sign_with(role, signed, [*old, new[role].public_key.keyid], now)
        files.write(metadata.path(role, signed.version), data)
        return data

    snapshot.signed.version = metadata.newest(Snapshot.type) + 1
    data = write(Snapshot.type, snapshot.signed)
    timestamp.signed.version += 1
    timestamp.signed.snapshot_meta = repository.describe(snapshot.signed.version, data)
    write(Timestamp.type, timestamp.signed)
