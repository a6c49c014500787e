"""Key ceremonies: founding a repository, and rotating the keys of its root, of its online roles, of its publisher.

Rotating the online keys is the recovery from a fast-forward attack (a thief of them published enormous version
numbers): clients drop what the replaced keys signed. Each ceremony may die at any point and be run again. Only these
need the root key.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import DelegatedRole, Delegations, Key, Root, Snapshot, Targets, Timestamp

from skerry.adapters.blobs.protocol import SharedBlobs
from skerry.adapters.trust import keys, repository, store
from skerry.core import errors

_ONLINE_ROLES = (store.RETRAINED, Snapshot.type, Timestamp.type)
_MAX_SEED_FILES = 64


def ensure(blobs: SharedBlobs, key_folder: Path, *, now: datetime, seed: Path | None = None) -> repository.Repository:
    """The repository in `blobs` with the online keys; on first start filled from the folder `seed`, or founded with new
    keys when there is none.

    An interrupted founding is completed. Once `timestamp.json` is there, neither the root key nor the publisher's is
    read. Raises IntegrityError when metadata and keys do not belong together, RejectedError when the storage has no
    conditional writes.
    """
    store.check_conditions(blobs)
    if not blobs.exists("metadata/timestamp.json"):
        if seed is not None:
            store.written(blobs, lambda: _sow(blobs, seed))
        else:
            store.written(blobs, lambda: _found(blobs, key_folder, now))
    return repository.Repository(blobs, keys.Ring(key_folder / keys.ONLINE))


def renew(blobs: SharedBlobs, key_folder: Path, *, now: datetime, everything: bool = False) -> list[str]:
    """Sign again, with the root and publisher keys that are here, what is due (or `everything`). Returns the roles."""
    signers = {**keys.load(key_folder / keys.ROOT), **keys.load(key_folder / keys.PUBLISHER)}
    if not signers:
        raise errors.RejectedError(f"neither the root key nor the publisher's is in {key_folder}: bring one of them")

    def again() -> list[str]:
        metadata, renewed = store.Store(blobs, signers), []
        root = metadata.root().signed
        if (everything or store.is_due(Root.type, root, now)) and metadata.can_sign(Root.type):
            _write_root(metadata, root, [key for key in root.roles[Root.type].keyids if key in signers], now)
            renewed.append(Root.type)
        for role in (Targets.type, store.IMPORTED):
            signed = metadata.verified(Targets, role, metadata.newest(role))[0].signed
            if (everything or store.is_due(role, signed, now)) and metadata.can_sign(role):
                signed.version += 1
                metadata.write(role, signed, now)
                renewed.append(role)
        if not metadata.signers:
            raise errors.RejectedError(
                f"neither the root key nor the publisher's is in {key_folder}: bring one of them"
            )
        return renewed

    return store.written(blobs, again)


def rotate_root(blobs: SharedBlobs, key_folder: Path, *, now: datetime) -> int:
    """Replace the root key; the new root is signed by the old key and the new. Returns the root's new version."""
    folder = key_folder / keys.ROOT

    def rotate() -> int:
        metadata = store.Store(blobs, keys.load(folder))
        root = metadata.root().signed
        old = list(root.roles[Root.type].keyids)
        _require(metadata, Root.type)
        new = keys.create(folder, Root.type)
        signers = {**metadata.signers, new.public_key.keyid: new}
        _replace_keys(root, Root.type, new.public_key)
        _write_root(store.Store(blobs, signers), root, [*old, new.public_key.keyid], now)
        keys.forget(folder, {new.public_key.keyid})
        return root.version

    return store.written(blobs, rotate)


