"""Object storage: opening it by URL, and content by digest on top of it."""

from pathlib import Path
from urllib.parse import urlsplit

from skerry.adapters.blobs.protocol import Blobs
from skerry.core import digests, errors

__all__ = ["Blobs", "fetch", "open_blobs", "put"]


def open_blobs(url: str, *, ticket: str = "", ca: str = "") -> Blobs:
    """`file:///folder`, the gateway's door `https://host:port/` (with a training job's `ticket`, and the `ca` that the
    gateway's certificate is from), or any URL that an installed fsspec driver knows. Raises InputError for anything
    else."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        from skerry.adapters.blobs.door import DoorBlobs

        return DoorBlobs(url, ticket, ca)
    if parts.scheme == "file":
        from skerry.adapters.blobs.directory import DirectoryBlobs

        return DirectoryBlobs(Path(parts.path))
    if not parts.scheme:
        raise errors.InputError(f"blob storage {url!r} must be a URL, like file:///var/lib/skerry/blobs or s3://bucket")
    from skerry.adapters.blobs.remote import RemoteBlobs

    return RemoteBlobs(url)


def put(blobs: Blobs, data: bytes) -> str:
    """Store content by its digest, once; returns the digest."""
    digest = digests.sha256(data)
    path = digests.blob_path(digest)
    if not blobs.exists(path):
        blobs.write(path, data)
    return digest


def fetch(blobs: Blobs, digest: str, max_bytes: int) -> bytes:
    """Content by digest, verified. Raises NotFoundError, TooLargeError, IntegrityError (damaged content)."""
    path = digests.blob_path(digest)
    return digests.verify(blobs.read(path, max_bytes=max_bytes), digest, f"blob {path}")
