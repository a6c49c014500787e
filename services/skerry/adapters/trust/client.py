"""The edge side of the model repository: refresh and verify TUF metadata, fetch one version, check its manifest.

Keeps trusted metadata and the time floor in a state folder between runs; meant for a short-lived process (tuf and
cryptography are heavy). Which version to fetch, where it goes live and what is remembered of a refusal is the agent's.

Two kinds of refusal, both IntegrityError: `UntrustedMetadataError` says that the repository cannot be believed now (it
may be replayed, expired, forged) and nothing of the version; any other IntegrityError says that this version is bad.
"""

import contextlib
import functools
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tuf.api import exceptions
from tuf.api.metadata import TargetFile
from tuf.ngclient import Updater, UpdaterConfig

from skerry.adapters import files
from skerry.adapters.trust import fetcher, partial_download, repository, store
from skerry.core import errors

_MAX_MANIFEST_BYTES = 1 << 20
_MAX_FILES = 16
_MISMATCHES = (exceptions.LengthOrHashMismatchError, exceptions.DownloadLengthMismatchError)
_CONFIG = UpdaterConfig(
    max_root_rotations=64,
    max_delegations=4,
    root_max_length=64 << 10,
    timestamp_max_length=16 << 10,
    snapshot_max_length=256 << 10,
    targets_max_length=4 << 20,
    app_user_agent="skerry",
)


