"""Blobs in object storage: S3 and what speaks like it, Google's, Azure's. Waits are bounded; nothing is cached.

Credentials, region and endpoint are the driver's own business, by the variables of each cloud's own tools (AWS_…).
"""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import timedelta

import obstore
from obstore import exceptions, store

from skerry.adapters.blobs import paths
from skerry.adapters.blobs.protocol import Entry
from skerry.core import errors, urls

SCHEMES = ("s3", "gs", "az")
_PART_BYTES = 8 << 20  # of what is larger: sent and fetched in parts, so that a bound in time fits any size
_SENDERS = 4
_RETRIES = 3


class RemoteBlobs:
    """Objects below `root`, for example `s3://bucket/skerry`. A put of an object store is atomic by itself."""

    def __init__(self, driver: store.ObjectStore, root: str) -> None:
        self._store, self._root = driver, root

    def read(self, path: str, *, max_bytes: int) -> bytes:
        with self._ours(paths.check(path)):
            answer = obstore.get(self._store, path)
            meta = answer.meta
            if meta["size"] > max_bytes:
                raise errors.TooLargeError(f"blob {path} has {meta['size']} bytes, more than the limit of {max_bytes}")
            if meta["size"] <= _PART_BYTES:
                return bytes(answer.bytes())
            del answer
            parts = bytearray()
            while len(parts) < meta["size"]:
                end = min(len(parts) + _PART_BYTES, meta["size"])
                options: obstore.GetOptions = {"range": (len(parts), end), "if_match": meta["e_tag"]}
                parts += obstore.get(self._store, path, options=options).bytes()
            return bytes(parts)

    def read_part(self, path: str, start: int, size_bytes: int) -> bytes:
        try:
            with self._ours(paths.check(path)):
                return bytes(obstore.get_range(self._store, path, start=start, length=size_bytes))
        except errors.UnavailableError:
            if start >= self.stat(path).size_bytes:
                return b""
            raise

    def write(self, path: str, data: bytes) -> None:
        with self._ours(paths.check(path)):
            obstore.put(
                self._store,
                path,
                data,
                use_multipart=len(data) > 2 * _PART_BYTES,
                chunk_size=_PART_BYTES,
                max_concurrency=_SENDERS,
            )

    def create(self, path: str, data: bytes) -> None:
        try:
            with self._ours(paths.check(path)):
                obstore.put(self._store, path, data, mode="create", use_multipart=False)
        except errors.ConflictError:
            self._check_ours(path, data)

    def replace(self, path: str, data: bytes, tag: str) -> None:
        try:
            with self._ours(paths.check(path)):
                obstore.put(self._store, path, data, mode=_version(tag), use_multipart=False)
        except errors.ConflictError:
            self._check_ours(path, data)

    def _check_ours(self, path: str, data: bytes) -> None:
        """A request that was answered too late is sent again, and then finds its own blob: that is no conflict."""
        with contextlib.suppress(errors.InputError):
            if self.read(path, max_bytes=len(data)) == data:
                return
        raise errors.ConflictError(f"blob {path} in {self._root} was written by another writer: read it again")

    def locked(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def exists(self, path: str) -> bool:
        try:
            self.stat(path)
        except errors.NotFoundError:
            return False
        return True

    def stat(self, path: str) -> Entry:
        with self._ours(paths.check(path)):
            return _entry(obstore.head(self._store, path))

    def list(self, prefix: str) -> Iterator[str]:
        paths.check(prefix)
        return (entry.path for entry in self.entries(prefix))

    def entries(self, prefix: str) -> Iterator[Entry]:
        with self._ours(f"{paths.check_prefix(prefix)}/"):
            entries = [
                _entry(meta) for chunk in obstore.list(self._store, prefix or None, chunk_size=1000) for meta in chunk
            ]
        return iter(sorted(entries, key=lambda entry: entry.path))

    def delete(self, path: str) -> None:
        with contextlib.suppress(errors.NotFoundError), self._ours(paths.check(path)):
            obstore.delete(self._store, path)

    @contextlib.contextmanager
    def _ours(self, path: str) -> Iterator[None]:
        """Only skerry's errors come out; the original is chained."""
        try:
            yield
        except FileNotFoundError as exc:
            if "NoSuchBucket" in str(exc):
                raise errors.InputError(f"there is no bucket for {self._root}: make it, or mend the URL") from exc
            raise errors.NotFoundError(f"there is no blob {path} in {self._root}") from exc
        except (exceptions.AlreadyExistsError, exceptions.PreconditionError) as exc:
            raise errors.ConflictError(f"blob {path} in {self._root} was written by another writer") from exc
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as exc:
            raise errors.RejectedError(
                f"{self._root} does not allow {path}: check the credentials (AWS_ACCESS_KEY_ID …) and their rights"
            ) from exc
        except (exceptions.BaseError, OSError) as exc:
            reason = str(exc).partition("\n")[0]
            raise errors.UnavailableError(f"{self._root} did not answer for {path}: {reason}") from exc


def open_remote(url: str, *, timeout_s: float = 30.0) -> RemoteBlobs:
    """`s3://bucket/prefix`, `gs://…`, `az://…`. `timeout_s` bounds one request, and how long it is tried again. Raises
    InputError when the driver cannot make anything of the URL."""
    client: store.ClientConfig = {
        "allow_http": True,  # only where the endpoint that was given says http
        "connect_timeout": timedelta(seconds=min(5.0, timeout_s)),
        "timeout": timedelta(seconds=timeout_s),
    }
    retry: store.RetryConfig = {"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=timeout_s)}
    shown = urls.without_secret(url).rstrip("/")
    try:
        return RemoteBlobs(store.from_url(url, client_options=client, retry_config=retry), shown)
    except (exceptions.BaseError, ValueError, TypeError) as exc:
        reason = urls.hide_secrets(str(exc).partition("\n")[0], url)
        raise errors.InputError(f"cannot use object storage {shown!r}: {reason}") from None  # its words may hold a key


def _entry(meta: "obstore.ObjectMeta") -> Entry:
    tag = f"{meta['e_tag'] or ''}\n{meta['version'] or ''}"  # S3 goes by the one, Google by the other
    return Entry(meta["path"], meta["size"], meta["last_modified"].timestamp(), tag)


def _version(tag: str) -> "obstore.UpdateVersion":
    e_tag, _, version = tag.partition("\n")
    version_of: obstore.UpdateVersion = {}
    if e_tag:
        version_of["e_tag"] = e_tag
    if version:
        version_of["version"] = version
    return version_of
