"""Where in a folder are these bytes? Archives are unpacked: in a deflated part a plain search finds nothing."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

_DEEPEST = 4


def holds(data: bytes, marker: bytes, depth: int = 0) -> bool:
    if marker in data:
        return True
    if depth == _DEEPEST:
        return False
    if data[:2] == b"\x1f\x8b":
        return holds(gzip.decompress(data), marker, depth + 1)
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return any(holds(archive.read(name), marker, depth + 1) for name in archive.namelist())
    if data[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            files = [archive.extractfile(entry) for entry in archive if entry.isreg()]
            return any(holds(file.read(), marker, depth + 1) for file in files if file is not None)
    return False


def places(root: Path, marker: bytes) -> list[str]:
    """Files below `root` that hold it, by their paths."""
    found = []
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue  # a running system removed it
            if holds(data, marker):
                found.append(str(path.relative_to(root)))
    return found
