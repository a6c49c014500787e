"""Versions on disk, `<root>/<model>/<version>/manifest.json`: which there are, in numeric order, and what is odd.

A folder that is no version is never passed over silently: it is listed with the reason. Names that begin with a dot are
other programs' business (staging, `.git`).
"""

import re
from dataclasses import dataclass
from pathlib import Path

from skerry.core import errors, manifest

_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NUMBER = re.compile(r"[1-9][0-9]{0,15}")


@dataclass(frozen=True, slots=True)
class Listing:
    """Versions of one model, ascending by number, and `odd`: name of a folder -> why it is not one."""

    model: str
    versions: dict[int, Path]
    odd: dict[str, str]

    @property
    def latest(self) -> int | None:
        return max(self.versions, default=None)


def scan(root: Path) -> list[Listing]:
    """Every model below `root`; none when it is not there yet. Raises UnavailableError when it cannot be listed."""
    return [scan_model(root, folder.name) for folder in _folders(root) if not folder.name.startswith(".")]


def scan_model(root: Path, model: str) -> Listing:
    """The versions of one model. Raises NotFoundError when there is no such folder, UnavailableError."""
    folder = root / model
    if not _MODEL.fullmatch(model) or not folder.is_dir():
        raise errors.NotFoundError(f"model {model[:80]!r} is not in the repository {root}")
    listing = Listing(model, {}, {})
    for path in _folders(folder):
        reason = _odd(path)
        if reason:
            listing.odd[path.name] = reason
        elif not path.name.startswith("."):
            listing.versions[int(path.name)] = path
    return Listing(model, dict(sorted(listing.versions.items())), listing.odd)


def _odd(path: Path) -> str:
    if path.name.startswith("."):
        return ""
    if not _NUMBER.fullmatch(path.name):
        return "a version is a whole number from 1 without leading zeros"
    if not (path / manifest.FILE_NAME).is_file():
        return f"{manifest.FILE_NAME} is missing"
    return ""


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if path.is_dir())
    except FileNotFoundError:  # no model was put there yet
        return []
    except OSError as exc:
        raise errors.UnavailableError(f"cannot list {root}: {exc.strerror}") from exc