def rotate_online(blobs: SharedBlobs, key_folder: Path, *, now: datetime) -> int:
    """Replace the controller's keys (snapshot, timestamp, retrained) and publish again under the new ones. Returns the
    root's new version. Needs the root key, and the publisher's, which says whose retrained versions count.

    What a reader may see between two writes is signed by the old keys and the new: it verifies against either root.
    """
    online = key_folder / keys.ONLINE

    def rotate() -> int:
        metadata = store.Store(blobs, {**keys.load(key_folder / keys.ROOT), **keys.load(key_folder / keys.PUBLISHER)})
        root = metadata.root().signed
        root_keys = list(root.roles[Root.type].keyids)
        _require(metadata, Root.type)
        _require(metadata, Targets.type)
        new = {role: keys.create(online, role) for role in _ONLINE_ROLES}
        signing = store.Store(blobs, {**metadata.signers, **keys.load(online)})
        _delegate(signing, store.RETRAINED, new[store.RETRAINED], now)
        _sign_with_both(signing, root, new, now)
        for role in (Snapshot.type, Timestamp.type):
            _replace_keys(root, role, new[role].public_key)
        _write_root(metadata, root, root_keys, now)
        repository.Repository(blobs, keys.load(online)).publish_once(now=now)
        keys.forget(online, {signer.public_key.keyid for signer in new.values()})
        return root.version

    return store.written(blobs, rotate)


def rotate_publisher(
    blobs: SharedBlobs,
    key_folder: Path,
    *,
    now: datetime,
    await_published: Callable[[Callable[[], bool]], None],
    lost: bool = False,
) -> int:
    """Replace the publisher's key. Returns the root's new version. Needs the root key and, unless it is `lost`, the
    publisher's old one.

    What it signed is signed by both first. Only when that is published does the root name the new key alone: without
    the online keys here, `await_published` waits until its argument is true, which is the controller's doing. When the
    old key is lost the root comes first, and nodes that ask in between receive "try again".
    """
    folder, root_folder = key_folder / keys.PUBLISHER, key_folder / keys.ROOT
    metadata = store.Store(blobs, {**keys.load(root_folder), **keys.load(folder)})
    _require(metadata, Root.type)
    if not lost:
        _require(metadata, Targets.type)
    new = keys.create(folder, keys.PUBLISHER)

    def sign() -> None:
        signing = store.Store(blobs, keys.load(folder))
        _delegate(signing, store.IMPORTED, new, now, also=new.public_key.keyid)

    def publish() -> None:
        online = repository.Repository(blobs, keys.load(key_folder / keys.ONLINE))
        if online.store.can_sign(Timestamp.type):
            online.publish(now=now)
        await_published(lambda: _names_newest(online.store))

    def name_the_new() -> int:
        root = metadata.root().signed
        root_keys = list(root.roles[Root.type].keyids)
        _replace_keys(root, Targets.type, new.public_key)
        _write_root(metadata, root, root_keys, now)
        return root.version

    store.written(blobs, sign)
    if not lost:
        publish()
    version = store.written(blobs, name_the_new)
    if lost:
        publish()
    keys.forget(folder, {new.public_key.keyid})
    return version


def _found(blobs: SharedBlobs, key_folder: Path, now: datetime) -> None:
    root_key = keys.ensure(key_folder / keys.ROOT, Root.type)
    publisher = keys.ensure(key_folder / keys.PUBLISHER, keys.PUBLISHER)
    online = {role: keys.ensure(key_folder / keys.ONLINE, role) for role in _ONLINE_ROLES}
    signers = {signer.public_key.keyid: signer for signer in (root_key, publisher, *online.values())}
    new = repository.Repository(blobs, signers)
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
            blobs.create(new.store.path(role, 1), make())
    new.publish_once(now=now)


def _sow(blobs: SharedBlobs, seed: Path) -> None:
    """Copy the metadata of `seed`, the timestamp last: it is the commit. Raises InputError when it is no repository."""
    names = sorted(path.name for path in seed.glob("*.json"))
    if "1.root.json" not in names or "timestamp.json" not in names or len(names) > _MAX_SEED_FILES:
        raise errors.InputError(
            f"SKERRY_TRUST_SEED {seed} must hold 1.root.json … timestamp.json; it holds {', '.join(names) or 'nothing'}"
        )
    for name in sorted(names, key=lambda name: name == "timestamp.json"):
        try:
            data = (seed / name).read_bytes()
        except OSError as exc:
            raise errors.UnavailableError(f"cannot read {seed / name}: {exc.strerror}") from exc
        blobs.create(f"metadata/{name}", data)


