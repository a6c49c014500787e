"""Who may sign what in the model repository, until when, and whose key is here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from skerry.adapters.blobs.protocol import SharedBlobs
from skerry.adapters.trust import keys, store
from skerry.core import errors

# Who keeps a role's key, how it is renewed, and how long before the end people are warned. The controller renews its
# own long before; when it has not, something is wrong.
ROLES: dict[str, tuple[str, timedelta]] = {
    Root.type: (keys.ROOT, timedelta(days=60)),
    Targets.type: (keys.PUBLISHER, timedelta(days=30)),
    store.IMPORTED: (keys.PUBLISHER, timedelta(days=30)),
    store.RETRAINED: (keys.ONLINE, timedelta(days=20)),
    Snapshot.type: (keys.ONLINE, timedelta(days=5)),
    Timestamp.type: (keys.ONLINE, timedelta(hours=36)),
}


@dataclass(frozen=True, slots=True)
class Row:
    """`here`: a key of the role is in the folder. `warning` is empty, or says what to do."""

    role: str
    custodian: str
    version: int
    keyids: tuple[str, ...]
    here: bool
    expires: datetime
    warning: str


def look(blobs: SharedBlobs, key_folder: Path | None, *, now: datetime) -> Sequence[Row]:
    """Raises NotFoundError (no repository yet), IntegrityError (metadata not signed by its keys)."""
    metadata = store.Store(blobs, {})
    newest = metadata.newest(Root.type)
    if not newest:
        raise errors.NotFoundError("there is no model repository yet: the controller founds it when it starts")
    timestamp = metadata.verified(Timestamp, Timestamp.type, 0)[0].signed
    numbers = {Root.type: newest, Timestamp.type: 0, Snapshot.type: timestamp.snapshot_meta.version}
    kinds: dict[str, type[Any]] = {Root.type: Root, Snapshot.type: Snapshot, Timestamp.type: Timestamp}
    rows = []
    for role, (custodian, notice) in ROLES.items():
        number = numbers.get(role, 0) if role in numbers else metadata.newest(role)
        signed = metadata.verified(kinds.get(role, Targets), role, number)[0].signed
        keyids = tuple(metadata.delegator(role).get_delegated_role(role).keyids)
        here = key_folder is not None and any(keyid in keys.load(key_folder / custodian) for keyid in keyids)
        warning = _advice(custodian, signed.expires - now) if signed.expires - now < notice else ""
        rows.append(Row(role, custodian, signed.version, keyids, here, signed.expires, warning))
    return rows


def _advice(custodian: str, left: timedelta) -> str:
    when = "has ended" if left < timedelta(0) else f"ends in {left.days} days"
    how = {
        keys.ROOT: "`skerry keys renew` with the root key",
        keys.PUBLISHER: "`skerry keys renew` with the publisher's key",
        keys.ONLINE: "the controller should have renewed it: see its log",
    }
    return f"{when}: {how[custodian]}"


def certificate(file: Path, *, now: datetime) -> tuple[datetime, str]:
    """When the fleet's CA certificate in `file` ends, and a warning if that is within a year."""
    try:
        ends = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as exc:
        raise errors.InputError(f"{file} holds no certificate: {exc}") from exc
    left = ends - now
    return ends, f"ends in {left.days} days: plan a new authority" if left < timedelta(days=365) else ""
