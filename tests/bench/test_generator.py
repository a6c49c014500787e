"""The load generator, compiled where a compiler is, against known servers: what it counts and what it sends."""

import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import require
import rpc_world

from bench import build, processes
from bench.generator import Generator, Target

CACHE = Path(__file__).parent.parent.parent / ".cache" / "bench"
pytestmark = require.requires(
    "compiler",
    lambda: bool(shutil.which("g++") or shutil.which("clang++")),
    "g++ or clang++ with OpenSSL's headers compiles the load generator",
)


@pytest.fixture(scope="module")
def load() -> Generator:
    return Generator(build.Builder(CACHE).generator(), min(os.sched_getaffinity(0)))


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("bodies")
    for at in range(3):
        (folder / str(at)).write_bytes(bytes([at]) * 20_000)  # longer than a frame
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rpc_world.Running]:
    authority = rpc_world.Authority(tmp_path_factory.mktemp("pki"))
    with rpc_world.serving("h2", tls=authority.tls()) as made:
        yield made


def _target(running: rpc_world.Running, bodies: list[Path], method: str = "Batch", *, tls: bool = False) -> Target:
    return Target(running.tls_port if tls else running.port, f"/test.Echo/{method}", bodies, tls)


def _counted(found: dict[str, Any] | None) -> tuple[int, int]:
    """(answered, errors)"""
    assert found is not None
    return found["requests"], found["errors"]


@pytest.mark.parametrize("tls", [False, True], ids=["in clear", "over TLS"])
@pytest.mark.parametrize(
    "deadlines",
    [True, pytest.param(False, marks=pytest.mark.long)],
    ids=["with deadlines that vary", "without deadlines"],
)
def test_every_call_is_answered_and_counted(
    load: Generator, running: rpc_world.Running, bodies: list[Path], tls: bool, deadlines: bool
) -> None:
    running.seen.calls.clear()
    before = sum(running.seen.batches)
    found = load.measure(_target(running, bodies, tls=tls), [os.getpid()], 4, 0.3, deadlines=deadlines)
    assert found.errors == 0 and found.rps > 0 and found.cpu_us_per_request > 0
    assert 0 < found.p50_us <= found.p99_us
    assert sum(running.seen.batches) - before >= found.rps * 0.3 - 4


def test_deadlines_differ_from_call_to_call_and_leave_the_table_of_headers_right(
    load: Generator, running: rpc_world.Running, bodies: list[Path], tmp_path: Path
) -> None:
    """Some 400 insertions: the dynamic table of 4,096 bytes turns over several times."""
    running.seen.calls.clear()
    assert _counted(load.ask(_target(running, bodies, "Same"), 1, 400, "--deadlines")) == (400, 0)
    deadlines = {call.deadline for call in running.seen.calls}
    assert None not in deadlines and len(deadlines) >= 399


def test_calls_that_fail_are_errors(load: Generator, running: rpc_world.Running, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"no")
    assert _counted(load.ask(_target(running, [tmp_path / "body"], "Fail"), 2, 10)) == (0, 10)


def test_nobody_to_connect_to_is_told(load: Generator, bodies: list[Path]) -> None:
    target = Target(processes.free_port(), "/test.Echo/Batch", bodies)
    assert load.ask(target, 1, 1) is None
    with pytest.raises(RuntimeError, match="connect"):
        load.measure(target, [os.getpid()], 1, 0.1)


def test_the_first_reply_can_be_looked_at(
    load: Generator, running: rpc_world.Running, bodies: list[Path], tmp_path: Path
) -> None:
    assert load.first_reply(_target(running, bodies), tmp_path / "reply") == bodies[0].read_bytes()
    assert load.first_reply(_target(running, bodies, "Absent"), tmp_path / "reply") is None


class _Pages(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(500 if self.path == "/broken" else 200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.mark.parametrize(("path", "good"), [("/plain", 12), ("/chunked", 12), ("/broken", 0)])
def test_http_servers_are_asked_with_keep_alive(
    load: Generator, bodies: list[Path], tmp_path: Path, path: str, good: int
) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pages) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        target = Target(server.server_address[1], path, bodies, http1=True, content_type="text/plain")
        assert _counted(load.ask(target, 3, 12)) == (good, 12 - good)
        if good:
            assert load.first_reply(target, tmp_path / "reply") == bodies[0].read_bytes()
        server.shutdown()
