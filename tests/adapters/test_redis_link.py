"""The link to Redis when the network misbehaves: a server that falls silent, and one that comes back."""

import socket
import threading
import time
import traceback
from collections.abc import Iterator

import pytest
import redis
from valkey import Valkey

from skerry.adapters import fleetstate, redis_link, streams
from skerry.core import errors


class Proxy:
    """A TCP port in front of a unix socket. Requests or replies, or both, can vanish while connections stay open."""

    def __init__(self, target: str) -> None:
        self.drop_requests = self.drop_replies = False
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._target)
            for source, sink, drop in ((near, far, "drop_requests"), (far, near, "drop_replies")):
                threading.Thread(target=self._pump, args=(source, sink, drop), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, drop: str) -> None:
        try:
            while data := source.recv(65536):
                if not getattr(self, drop):
                    sink.sendall(data)
        except OSError:
            pass
        finally:
            source.close()
            sink.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    server = Valkey()
    one = Proxy(str(server.socket))
    yield one
    one.close()
    server.close()


def test_a_server_that_falls_silent_is_unavailable_in_time_and_found_again(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_link, "ANSWER_S", 0.3)
    queue, state = streams.open_streams(proxy.url), fleetstate.open_fleetstate(proxy.url)
    queue.append("q", [{"n": "1"}])
    state.put("k", "v", ttl_s=60)
    proxy.drop_requests = proxy.drop_replies = True
    for call in (
        lambda: queue.append("q", [{"n": "2"}]),
        lambda: queue.read("q", "g", "c", count=1, block_s=0.1),
        lambda: queue.epoch("q"),
        lambda: state.get("k"),
        lambda: state.add("c", {"n": 1}, ttl_s=60),
    ):
        began = time.monotonic()
        with pytest.raises(errors.UnavailableError, match="did not answer"):
            call()
        assert time.monotonic() - began < 3
    proxy.drop_requests = proxy.drop_replies = False
    first, *_ = queue.read("q", "g", "c", count=10, block_s=0)
    assert first.fields == {"n": "1"}
    assert state.get("k") == {"k": "v"}


def test_a_count_whose_answer_was_lost_is_not_sent_twice(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_link, "ANSWER_S", 0.3)
    state = fleetstate.open_fleetstate(proxy.url)
    state.add("c", {"n": 1}, ttl_s=60)
    proxy.drop_replies = True
    with pytest.raises(errors.UnavailableError):
        state.add("c", {"n": 1}, ttl_s=60)
    proxy.drop_replies = False
    assert state.count(["c"]) == [{"n": 2}]


@pytest.mark.parametrize(
    "url",
    [
        "valkey://app:not-for-logs@redis.example.com/0",
        "redis+sentinel://app:not-for-logs@redis.example.com/0",
        "redis://app:not-for-logs@redis.example.com:port/0",
        "redis://app:not-for-logs@[redis.example.com/0",
        "redis://app:not-for-logs@redis.example.com/0?password=not-for-logs&socket_timeout=x",
    ],
)
def test_a_url_that_is_refused_is_told_without_its_password(url: str) -> None:
    with pytest.raises(errors.InputError, match="Redis URL") as caught:
        redis_link.connect(url)
    told = "".join(traceback.format_exception(caught.value))
    assert "not-for-logs" not in told
    assert "***@" in str(caught.value)


def test_connections_that_other_threads_read_from_are_not_closed() -> None:
    """A server that became read-only: what is idle is dropped, who waits for an answer gets it."""
    server, got = Valkey(), []
    client = redis_link.connect(server.url)
    reader = threading.Thread(target=lambda: got.append(client.blpop(["queue"], timeout=20)))
    reader.start()
    while b"blocked_clients:1" not in server.command("INFO clients"):
        time.sleep(0.01)
    [used] = client.connection_pool._in_use_connections
    line = used._sock
    with pytest.raises(errors.UnavailableError, match="not ready"), redis_link.our_errors(client):
        raise redis.ReadOnlyError("READONLY")
    client.rpush("queue", "one")
    reader.join(10)
    assert got == [(b"queue", b"one")] and used._sock is line
    server.close()