def _delegations(imported: Key, retrained: Key) -> Delegations:
    roles = {
        role: DelegatedRole(role, [key.keyid], 1, terminating=True, paths=[f"{role}/*/*/*"])
        for role, key in ((store.IMPORTED, imported), (store.RETRAINED, retrained))
    }
    return Delegations({key.keyid: key for key in (imported, retrained)}, roles)


def _require(metadata: store.Store, role: str) -> None:
    custodian = keys.ROOT if role == Root.type else keys.PUBLISHER
    if not all(keyid in metadata.signers for keyid in metadata.root().signed.roles[role].keyids):
        raise errors.RejectedError(
            f"the {custodian} key is not in the given folder: bring it from where it is kept offline"
        )


def _delegate(metadata: store.Store, role: str, new: CryptoSigner, now: datetime, also: str = "") -> None:
    """Let `new` alone sign `role`; what `role` lists stays. `also` signs the delegation beside its keys."""
    signed = metadata.load(Targets, role, metadata.newest(role))[0].signed
    signed.version += 1
    old = [keyid for keyid in metadata.delegator(role).get_delegated_role(role).keyids if keyid in metadata.signers]
    signers = {**metadata.signers, new.public_key.keyid: new}
    signing = store.Store(metadata.blobs, signers)
    data = signing.sign_with(role, signed, [*old, new.public_key.keyid], now)
    targets = metadata.load(Targets, Targets.type, metadata.newest(Targets.type))[0].signed
    targets.version += 1
    for keyid in list(targets.get_delegated_role(role).keyids):
        targets.revoke_key(keyid, role)
    targets.add_key(new.public_key, role)
    named = [keyid for keyid in metadata.root().signed.roles[Targets.type].keyids if keyid in signers]
    delegation = signing.sign_with(Targets.type, targets, sorted({*named, also} - {""}), now)
    metadata.blobs.create(metadata.path(role, signed.version), data)
    metadata.blobs.create(metadata.path(Targets.type, targets.version), delegation)


def _names_newest(metadata: store.Store) -> bool:
    """Whether readers see the newest of what the publisher signs."""
    timestamp = metadata.load(Timestamp, Timestamp.type, 0)[0].signed
    meta = metadata.load(Snapshot, Snapshot.type, timestamp.snapshot_meta.version)[0].signed.meta
    return all(meta[f"{role}.json"].version == metadata.newest(role) for role in (Targets.type, store.IMPORTED))


def _replace_keys(root: Root, role: str, key: Key) -> None:
    for keyid in list(root.roles[role].keyids):
        root.revoke_key(keyid, role)
    root.add_key(key, role)


def _write_root(metadata: store.Store, root: Root, keyids: list[str], now: datetime) -> None:
    root.version += 1
    metadata.blobs.create(metadata.path(Root.type, root.version), metadata.sign_with(Root.type, root, keyids, now))


def _sign_with_both(metadata: store.Store, root: Root, new: dict[str, CryptoSigner], now: datetime) -> None:
    """Publish what is published now once more, with the newest of each role, signed by the old and the new keys."""
    tag, newest = metadata.timestamp_tag(), metadata.newest(Snapshot.type)
    timestamp, _ = metadata.load(Timestamp, Timestamp.type, 0)
    by_key = {signer.public_key.keyid: signer for signer in new.values()}
    signing = store.Store(metadata.blobs, {**metadata.signers, **by_key})

    def sign(role: str, signed: Snapshot | Timestamp) -> bytes:
        old = [keyid for keyid in root.roles[role].keyids if keyid in metadata.signers]
        return signing.sign_with(role, signed, [*old, new[role].public_key.keyid], now)

    snapshot = Snapshot(newest + 1, meta=repository.newest_meta(metadata))
    data = sign(Snapshot.type, snapshot)
    metadata.blobs.create(metadata.path(Snapshot.type, snapshot.version), data)
    timestamp.signed.version += 1
    timestamp.signed.snapshot_meta = repository.describe(snapshot.version, data)
    metadata.commit(sign(Timestamp.type, timestamp.signed), tag)
