"""One contract for every object storage, the memory twin included; then what only a directory can suffer."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import object_storage
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
    "S3": lambda root: blobs.open_shared(f"s3://{object_storage.BUCKET}{root}/blobs"),
}


@pytest.fixture(scope="module")
def s3() -> Iterator[object_storage.S3Server]:
    with object_storage.running() as server:
        yield server


@pytest.fixture(
    params=[pytest.param(name, marks=object_storage.requires_s3 if name == "S3" else ()) for name in sorted(MAKERS)]
)
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SharedBlobs:
    if request.param == "S3":
        for name, value in request.getfixturevalue("s3").environment.items():
            monkeypatch.setenv(name, value)
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


def test_what_is_there_is_told_without_its_content(store: SharedBlobs) -> None:
    store.write("a/b", b"12345")
    store.write("c", b"")
    found = store.stat("a/b")
    assert (found.path, found.size_bytes) == ("a/b", 5)
    assert [(one.path, one.size_bytes) for one in store.entries("")] == [("a/b", 5), ("c", 0)]
    assert [one.path for one in store.entries("a")] == ["a/b"]
    with pytest.raises(errors.NotFoundError):
        store.stat("a")


@pytest.mark.parametrize(
    ("start", "size", "expected"), [(0, 2, b"01"), (3, 4, b"3456"), (8, 10, b"89"), (10, 1, b""), (99, 5, b"")]
)
def test_a_part_is_read_up_to_the_end_and_not_further(
    store: SharedBlobs, start: int, size: int, expected: bytes
) -> None:
    store.write("a/b", b"0123456789")
    assert store.read_part("a/b", start, size) == expected
    with pytest.raises(errors.NotFoundError):
        store.read_part("a/c", start, size)


def test_what_is_created_is_never_written_over(store: SharedBlobs) -> None:
    store.create("a/b", b"first")
    store.create("a/b", b"first")  # a request that was answered too late, sent again
    for other in (b"second", b"longer than the first", b""):
        with pytest.raises(errors.ConflictError, match="another writer"):
            store.create("a/b", other)
    assert store.read("a/b", max_bytes=10) == b"first"


def test_who_replaces_what_he_did_not_read_is_told(store: SharedBlobs) -> None:
    store.write("a/b", b"one")
    tag = store.stat("a/b").tag
    store.replace("a/b", b"two", tag)
    with pytest.raises(errors.ConflictError, match="another writer"):
        store.replace("a/b", b"three", tag)
    assert store.read("a/b", max_bytes=10) == b"two"
    with store.locked():
        store.replace("a/b", b"four", store.stat("a/b").tag)
    assert store.read("a/b", max_bytes=10) == b"four"


def test_a_large_blob_comes_back_whole(store: SharedBlobs) -> None:
    data = os.urandom(1 << 20) * 17  # more than two parts of object storage
    store.write("sha256/aa/large", data)
    assert store.read("sha256/aa/large", max_bytes=len(data)) == data
    assert store.read_part("sha256/aa/large", (1 << 20) + 5, 7) == data[5:12]
    with pytest.raises(errors.TooLargeError):
        store.read("sha256/aa/large", max_bytes=len(data) - 1)


@pytest.mark.long
def test_a_listing_of_more_than_a_page_is_complete(store: SharedBlobs) -> None:
    names = [f"many/{number:04}" for number in range(1203)]
    for name in names:
        store.write(name, b"x")
    assert list(store.list("many")) == names


@pytest.mark.parametrize("url", ["", "relative/path", "nosuchscheme://x", "file:relative", "file://host/path"])
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
