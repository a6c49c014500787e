"""Object storage: opening it by URL, and content by digest on top of it."""

from pathlib import Path

from skerry.adapters.blobs.protocol import Blobs, Entry, SharedBlobs
from skerry.core import digests, errors, urls

__all__ = ["Blobs", "Entry", "SharedBlobs", "fetch", "folder", "open_blobs", "open_shared", "put"]


def open_blobs(url: str, *, ticket: str = "", ca: str = "") -> Blobs:
    """As `open_shared`, or the gateway's door `https://host:port/` (with a training job's `ticket`, and the `ca` that
    the gateway's certificate is from). Raises InputError for anything else."""
    if urls.split(url, "storage").scheme == "https":
        from skerry.adapters.blobs.gateway import GatewayBlobs

        return GatewayBlobs(url, ticket, ca)
    return open_shared(url)


def open_shared(url: str) -> SharedBlobs:
    """`file:///folder`, `s3://bucket/prefix`, `gs://…` or `az://…`. Raises InputError for anything else."""
    if path := folder(url):
        from skerry.adapters.blobs.directory import DirectoryBlobs

        return DirectoryBlobs(path)
    shown = urls.without_secret(url)
    try:
        from skerry.adapters.blobs import remote
    except ImportError as exc:
        raise errors.InputError(f"object storage {shown} needs its driver: install skerry[s3]") from exc
    if urls.split(url, "storage").scheme not in remote.SCHEMES:
        raise errors.InputError(
            f"storage {shown!r} must be a URL like file:///var/lib/skerry/blobs or s3://bucket/blobs"
        )
    return remote.open_remote(url)


def folder(url: str) -> Path | None:
    """The directory that a `file:` URL names; None for object storage. Raises InputError for a relative one."""
    parts = urls.split(url, "storage")
    if parts.scheme != "file":
        return None
    if parts.netloc or not parts.path.startswith("/"):
        raise errors.InputError(
            f"storage {urls.without_secret(url)!r} must name an absolute folder: file:///var/lib/skerry/blobs"
        )
    return Path(urls.path_of(url, "storage"))


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
