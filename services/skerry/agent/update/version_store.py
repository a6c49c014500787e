"""The versions on a node's disk: `<root>/<model>/<version>/`, each put there by one rename, re-hashed before it serves.

A version is put together in a staging folder on the same file system, made durable, then renamed: at any moment a slot
is whole or absent. Which slots must stay (active, last known good, staged) is the caller's to say. Knows no runtime.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from skerry.adapters import files
from skerry.core import errors

MANIFEST = "manifest.json"
_STAGING, _DISCARDED = ".staging", ".discarded"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Slot:
    """One version of one model on disk."""

    model: str
    version: int
    digest: str
    folder: Path


class VersionStore:
    """Raises UnavailableError for a full or failing disk."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def clean(self) -> None:
        """Remove what a killed process left half done. Call before anything is staged."""
        for leftover in (_STAGING, _DISCARDED):
            shutil.rmtree(self._root / leftover, ignore_errors=True)

    def stage(self, model: str, version: int, *, token: str) -> Path:
        """A new empty folder to put a version together in; `token` makes it unique."""
        folder = self._root / _STAGING / f"{files.check_name(model, 'model')}-{version}-{token}"
        with _translated(folder):
            folder.mkdir(parents=True)
        return folder

    def discard(self, staged: Path) -> None:
        shutil.rmtree(staged, ignore_errors=True)

    def publish(self, staged: Path, model: str, version: int, digest: str) -> Slot:
        """Make a staged folder the slot of that version, durably and at once. A damaged slot of it is replaced.

        Raises IntegrityError when the staged files are not those of `digest`, or the version's slot holds another one.
        """
        slot = self.slot(model, version, digest)
        check(Slot(model, version, digest, staged))
        with _translated(slot.folder):
            for path in staged.iterdir():
                _sync_file(path)
            files.sync_folder(staged)
            self._make_room(slot)
            staged.rename(slot.folder)
            files.sync_folder(slot.folder.parent)
        return slot

    def slot(self, model: str, version: int, digest: str) -> Slot:
        """Where that version is or would be. Raises InputError for a name that is no folder name."""
        return Slot(model, version, digest, self._root / files.check_name(model, "model") / str(int(version)))

    def find(self, model: str, version: int, digest: str) -> Slot | None:
        """The slot when it is there and every byte is as its digest says; None otherwise."""
        slot = self.slot(model, version, digest)
        with contextlib.suppress(errors.IntegrityError, errors.UnavailableError):
            check(slot)
            return slot
        return None

    def whole_slots(self) -> Iterator[Slot]:
        """Every slot whose bytes can be read and are as its own manifest says, by model and from the oldest on."""
        for model, version, folder in self._all():
            slot = None
            with contextlib.suppress(OSError, errors.InputError):  # InputError: a folder that is no name of a model
                digest = _manifest_digest(folder)
                slot = self.find(model, version, digest) if digest is not None else None
            if slot is not None:
                yield slot

    def remove(self, slot: Slot) -> None:
        """Take a slot away at once; the bytes go after it."""
        discarded = self._root / _DISCARDED / f"{slot.model}-{slot.version}-{os.urandom(4).hex()}"
        with contextlib.suppress(FileNotFoundError), _translated(slot.folder):
            discarded.parent.mkdir(parents=True, exist_ok=True)
            slot.folder.rename(discarded)
            files.sync_folder(slot.folder.parent)
        shutil.rmtree(discarded, ignore_errors=True)

    def prune(self, keep: Collection[Slot]) -> None:
        """Remove every slot but those of `keep`."""
        kept = {slot.folder for slot in keep}
        for model, version, folder in self._all():
            if folder not in kept:
                self.remove(Slot(model, version, "", folder))

    def size_bytes(self) -> int:
        """All bytes below the root, staging included."""
        total = 0
        with _translated(self._root):
            for path in self._root.rglob("*"):
                with contextlib.suppress(FileNotFoundError):  # removed just now
                    total += path.stat().st_size if path.is_file() else 0
        return total

    def _all(self) -> list[tuple[str, int, Path]]:
        """By model and from the oldest on."""
        with _translated(self._root):
            return sorted(
                (folder.parent.name, int(folder.name), folder)
                for folder in self._root.glob("*/*")
                if folder.is_dir() and not folder.parent.name.startswith(".") and folder.name.isdecimal()
            )

    def _make_room(self, slot: Slot) -> None:
        slot.folder.parent.mkdir(parents=True, exist_ok=True)
        if not slot.folder.exists():
            return
        other = _manifest_digest(slot.folder)
        if other not in (None, slot.digest) and self.find(slot.model, slot.version, str(other)):
            raise errors.IntegrityError(
                f"version {slot.version} of {slot.model} is {other} on this node and {slot.digest} now: a version "
                "never changes; publish it under a new number"
            )
        self.remove(slot)


def check(slot: Slot) -> None:
    """Hash every byte again. Raises IntegrityError naming the file that is not as signed, and UnavailableError."""
    with _translated(slot.folder):
        digest = _manifest_digest(slot.folder)
        if digest != slot.digest:
            text = "is missing" if digest is None else f"is {digest}, not {slot.digest}"
            raise errors.IntegrityError(f"{slot.folder / MANIFEST} {text}")
        for name, digest in _named_files((slot.folder / MANIFEST).read_bytes(), slot).items():
            path = slot.folder / name
            if not path.is_file() or _digest(path) != digest:
                raise errors.IntegrityError(f"{path} is missing or damaged: it is not {digest}")


def _named_files(manifest: bytes, slot: Slot) -> dict[str, str]:
    """File name -> digest. The manifest is the signed one, so only its shape is checked."""
    try:
        named = json.loads(manifest)["files"].values()
        return {files.check_name(entry["name"], "file"): str(entry["digest"]) for entry in named}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, errors.InputError) as exc:
        raise errors.IntegrityError(f"the manifest of {slot.model} version {slot.version} names no files") from exc


def _manifest_digest(folder: Path) -> str | None:
    path = folder / MANIFEST
    return _digest(path) if path.is_file() else None


def _digest(path: Path) -> str:
    hashed = hashlib.sha256()
    with path.open("rb") as stored:
        while chunk := stored.read(_CHUNK_BYTES):
            hashed.update(chunk)
    return f"sha256:{hashed.hexdigest()}"


def _sync_file(path: Path) -> None:
    with path.open("rb+") as written:
        os.fsync(written.fileno())


@contextlib.contextmanager
def _translated(what: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise errors.UnavailableError(f"cannot use {what}: {exc.strerror}; free space or fix the disk") from exc
