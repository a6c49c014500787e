"""Our transport before programs that nobody here wrote: h2spec, the interop client of the gRPC authors, grpcurl,
grpc-health-probe, ghz, nghttp. They are taken from the PATH; without them `make test` says that this was left out.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import require
import rpc_world
import testservice

PROGRAMS = ("h2spec", "grpc-interop-client", "grpcurl", "grpc-health-probe", "ghz")
_WHY = (
    f"{', '.join(PROGRAMS)} on the PATH (h2spec 2.2, grpc-go's interop client, grpcurl 1.9, grpc-health-probe 0.4, "
    "ghz 0.93: releases of their projects on GitHub)"
)
pytestmark = require.requires("conformance", lambda: all(shutil.which(name) for name in PROGRAMS), _WHY)
needs_nghttp = require.requires("nghttp", lambda: bool(shutil.which("nghttp")), "Debian's nghttp2-client")

CASES = (
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
    "rpc_soak",
    "channel_soak",
)
H2SPEC_TESTS = 145
H2SPEC_GRPCIO = 58  # of them pass on grpcio 1.85: recorded, not required
H2SPEC_SECTIONS = (
    *(f"generic/{number}" for number in range(1, 6)),
    *(f"http2/{number}" for number in (3, 4, 5, *(f"6.{part}" for part in range(1, 11) if part != 6), 7, 8)),
    "hpack",
)
_TESTS = pathlib.Path(__file__).parents[1]


def _run(*command: str, timeout_s: float = 60, expect: int = 0) -> str:
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=timeout_s)
    assert done.returncode == expect, f"{command} ended with {done.returncode}:\n{done.stdout[-4000:]}{done.stderr}"
    return done.stdout


@contextlib.contextmanager
def _process(command: Sequence[str], **environment: str) -> Iterator[dict[str, object]]:
    """A process that prints one JSON line when it serves, and ends well at SIGTERM."""
    paths = os.pathsep.join(str(path) for path in (_TESTS, _TESTS.parent / "services"))
    started = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment | {"PYTHONPATH": paths},
    )
    try:
        assert started.stdout is not None
        yield json.loads(started.stdout.readline())
        started.send_signal(signal.SIGTERM)
        assert started.wait(20) == 0
    finally:
        started.kill()
        started.communicate()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> rpc_world.Authority:
    return rpc_world.Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module", params=["h2", "grpcio"])
def service(request: pytest.FixtureRequest, authority: rpc_world.Authority) -> Iterator[tuple[str, dict[str, object]]]:
    with _process([str(_TESTS / "testservice.py"), request.param, *authority.issue("server")]) as ports:
        yield request.param, ports


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_h2spec(service: tuple[str, dict[str, object]], tls: bool) -> None:
    """A failing test of h2spec waits for a second, so its sections run side by side."""
    transport, ports = service
    target = [
        "-h",
        "127.0.0.1",
        "-p",
        str(ports["tls_port" if tls else "port"]),
        "-o",
        "1",
        *(["-t", "-k"] if tls else []),
    ]
    with ThreadPoolExecutor(len(H2SPEC_SECTIONS)) as pool:
        shown = list(pool.map(lambda section: _h2spec(section, target), H2SPEC_SECTIONS))
    found = [re.search(r"(\d+) tests, (\d+) passed, 0 skipped, \d+ failed", one) for one in shown]
    assert all(found), shown
    total, passed = (sum(int(one[number]) for one in found if one) for number in (1, 2))
    assert total == H2SPEC_TESTS
    if transport == "h2":
        assert passed == H2SPEC_TESTS, "\n".join(shown)
    else:
        assert abs(passed - H2SPEC_GRPCIO) <= 5, f"grpcio passes {passed} now: record it here"


def _h2spec(section: str, target: list[str]) -> str:
    return subprocess.run(["h2spec", section, *target], capture_output=True, text=True, timeout=200, check=False).stdout


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
@pytest.mark.parametrize("case", CASES)
def test_interop_client_of_the_grpc_authors(
    service: tuple[str, dict[str, object]], authority: rpc_world.Authority, case: str, tls: bool
) -> None:
    _, ports = service
    port = str(ports["tls_port" if tls else "port"])
    trust = ["-use_tls", "-use_test_ca", "-ca_file", str(authority.path), "-server_host_override", "localhost"]
    target = ["-server_host", "127.0.0.1", "-server_port", port, *(trust if tls else [])]
    _run("grpc-interop-client", *target, "-test_case", case)


def test_grpcurl_calls_and_shows_status_and_metadata(service: tuple[str, dict[str, object]]) -> None:
    _, ports = service
    target = ["-plaintext", "-import-path", str(testservice.PROTO.parent), "-proto", testservice.PROTO.name]
    address = f"127.0.0.1:{ports['port']}"
    call = "grpc.testing.TestService/UnaryCall"
    sent = ["-H", "x-grpc-test-echo-initial: here", "-v", "-d", '{"response_size": 3}']
    shown = _run("grpcurl", *target, *sent, address, call)
    assert "x-grpc-test-echo-initial: here" in shown and '"body": "AAAA"' in shown
    refused = ["-d", '{"response_status": {"code": 9, "message": "no ☃ here"}}']
    done = subprocess.run(["grpcurl", *target, *refused, address, call], capture_output=True, text=True, timeout=60)
    assert "FailedPrecondition" in done.stderr and "no ☃ here" in done.stderr


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_ghz_loads_it_without_an_error(
    service: tuple[str, dict[str, object]], authority: rpc_world.Authority, tls: bool
) -> None:
    transport, ports = service
    trust = ["--cacert", str(authority.path), "--cname", "localhost"] if tls else ["--insecure"]
    calls = 6_000 if transport == "h2" else 1_500
    asked = ["--call", "grpc.testing.TestService.UnaryCall", "-d", '{"response_size": 314}', "-n", str(calls)]
    load = ["-c", "16", "--connections", "8", "-t", "20s", "-O", "json"]
    address = f"127.0.0.1:{ports['tls_port' if tls else 'port']}"
    shown = json.loads(_run("ghz", *trust, "--proto", str(testservice.PROTO), *asked, *load, address, timeout_s=120))
    assert shown["statusCodeDistribution"] == {"OK": calls} and not shown["errorDistribution"]


@needs_nghttp
@pytest.mark.parametrize("service", ["h2"], indirect=True)  # grpcio resets what is no gRPC call
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ((), 405),
        (("-H:method: POST", "-d", "{file}"), 415),
        (("-H:method: POST", "-Hcontent-type: text/html", "-d", "{file}"), 415),
        (("-H:method: PUT", "-Hcontent-type: application/grpc", "-d", "{file}"), 405),
        (("-H:method: HEAD",), 405),
    ],
    ids=["GET", "POST of nothing known", "POST of HTML", "PUT of gRPC", "HEAD"],
)
def test_nghttp_learns_that_this_is_grpc(
    service: tuple[str, dict[str, object]], tmp_path: pathlib.Path, arguments: tuple[str, ...], status: int
) -> None:
    _, ports = service
    body = tmp_path / "body"
    body.write_bytes(bytes(30_000))
    filled = [one.format(file=body) for one in arguments]
    shown = _run("nghttp", "-v", *filled, f"http://127.0.0.1:{ports['port']}/test.Echo/Same")
    assert f":status: {status}" in shown


@needs_nghttp
def test_nghttp_makes_a_grpc_call(service: tuple[str, dict[str, object]], tmp_path: pathlib.Path) -> None:
    _, ports = service
    body = tmp_path / "body"
    body.write_bytes(b"\0" + (100_000).to_bytes(4, "big") + bytes(100_000))
    sent = ["-Hcontent-type: application/grpc", "-Hte: trailers", "-d", str(body)]
    shown = _run("nghttp", "-v", *sent, f"http://127.0.0.1:{ports['port']}/test.Echo/Same")
    assert "grpc-status: 0" in shown and ":status: 200" in shown


@pytest.mark.parametrize("transport", ["h2", "grpcio"])
def test_the_inference_server_is_found_by_reflection_and_probed(tmp_path: pathlib.Path, transport: str) -> None:
    settings = {"SKERRY_MODELS": str(tmp_path), "SKERRY_LISTEN": "127.0.0.1:0", "SKERRY_TRANSPORT": transport}
    with _process(["-m", "skerry.teacher.main"], **settings) as ready:
        address = str(ready["address"])
        services = _run("grpcurl", "-plaintext", address, "list").split()
        assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= set(services)
        described = _run("grpcurl", "-plaintext", address, "describe", "inference.GRPCInferenceService")
        assert "rpc ModelInfer" in described
        live = _run("grpcurl", "-plaintext", address, "inference.GRPCInferenceService/ServerLive")
        assert json.loads(live) == {"live": True}
        _run("grpc-health-probe", "-addr", address)
        _run("grpc-health-probe", "-addr", address, "-service", "no.such.Service", expect=3)  # NOT_FOUND
