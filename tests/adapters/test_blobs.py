"""One contract for every object storage, the memory twin included; then what only a directory can suffer."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from skerry.adapters import blobs
from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.adapters.blobs.protocol import SharedBlobs
from skerry.adapters.blobs.remote import RemoteBlobs
from skerry.core import digests, errors

MAKERS: dict[str, Callable[[Path], SharedBlobs]] = {
    "memory": lambda _: MemoryBlobs(),
    "directory": lambda root: blobs.open_shared(f"file://{root}/blobs"),
    "object storage": lambda _: RemoteBlobs(MemoryStore(), "memory:"),
}


@pytest.fixture(params=sorted(MAKERS))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> SharedBlobs:
    return MAKERS[request.param](tmp_path)


def test_what_was_written_is_read(store: SharedBlobs) -> None:
    store.write("a/b.json", b"one")
    store.write("a/b.json", b"two")
    assert store.read("a/b.json", max_bytes=3) == b"two"
    assert store.exists("a/b.json")


def test_a_missing_blob_is_not_found(store: SharedBlobs) -> None:
    store.write("a/b", b"x")
    assert not store.exists("a/c")
    for path in ("a/c", "a", "a/b/c"):
        with pytest.raises(errors.NotFoundError):
            store.read(path, max_bytes=10)


def test_a_blob_larger_than_asked_for_is_refused_with_the_limit(store: SharedBlobs) -> None:
    store.write("a/b", b"x" * 11)
    with pytest.raises(errors.TooLargeError, match=r"11 bytes.* 10"):
        store.read("a/b", max_bytes=10)


def test_a_listing_is_sorted_and_knows_folders_from_prefixes(store: SharedBlobs) -> None:
    for path in ("ex/b/2", "ex/b/1", "ex/bc/3", "other/1"):
        store.write(path, b"")
    assert list(store.list("ex/b")) == ["ex/b/1", "ex/b/2"]
    assert list(store.list("nothing")) == []


def test_deleting_is_idempotent(store: SharedBlobs) -> None:
    store.write("a/b", b"x")
    store.delete("a/b")
    store.delete("a/b")
    assert not store.exists("a/b")


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/.hidden", "a/", "a\0b", "ä", "x" * 600]
)
def test_a_path_that_is_none_is_refused(store: SharedBlobs, path: str) -> None:
    for attempt in (lambda: store.read(path, max_bytes=1), lambda: store.write(path, b""), lambda: store.exists(path)):
        with pytest.raises(errors.InputError):
            attempt()


def test_content_is_kept_by_digest_and_verified(store: SharedBlobs) -> None:
    digest = blobs.put(store, b"content")
    assert blobs.put(store, b"content") == digest == digests.sha256(b"content")
    assert blobs.fetch(store, digest, 100) == b"content"
    store.write(digests.blob_path(digest), b"c0ntent")
    with pytest.raises(errors.IntegrityError, match=digest):
        blobs.fetch(store, digest, 100)


@pytest.mark.parametrize("url", ["", "relative/path", "nosuchscheme://x"])
def test_a_url_that_nobody_serves_is_refused(url: str) -> None:
    with pytest.raises(errors.InputError):
        blobs.open_blobs(url)


def test_a_full_disk_is_unavailable_and_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = blobs.open_blobs(f"file://{tmp_path}")
    store.write("a/b", b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(errors.UnavailableError, match="No space left"):
        store.write("a/b", b"new")
    assert store.read("a/b", max_bytes=10) == b"old"
    assert list(store.list("a")) == ["a/b"]
