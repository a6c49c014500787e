"""The model repository out of object storage: the same answers as from a folder, in pieces, and nothing else."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.core import errors
from skerry.gateway import repository, repository_files

DATA = os.urandom(3 * repository_files.CHUNK_BYTES + 17)
HASH = hashlib.sha256(DATA).hexdigest()
TARGET = f"/repository/targets/retrained/digits/3/{HASH}.model.onnx"


@pytest.fixture
def storage() -> MemoryBlobs:
    made = MemoryBlobs()
    made.write("metadata/timestamp.json", b'{"version": 1}')
    made.write(f"targets/retrained/digits/3/{HASH}.model.onnx", DATA)
    made.write("private.key", b"key")
    made.write("targets.key", b"key")
    return made


def client_of(storage: Any) -> TestClient:
    app = Starlette(
        routes=[
            Route(
                "/repository/metadata/{path:path}", repository_files.Files(storage, "metadata", immutable=False).answer
            ),
            Route("/repository/targets/{path:path}", repository_files.Files(storage, "targets", immutable=True).answer),
        ]
    )
    return TestClient(app)


@pytest.fixture
def client(storage: MemoryBlobs) -> Iterator[TestClient]:
    with client_of(storage) as made:
        yield made


@pytest.fixture
def folder_client(tmp_path: Path) -> Iterator[TestClient]:
    file = tmp_path / "targets/retrained/digits/3" / f"{HASH}.model.onnx"
    file.parent.mkdir(parents=True)
    file.write_bytes(DATA)
    with TestClient(Starlette(routes=repository.files(f"file://{tmp_path}"))) as made:
        yield made


@pytest.mark.parametrize(
    "asked", ["bytes=0-0", "bytes=0-", "bytes=100-199", "bytes=-7", "bytes=780000-", "bytes=5-99999999", ""]
)
def test_a_range_is_answered_as_from_a_folder(client: TestClient, folder_client: TestClient, asked: str) -> None:
    headers = {"Range": asked} if asked else {}
    here, there = client.get(TARGET, headers=headers), folder_client.get(TARGET, headers=headers)
    assert here.content == there.content
    for name in ("content-length", "content-range", "accept-ranges", "cache-control"):
        assert here.headers.get(name) == there.headers.get(name), name
    assert here.status_code == there.status_code


@pytest.mark.parametrize("asked", ["bytes=900000-", "bytes=-0", "bytes=9-3"])
def test_a_range_behind_the_end_is_told_with_the_length(client: TestClient, asked: str) -> None:
    answer = client.get(TARGET, headers={"Range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(DATA)}"


@pytest.mark.parametrize("asked", ["lines=1-2", "bytes=1-2,5-6", "bytes=-", "bytes=a-b", f"bytes={'9' * 40}-"])
def test_what_is_no_single_range_gets_everything(client: TestClient, asked: str) -> None:
    answer = client.get(TARGET, headers={"Range": asked})
    assert (answer.status_code, len(answer.content)) == (200, len(DATA))


def test_the_validator_of_a_target_is_its_hash_and_a_resumed_download_may_rely_on_it(client: TestClient) -> None:
    tag = client.head(TARGET).headers["etag"]
    assert tag == f'"{HASH}"'
    assert client.get(TARGET, headers={"If-None-Match": tag}).status_code == 304
    resumed = client.get(TARGET, headers={"Range": "bytes=10-", "If-Range": tag})
    assert (resumed.status_code, resumed.content) == (206, DATA[10:])
    other = client.get(TARGET, headers={"Range": "bytes=10-", "If-Range": '"other"'})
    assert (other.status_code, other.content) == (200, DATA)


def test_metadata_is_always_asked_for_anew_and_its_validator_follows_its_content(
    client: TestClient, storage: MemoryBlobs
) -> None:
    first = client.get("/repository/metadata/timestamp.json")
    assert (first.content, first.headers["cache-control"]) == (b'{"version": 1}', "no-cache")
    assert (
        client.get("/repository/metadata/timestamp.json", headers={"If-None-Match": first.headers["etag"]}).content
        == b""
    )
    storage.write("metadata/timestamp.json", b'{"version": 2}')
    second = client.get("/repository/metadata/timestamp.json", headers={"If-None-Match": first.headers["etag"]})
    assert second.content == b'{"version": 2}'


@pytest.mark.parametrize(
    "path",
    [
        "/repository/metadata/9.root.json",
        "/repository/private.key",
        "/repository/targets/../private.key",
        "/repository/targets/%2e%2e/private.key",
        "/repository/targets/..%2fprivate.key",
        "/repository/targets/%2fetc/passwd",
        "/repository/targets/",
        "/repository/targets/retrained",
        "/repository/targets.key",
        "/repository/metadata/.lock",
        "/repository/metadata/timestamp.json%00",
        "/repository/metadata/" + "x" * 3000,
    ],
)
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert b"key" not in answer.content


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_nothing_can_be_written(client: TestClient, method: str) -> None:
    assert client.request(method, TARGET).status_code == 405


class Away(MemoryBlobs):
    """Storage that answers `calls` times, and then no more."""

    calls = 0

    def _answer(self) -> None:
        self.calls -= 1
        if self.calls < 0:
            raise errors.UnavailableError("nobody answers")

    def stat(self, path: str) -> Any:
        self._answer()
        return super().stat(path)

    def read(self, path: str, *, max_bytes: int) -> bytes:
        self._answer()
        return super().read(path, max_bytes=max_bytes)

    def read_part(self, path: str, start: int, size_bytes: int) -> bytes:
        self._answer()
        return super().read_part(path, start, size_bytes)


@pytest.mark.parametrize("path", [TARGET, "/repository/metadata/timestamp.json"])
def test_a_storage_that_is_away_is_told_as_such(path: str) -> None:
    away = Away()
    answer = client_of(away).get(path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_a_storage_that_goes_away_in_the_middle_ends_the_answer_short() -> None:
    away = Away()
    away.write(TARGET.removeprefix("/repository/"), DATA)
    away.calls = 3  # the size, and two of four pieces
    with pytest.raises(errors.UnavailableError), client_of(away).stream("GET", TARGET) as answer:
        assert len(answer.read()) < len(DATA)


@given(size=st.integers(0, 50), first=st.integers(0, 60) | st.none(), last=st.integers(0, 60) | st.none())
def test_a_span_lies_within_the_file(size: int, first: int | None, last: int | None) -> None:
    text = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    found = repository_files.span(text, size)
    if found is None:
        return
    assert 0 <= found.start <= found.end <= found.size_bytes == size
    if first is not None:
        assert found.start == first and (last is None or found.end == min(last + 1, size))
    elif last is not None:
        assert found.end - found.start == min(last, size)
