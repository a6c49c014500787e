"""Half connections against every door of a gateway that has 1,024 file descriptors: each door goes on to answer."""

import contextlib
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import gateway_tls
import pytest
import valkey
from gateway_tls import Gateway

from skerry.adapters import descriptors

HALF = 997
_FEW_DESCRIPTORS = """
import resource, runpy
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
runpy.run_module("skerry.gateway.main", run_name="__main__")
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    redis = valkey.Valkey()
    made = Gateway(tmp_path_factory.mktemp("gateway"), redis.url)
    made.start(program=("-c", _FEW_DESCRIPTORS))
    yield made
    assert made.stop() == 0
    redis.close()


@contextlib.contextmanager
def half_open(address: str, said: bytes) -> Iterator[None]:
    assert descriptors.raise_limit() > HALF + 100
    host, _, port = address.rpartition(":")
    with contextlib.ExitStack() as stack:
        for _ in range(HALF):
            held = stack.enter_context(socket.create_connection((host, int(port)), 10))
            with contextlib.suppress(ConnectionError):
                held.sendall(said)
        yield


def answered(address: str, gateway: Gateway | None) -> int:
    """The status of a whole request, over TLS with a gateway given."""
    context = ssl.create_default_context(cadata=gateway.ca.certificate.decode()) if gateway is not None else None
    handlers = [urllib.request.HTTPSHandler(context=context)] if context is not None else []
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), *handlers)
    try:
        with opener.open(f"{'https' if gateway is not None else 'http'}://{address}/healthz", timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as exc:
        return exc.code


@pytest.mark.long
@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02"], ids=["silent", "half a handshake"])
def test_half_connections_deafen_no_door(gateway: Gateway, said: bytes, tmp_path: Path) -> None:
    doors = gateway.addresses
    with half_open(doors["health"], b"GET /hea"):
        assert answered(doors["health"], None) == 200
    with half_open(doors["jobs"], said):
        assert answered(doors["jobs"], gateway) in (401, 403, 404)
    node = f"edge-{len(said)}"
    with half_open(doors["enrol"], said):
        state, reason = gateway.enrol(node, gateway.token(f"t0000{len(said)}"), tmp_path / node)
        assert state == "ENROLLED", reason
    caller = gateway_tls.Caller.read(tmp_path / node)
    with half_open(doors["http"], said):
        assert gateway.page(caller, "/healthz") == "200"
    with half_open(doors["listen"], said):
        assert gateway.sync(caller, node) == "OK"