class UntrustedMetadataError(errors.IntegrityError):
    """The repository's metadata was refused; `reason` is Expired, Replayed, BadSignature or Mismatch."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class FetchedVersion:
    """A verified version on disk. `custom` is what the signer said of it: model, version, digest."""

    manifest: bytes
    files: Mapping[str, Path]
    custom: Mapping[str, Any]


class TrustClient:
    """Fetches versions from one repository, believing `trusted_root` and what follows from it.

    `timeout_s` bounds a whole `fetch`; `identity` is the folder of this node's certificate, for a repository that asks
    for one. Not for concurrent use of one state folder.
    """

    def __init__(
        self,
        state_dir: Path,
        trusted_root: bytes,
        repository_url: str,
        *,
        timeout_s: float = 120.0,
        identity: Path | None = None,
    ) -> None:
        self._state_dir = state_dir
        self._trusted_root = trusted_root
        self._url = repository_url.rstrip("/")
        self._timeout_s = timeout_s
        self._identity = identity

    def fetch(
        self,
        target_prefix: str,
        dest_dir: Path,
        max_bytes: int,
        *,
        now: datetime,
        accept: Callable[[bytes], None] = lambda manifest: None,
    ) -> FetchedVersion:
        """Fetch and verify `<role>/<model>/<version>` into `dest_dir`, durably.

        `now` is the node's clock, which may be wrong: never older than the newest time a signature has vouched for.
        `accept` sees the verified manifest before any other file is asked for; what it raises ends the fetch, so that a
        node need not download what it could not load.

        Raises UntrustedMetadataError; IntegrityError (a file is not the signed one, the version is not signed, it is
        signed as another one); TooLargeError (more than `max_bytes` in all); UnavailableError (download, disk full);
        InputError (malformed prefix).
        """
        repository.parse_target_path(target_prefix)
        deadline_s = time.monotonic() + self._timeout_s
        with contextlib.closing(fetcher.Fetcher(deadline_s, self._identity, self._unfinished)) as http:
            with _translated("the repository's metadata"):
                updater = self._refresh(now, http)
            download = functools.partial(self._download, http, updater, max_bytes)
            return self._fetch(updater, download, target_prefix, dest_dir, max_bytes, accept)

    @property
    def _unfinished(self) -> Path:
        return self._state_dir / "unfinished"

    def _fetch(
        self,
        updater: Updater,
        download: Callable[[TargetFile, Path], Path],
        target_prefix: str,
        dest_dir: Path,
        max_bytes: int,
        accept: Callable[[bytes], None],
    ) -> FetchedVersion:
        role, model, version = repository.parse_target_path(target_prefix)
        listed = self._find(updater, f"{target_prefix}/{repository.MANIFEST}")
        if listed is None:
            raise errors.IntegrityError(f"{target_prefix} is not signed by role {role}: this node will not install it")
        custom = _check_custom(listed, target_prefix, model, version)
        budget = _Budget(target_prefix, max_bytes)
        budget.take(listed, _MAX_MANIFEST_BYTES)
        manifest = download(listed, dest_dir / repository.MANIFEST).read_bytes()
        if f"sha256:{hashlib.sha256(manifest).hexdigest()}" != custom["digest"]:
            raise errors.IntegrityError(f"{target_prefix}: the manifest is not the one the signer named by digest")
        accept(manifest)
        paths = {repository.MANIFEST: dest_dir / repository.MANIFEST}
        for name, digest in _named_files(manifest, target_prefix, model).items():
            target = self._find(updater, f"{target_prefix}/{name}")
            signed = None if target is None else target.hashes.get("sha256")
            if target is None or (signed is not None and f"sha256:{signed}" != digest):
                raise errors.IntegrityError(f"{target_prefix}/{name} is not signed as its manifest says")
            budget.take(target, max_bytes)
            paths[name] = download(target, dest_dir / name)
            if signed is None and _sha256_of(paths[name]) != digest:  # signed by another hash alone
                raise errors.IntegrityError(f"{target_prefix}/{name} is not the file that its manifest names")
        return FetchedVersion(manifest, paths, custom)

    def _refresh(self, now: datetime, http: fetcher.Fetcher) -> Updater:
        """Metadata refreshed at max(clock, floor). A root newer than the floor's drops the floor: the way back after
        a thief of the timestamp key signed a time far ahead."""
        root_version, floor = self._floor()
        updater = self._updater(max(now, floor), http)
        try:
            updater.refresh()
        except exceptions.ExpiredMetadataError:
            if updater._trusted_set.root.version <= root_version or floor <= now:
                raise
            updater = self._updater(max(now, _signed_at(updater._trusted_set.root)), http)
            updater.refresh()
            floor = _signed_at(updater._trusted_set.root)
        trusted = updater._trusted_set
        newest = max(floor, _signed_at(trusted.root), _signed_at(trusted.timestamp))
        self._save_floor(trusted.root.version, newest)
        return updater

    def _updater(self, reference: datetime, http: fetcher.Fetcher) -> Updater:
        metadata_dir = self._state_dir / "metadata"
        metadata_dir.mkdir(parents=True, exist_ok=True)
        updater = Updater(
            str(metadata_dir),
            f"{self._url}/metadata/",
            target_base_url=f"{self._url}/targets/",
            fetcher=http,
            config=_CONFIG,
            bootstrap=self._trusted_root,
        )
        # tuf takes the time from the clock alone; a floor needs its own fixed start time (TUF 5.1), set before refresh.
        updater._trusted_set.reference_time = max(reference, _signed_at(updater._trusted_set.root))
        return updater

    def _find(self, updater: Updater, path: str) -> TargetFile | None:
        with _translated(f"the metadata of {path}"):
            return updater.get_targetinfo(path)

    def _download(
        self, http: fetcher.Fetcher, updater: Updater, max_bytes: int, target: TargetFile, path: Path
    ) -> Path:
        """One target file, going on where an earlier attempt broke off. What was kept of that may be damaged, so only
        a file that was downloaded whole condemns the version."""
        name = _stored_name(target)
        kept = partial_download.PartialDownload(self._unfinished, name)
        partial_download.make_room(self._unfinished, name, max(0, max_bytes - target.length))
        with _translated(target.path):
            try:
                updater.download_target(target, str(path))
            except _MISMATCHES as exc:
                kept.forget()
                if http.went_on is None:
                    raise errors.IntegrityError(f"{target.path} is not the file that was signed: {exc}") from exc
                return self._download(http, updater, max_bytes, target, path)
            kept.forget()
            with path.open("rb+") as written:
                os.fsync(written.fileno())
            files.sync_folder(path.parent)
        return path

    def _floor(self) -> tuple[int, datetime]:
        """(root version it was learned under, time); a missing or damaged file counts as no floor."""
        try:
            stored = json.loads((self._state_dir / "time-floor.json").read_bytes())
            return int(stored["rootVersion"]), datetime.fromtimestamp(int(stored["unixMs"]) / 1000, UTC)
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return 0, datetime.fromtimestamp(0, UTC)

    def _save_floor(self, root_version: int, floor: datetime) -> None:
        if (root_version, floor) != self._floor():
            text = json.dumps({"rootVersion": root_version, "unixMs": round(floor.timestamp() * 1000)})
            files.write(self._state_dir / "time-floor.json", text.encode())


class _Budget:
    """Signed lengths are checked before a byte is asked for."""

    def __init__(self, prefix: str, max_bytes: int) -> None:
        self._prefix, self._max_bytes, self._left = prefix, max_bytes, max_bytes

    def take(self, target: TargetFile, limit: int) -> None:
        self._left -= target.length
        if self._left < 0 or target.length > limit:
            raise errors.TooLargeError(
                f"{target.path} is {target.length} bytes; {self._prefix} may be {self._max_bytes} bytes in all"
            )


def _check_custom(target: TargetFile, prefix: str, model: str, version: int) -> Mapping[str, Any]:
    custom = target.custom
    if not isinstance(custom, dict) or not isinstance(custom.get("digest"), str):
        raise errors.IntegrityError(f"{prefix}: the signer named no digest for it")
    if custom.get("model") != model or custom.get("version") != version:
        named = f"{custom.get('model')!r} version {custom.get('version')!r}"
        raise errors.IntegrityError(f"{prefix} is signed as {named}: a valid file under a wrong name")
    return custom


def _sha256_of(path: Path) -> str:
    with path.open("rb") as source:
        return f"sha256:{hashlib.file_digest(source, 'sha256').hexdigest()}"


def _stored_name(target: TargetFile) -> str:
    """What the repository calls the file: the first hash that was signed, of whichever kind, before its name."""
    name = target.path.rpartition("/")[2]
    return f"{next(iter(target.hashes.values()))}.{name}".rpartition("/")[2]


def _named_files(data: bytes, prefix: str, model: str) -> dict[str, str]:
    """File name -> digest, as the manifest names them. Only what fetching needs is read; the agent parses the rest."""
    try:
        manifest = json.loads(data)
        if manifest["model"] != model:
            raise errors.IntegrityError(f"{prefix}: its manifest is of model {manifest['model']!r}")
        named = {files.check_name(entry["name"], "file"): str(entry["digest"]) for entry in manifest["files"].values()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, errors.InputError) as exc:
        raise errors.IntegrityError(f"{prefix}: its manifest names its files wrongly: {exc!r}") from exc
    if len(named) > _MAX_FILES or repository.MANIFEST in named:
        raise errors.IntegrityError(f"{prefix}: its manifest names {len(named)} files; at most {_MAX_FILES} others")
    return named


def _signed_at(signed: Any) -> datetime:
    """The time a verified signature vouches for; 1970 when it says none."""
    stamp = signed.unrecognized_fields.get(store.SIGNED_AT, 0)
    valid = isinstance(stamp, int) and 0 <= stamp < 1 << 47
    return datetime.fromtimestamp(stamp / 1000 if valid else 0, UTC)


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    """Only skerry's errors come out; the original is chained."""
    try:
        yield
    except exceptions.ExpiredMetadataError as exc:
        text = f"{exc}: nothing new is installed until the repository is renewed or this node's clock is set right"
        raise UntrustedMetadataError("Expired", text) from exc
    except exceptions.BadVersionNumberError as exc:
        raise UntrustedMetadataError("Replayed", f"the repository shows metadata older than was seen: {exc}") from exc
    except exceptions.UnsignedMetadataError as exc:
        raise UntrustedMetadataError(
            "BadSignature", f"the repository's metadata is not signed by its keys: {exc}"
        ) from exc
    except (exceptions.RepositoryError, exceptions.DownloadLengthMismatchError) as exc:
        raise UntrustedMetadataError("Mismatch", f"the repository's metadata does not fit together: {exc}") from exc
    except exceptions.DownloadError as exc:
        raise errors.UnavailableError(f"{what} was not downloaded: {exc}") from exc
    except OSError as exc:
        raise errors.UnavailableError(f"cannot store {what}: {exc.strerror}; free space or fix permissions") from exc
