"""Who may sign what in the model repository, until when, and whose key is here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from skerry.adapters.blobs.protocol import SharedBlobs
from skerry.adapters.trust import expiry, keys, store
from skerry.core import errors


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


def read(blobs: SharedBlobs, key_folder: Path | None, *, now: datetime) -> Sequence[Row]:
    """Raises as `expiry.look`."""
    rows = []
    for role in expiry.look(store.Store(blobs, {})):
        here = key_folder is not None and any(keyid in keys.load(key_folder / role.custodian) for keyid in role.keyids)
        rows.append(Row(role.role, role.custodian, role.version, role.keyids, here, role.expires, role.warning(now)))
    return rows


def certificate(file: Path, *, now: datetime) -> tuple[datetime, str]:
    """When the fleet's CA certificate in `file` ends, and a warning if that is within a year."""
    try:
        ends = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as exc:
        raise errors.InputError(f"{file} holds no certificate: {exc}") from exc
    left = ends - now
    return ends, f"ends in {left.days} days: plan a new authority" if left < timedelta(days=365) else ""
