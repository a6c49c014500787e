"""The file format of a backup: a tar stream in which every entry carries its digest, and whose last one,
`manifest.json`, vouches for all of them. It is written and read front to back; one entry at a time is in memory.

An entry that was changed does not match its own digest; one that was removed, added, renamed or moved does not match
the manifest; an archive that was cut has none. What entries mean is `saving`'s and `restoring`'s.
"""

import contextlib
import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, Any

from skerry.adapters.blobs import paths
from skerry.core import errors

MAX_ENTRY_BYTES = 512 << 20  # training jobs may store parts of 320 MiB
MANIFEST = "manifest.json"
SCHEMA = 1
_DIGEST = "SKERRY.sha256"
_MAGIC_GZIP = b"\x1f\x8b"


class Writer:
    """Writes an archive to `out`, which need not seek."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out, self._seal = out, _Seal()

    def add(self, name: str, data: bytes) -> None:
        """Append one entry. Raises UnavailableError when `out` is full or gone."""
        self._write(name, data, self._seal.take(name, data))

    def finish(self, about: Mapping[str, Any]) -> Mapping[str, Any]:
        """Append the manifest: `about` and what was written. Returns it."""
        manifest = {"schema": SCHEMA, **about, **self._seal.tell()}
        data = json.dumps(manifest, sort_keys=True, indent=2).encode()
        self._write(MANIFEST, data, hashlib.sha256(data).hexdigest())
        self._send(bytes(2 * tarfile.BLOCKSIZE))
        return manifest

    def _write(self, name: str, data: bytes, digest: str) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.pax_headers = len(data), 0o600, {_DIGEST: digest}
        self._send(entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict"))
        self._send(data)
        self._send(bytes(-len(data) % tarfile.BLOCKSIZE))

    def _send(self, data: bytes) -> None:
        try:
            self._out.write(data)
        except OSError as exc:
            raise errors.UnavailableError(f"cannot write the backup: {exc.strerror or exc}; free space") from exc


class Reader:
    """Reads an archive from `source`, compressed or not. Iterate over all of it; then `manifest` is what it says."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.manifest: Mapping[str, Any] = {}

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Each entry, its digest checked; the manifest is checked last. Raises IntegrityError."""
        seal = _Seal()
        with _our_read_errors(), tarfile.open(fileobj=_unzipped(self._source), mode="r|") as tar:
            while (entry := tar.next()) is not None:
                # What tarfile remembers of each entry would outgrow memory before the entries do.
                tar.members.clear()  # type: ignore[attr-defined]  # not in its stubs
                if self.manifest:
                    raise errors.IntegrityError(f"the archive goes on behind its manifest, with {entry.name[:80]!r}")
                data = _content(tar, entry)
                if entry.name == MANIFEST:
                    self.manifest = _manifest(data, seal)
                    continue
                seal.take(entry.name, data)
                yield entry.name, data
        if not self.manifest:
            raise errors.IntegrityError("the archive is cut: it ends before its manifest")


class _Seal:
    """What was seen so far: one digest over the names, sizes and digests of all entries, in their order."""

    def __init__(self) -> None:
        self._hash, self._entries, self._bytes = hashlib.sha256(), 0, 0

    def take(self, name: str, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        self._hash.update(f"{digest} {len(data)} {name}\n".encode())
        self._entries, self._bytes = self._entries + 1, self._bytes + len(data)
        return digest

    def tell(self) -> dict[str, Any]:
        return {"entries": self._entries, "sizeBytes": self._bytes, "digest": f"sha256:{self._hash.hexdigest()}"}


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    if not entry.isreg():
        raise errors.IntegrityError(f"{entry.name[:80]!r} in the archive is no file")
    if entry.size > MAX_ENTRY_BYTES:
        raise errors.TooLargeError(f"{entry.name[:80]!r} has {entry.size} bytes, more than {MAX_ENTRY_BYTES}")
    try:
        paths.check(entry.name)
    except errors.InputError as exc:
        raise errors.IntegrityError(f"the archive names {entry.name[:80]!r}, which no backup does") from exc
    source = tar.extractfile(entry)
    data = source.read() if source is not None else b""
    if len(data) != entry.size or hashlib.sha256(data).hexdigest() != entry.pax_headers.get(_DIGEST):
        raise errors.IntegrityError(f"{entry.name} in the archive is not what was saved: take another backup")
    return data


def _manifest(data: bytes, seal: _Seal) -> Mapping[str, Any]:
    manifest = json.loads(data)
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise errors.InputError("this backup is of another version of skerry")
    if any(manifest.get(key) != value for key, value in seal.tell().items()):
        raise errors.IntegrityError(
            "the archive does not hold what its manifest says: something is missing or was moved"
        )
    return manifest


def _unzipped(source: IO[bytes]) -> IO[bytes]:
    buffered = source if isinstance(source, io.BufferedReader) else io.BufferedReader(source)  # type: ignore[type-var]  # any file will do
    return gzip.GzipFile(fileobj=buffered) if buffered.peek(2)[:2] == _MAGIC_GZIP else buffered  # type: ignore[return-value]  # it reads


@contextlib.contextmanager
def _our_read_errors() -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, RecursionError) as exc:
        raise errors.IntegrityError(f"the archive is cut or damaged: {exc or 'it is empty'}") from exc
    except OSError as exc:
        raise errors.UnavailableError(f"cannot read the backup: {exc.strerror or exc}") from exc
