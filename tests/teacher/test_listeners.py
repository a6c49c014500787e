"""Where the teacher listens: IPv4, IPv6 and both at once, for calls and for pages, and what it tells of that."""

import urllib.request
from pathlib import Path

import ipv6
import models
import pytest
import teacher_process

from skerry.proto import open_inference_pb2 as pb


@ipv6.needed
@pytest.mark.parametrize("transport", ["h2", "grpcio"])
@pytest.mark.parametrize(
    ("host", "reached_at"),
    [("[::]", ("[::1]", "127.0.0.1")), ("[::1]", ("[::1]",)), ("0.0.0.0", ("127.0.0.1",))],
    ids=["every interface of both families", "IPv6 loopback", "every interface of IPv4"],
)
def test_a_listener_answers_where_its_address_says(
    tmp_path: Path, transport: str, host: str, reached_at: tuple[str, ...]
) -> None:
    models.write_linear(tmp_path, "digits", 1)
    addresses = {"SKERRY_LISTEN": f"{host}:0", "SKERRY_HTTP": f"{host}:0"}
    with teacher_process.started(tmp_path, transport, **addresses) as server:
        server.wait_ready()
        for told in (server.ready["address"], server.ready["http"]):
            assert str(told).startswith(f"{host}:"), "as others can write it: IPv6 in brackets"
        port, page_port = (str(server.ready[name]).rpartition(":")[2] for name in ("address", "http"))
        for near in reached_at:
            with teacher_process.channel(f"{near}:{port}") as channel:
                reply = pb.ServerReadyResponse.FromString(teacher_process.call(channel, "ServerReady", b""))
            assert reply.ready
            with urllib.request.urlopen(f"http://{near}:{page_port}/readyz", timeout=10) as page:
                assert page.read() == b"ok\n"
