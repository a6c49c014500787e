"""What object storage can do to us: be away, be slow, refuse, lose its bucket. Each is told in words and in time."""

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import object_storage
import pytest

from skerry.adapters import blobs
from skerry.adapters.blobs import remote
from skerry.core import errors

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class Storage:
    """Answers every request alike."""

    def __init__(self, answer: Answer) -> None:
        def log_message(self: object, *_: object) -> None:
            pass

        methods = {f"do_{name}": answer for name in ("GET", "HEAD", "PUT", "DELETE")}
        Handler = type("Handler", (http.server.BaseHTTPRequestHandler,), {**methods, "log_message": log_message})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], remote.RemoteBlobs]]:
    opened: list[Storage] = []

    def start(answer: Answer) -> remote.RemoteBlobs:
        opened.append(Storage(answer))
        monkeypatch.setenv("AWS_ENDPOINT_URL", opened[-1].url)
        return remote.open_remote("s3://bucket/blobs", timeout_s=1.0)

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    yield start
    for one in opened:
        one.server.shutdown()
        one.server.server_close()


def says(status: int, text: str = "") -> Answer:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text.encode())

    return answer


def silent(request: http.server.BaseHTTPRequestHandler) -> None:
    time.sleep(3)


def dripping(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    for name, value in (
        ("Content-Length", "1000"),
        ("ETag", '"x"'),
        ("Last-Modified", "Wed, 25 Nov 2026 12:00:00 GMT"),
    ):
        request.send_header(name, value)
    request.end_headers()
    for _ in range(60):
        request.wfile.write(b"x")
        time.sleep(0.05)


CALLS: dict[str, Callable[[Any], Any]] = {
    "read": lambda store: store.read("a/b", max_bytes=2000),
    "write": lambda store: store.write("a/b", b"x"),
    "create": lambda store: store.create("a/b", b"x"),
    "exists": lambda store: store.exists("a/b"),
    "list": lambda store: list(store.list("a")),
    "entries": lambda store: list(store.entries("")),
    "delete": lambda store: store.delete("a/b"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_storage_that_does_not_answer_is_unavailable_within_a_bound(storage: Any, call: Callable[[Any], Any]) -> None:
    store, began = storage(silent), time.monotonic()
    with pytest.raises(errors.UnavailableError, match="s3://bucket/blobs did not answer for "):
        call(store)
    assert time.monotonic() - began < 15


def test_a_storage_that_drips_is_cut_off(storage: Any) -> None:
    store, began = storage(dripping), time.monotonic()
    with pytest.raises(errors.UnavailableError):
        store.read("a/b", max_bytes=2000)
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_storage_that_is_away_is_unavailable(monkeypatch: pytest.MonkeyPatch, call: Callable[[Any], Any]) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with pytest.raises(errors.UnavailableError):
        call(remote.open_remote("s3://bucket/blobs", timeout_s=1.0))


@pytest.mark.parametrize(("status", "text"), [(500, "oops"), (503, "SlowDown")])
def test_a_storage_that_fails_is_unavailable(storage: Any, status: int, text: str) -> None:
    with pytest.raises(errors.UnavailableError):
        storage(says(status, text)).read("a/b", max_bytes=10)


@pytest.mark.parametrize("status", [401, 403])
def test_credentials_that_are_not_right_are_an_operators_business(storage: Any, status: int) -> None:
    store = storage(says(status, "<Error><Code>AccessDenied</Code></Error>"))
    with pytest.raises(errors.RejectedError, match="check the credentials"):
        store.write("a/b", b"x")


def test_a_bucket_that_is_not_there_is_named(storage: Any) -> None:
    store = storage(says(404, "<Error><Code>NoSuchBucket</Code></Error>"))
    for call in (CALLS["read"], CALLS["write"]):
        with pytest.raises(errors.InputError, match=r"no bucket for s3://bucket/blobs") as caught:
            call(store)
        assert not isinstance(caught.value, errors.NotFoundError)


@object_storage.requires_s3
def test_a_server_that_comes_back_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with object_storage.running() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        store = blobs.open_shared(f"s3://{object_storage.BUCKET}/again")
        store.write("a", b"1")
        server.close()
        with pytest.raises(errors.UnavailableError):
            store.read("a", max_bytes=10)
        server.start()
        store.write("a", b"2")
        assert store.read("a", max_bytes=10) == b"2"
