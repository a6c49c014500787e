"""The dashboard's process: ready, serving without Redis, ended by SIGTERM, and what it says when it cannot start."""

import signal
import socket
import subprocess
import urllib.request
from pathlib import Path

import dashboard_process
import dashboard_world as world
import ipv6
import pytest

from skerry.adapters import objects


def test_it_serves_on_loopback_without_redis_and_ends_on_sigterm_although_a_page_follows(tmp_path: Path) -> None:
    world.fill(objects.open_objects(f"sqlite://{tmp_path}/objects.db"))
    with dashboard_process.started(tmp_path) as running:
        assert running.address.startswith("127.0.0.1:")
        with urllib.request.urlopen(running.url, timeout=20) as answer:
            found = world.Page(answer.read().decode())
        assert "live readings are not available" in found.text
        assert found.row("digits-v1")[1] == "stable"
        with urllib.request.urlopen(running.url + "events", timeout=20) as stream:
            assert stream.readline() == b"retry: 2000\n"
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(15) == 0


@ipv6.needed
@pytest.mark.parametrize("host", ["[::1]", "[::]"])
def test_it_listens_on_ipv6_and_tells_an_address_that_can_be_opened(tmp_path: Path, host: str) -> None:
    with dashboard_process.started(tmp_path, SKERRY_HTTP=f"{host}:0") as running:
        assert running.address.startswith(f"{host}:")
        port = running.address.rpartition(":")[2]
        for near in ("[::1]", "127.0.0.1") if host == "[::]" else ("[::1]",):
            with urllib.request.urlopen(f"http://{near}:{port}/", timeout=20) as answer:
                assert answer.status == 200


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        pytest.param({"SKERRY_OBJECTS": "postgres://db"}, "sqlite:///", id="an object store of another kind"),
        pytest.param({"SKERRY_REDIS_URL": "http://redis"}, "redis://", id="a Redis URL that is none"),
        pytest.param({"SKERRY_HTTP": "8080"}, "SKERRY_HTTP", id="an address without a host"),
        pytest.param({"SKERRY_HTTP": "127.0.0.1:99999"}, "99999", id="a port that does not exist"),
        pytest.param({"SKERRY_BASE_PATH": "skerry/"}, "SKERRY_BASE_PATH", id="a base path that is none"),
        pytest.param({"SKERRY_MAX_STREAMS": "many"}, "SKERRY_MAX_STREAMS", id="a number that is none"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, variables: dict[str, str], told: str) -> None:
    assert_refused(dashboard_process.environment(tmp_path, **variables), told)


def test_missing_variables_are_named(tmp_path: Path) -> None:
    environment = dashboard_process.environment(tmp_path)
    del environment["SKERRY_OBJECTS"]
    assert_refused(environment, "SKERRY_OBJECTS")


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert_refused(dashboard_process.environment(tmp_path, SKERRY_HTTP=address), address)


def assert_refused(environment: dict[str, str], told: str) -> None:
    done = subprocess.run(dashboard_process.MODULE, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
