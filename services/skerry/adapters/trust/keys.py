"""Signing keys on disk: ed25519, PEM, mode 0600, one folder per custodian.

`root/` makes and rotates, `publisher/` signs what people import, `online/` is the controller's. A key is found by its
key id, never by its file name, so a half-finished rotation leaves nothing to repair. Encryption at rest and hardware
tokens are left out.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner

from skerry.adapters import files
from skerry.core import errors

ROOT, PUBLISHER, ONLINE = "root", "publisher", "online"
Signers = Mapping[str, CryptoSigner]


def load(folder: Path) -> dict[str, CryptoSigner]:
    """Every key of `folder` by key id; a missing folder holds none. Raises IntegrityError naming a damaged file."""
    signers: dict[str, CryptoSigner] = {}
    for path in sorted(folder.glob("*.pem")):
        try:
            signer = CryptoSigner(load_pem_private_key(path.read_bytes(), password=None))
        except (ValueError, TypeError) as exc:
            raise errors.IntegrityError(f"{path} is not a private key: {exc}; restore it from a backup") from exc
        except OSError as exc:
            raise errors.UnavailableError(f"cannot read {path}: {exc.strerror}") from exc
        signers[signer.public_key.keyid] = signer
    return signers


class Ring(Mapping[str, CryptoSigner]):
    """The keys of a folder; one that is asked for and not known is looked for again, so that a key that was rotated in
    signs without a restart."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._seen = folder, _listing(folder)
        self._signers = load(folder)

    def __getitem__(self, keyid: str) -> CryptoSigner:
        if keyid not in self._signers and (listed := _listing(self._folder)) != self._seen:
            self._signers, self._seen = {**self._signers, **load(self._folder)}, listed
        return self._signers[keyid]

    def __iter__(self) -> Iterator[str]:
        return iter(self._signers)

    def __len__(self) -> int:
        return len(self._signers)


def _listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.pem"))


def create(folder: Path, role: str) -> CryptoSigner:
    """Make and store a new key for `role`; the file is `<role>-<key id's start>.pem`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    signer = CryptoSigner.generate_ed25519()
    files.write(folder / f"{role}-{signer.public_key.keyid[:12]}.pem", signer.private_bytes, mode=0o600)
    return signer


def ensure(folder: Path, role: str) -> CryptoSigner:
    """The key of `role` in `folder`, made now if there is none."""
    for path in sorted(folder.glob(f"{role}-*.pem")):
        stem = path.stem.removeprefix(f"{role}-")
        for keyid, signer in load(folder).items():
            if keyid.startswith(stem):
                return signer
    return create(folder, role)


def forget(folder: Path, keep: set[str]) -> None:
    """Remove the keys of `folder` whose ids are not in `keep`: what a rotation replaced must not sign again."""
    for path in folder.glob("*.pem"):
        if not any(keyid.startswith(path.stem.rpartition("-")[2]) for keyid in keep):
            path.unlink()
    files.sync_folder(folder)
