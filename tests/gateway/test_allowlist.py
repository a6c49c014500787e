"""A revoked node loses the teacher as it loses the gateway: real gateway, real teacher, real certificates."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import gateway_tls
import grpc
import httpx
import models
import numpy as np
import pytest
import selection
import teacher_process
import valkey
from gateway_tls import Caller, Gateway

from skerry.adapters.allowlist_page import AllowlistPage
from skerry.adapters.oip import codec
from skerry.core import allowlist, errors
from skerry.core.inference import InferRequest
from skerry.core.tensors import Tensor
from skerry.proto import open_inference_pb2 as pb

REQUEST = codec.encode_request(
    InferRequest("digits", (Tensor.of("x", np.ones((1, 4), dtype=np.float32)),), id="r")
).SerializeToString()


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    server = valkey.Valkey()
    yield server.url
    server.close()


@pytest.fixture
def gateway(tmp_path: Path, redis_url: str) -> Iterator[Gateway]:
    """With a fleet of two: edge-1 and edge-2."""
    made = Gateway(tmp_path / "gateway", redis_url)
    made.start()
    token = made.token()
    for node in ("edge-1", "edge-2"):
        assert made.enrol(node, token)[0] == "ENROLLED"
    yield made
    if made.process.poll() is None:
        assert made.stop() == 0


class Listener:
    """The teacher's listener for edges."""

    def __init__(self, gateway: Gateway, transport: str, folder: Path, **environment: str) -> None:
        models.write_linear(folder / "models", "digits", 1)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.started = teacher_process.started(
            folder / "models",
            transport,
            SKERRY_TLS_LISTEN=self.address,
            SKERRY_TLS_CERT=str(gateway.pki / "tls.crt"),
            SKERRY_TLS_KEY=str(gateway.pki / "tls.key"),
            SKERRY_CLIENT_CA=str(gateway.pki / "ca.crt"),
            SKERRY_MEMBERS=f"https://{gateway.addresses['jobs']}/members",
            **environment,
        )

    def connect(self, caller: Caller) -> grpc.Channel:
        options = [
            ("grpc.enable_retries", 0),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_reconnect_backoff_ms", 1000),  # as agents do
        ]
        return grpc.secure_channel(self.address, caller.credentials(), options)

    def status(self, channel: grpc.Channel) -> str:
        return teacher_process.status_of(channel, "ModelInfer", REQUEST)[0]


@pytest.fixture(params=selection.TRANSPORTS)
def listener(request: pytest.FixtureRequest, gateway: Gateway, tmp_path: Path) -> Iterator[Listener]:
    made = Listener(gateway, request.param, tmp_path)
    with made.started as running:
        running.wait_ready()
        yield made


def until(listener: Listener, channel: grpc.Channel, *wanted: str) -> None:
    end = time.monotonic() + 30
    while (found := listener.status(channel)) not in wanted:
        assert time.monotonic() < end, found
        time.sleep(0.1)


def test_a_revoked_node_is_refused_and_its_stream_ends(gateway: Gateway, listener: Listener) -> None:
    mine, other = gateway.identity("edge-1"), gateway.identity("edge-2")
    with listener.connect(mine) as channel, listener.connect(other) as beside:
        until(listener, channel, "OK")
        answers = _stream(channel)
        next(answers)
        gateway.store.patch("EdgeNode", "edge-1", manager="operator", spec={"revoked": True})
        with pytest.raises(grpc.RpcError) as ended:
            next(answers)
        assert ended.value.code() is grpc.StatusCode.PERMISSION_DENIED
        until(listener, channel, "PERMISSION_DENIED")
        for method in ("ServerLive", "ModelMetadata", "/grpc.health.v1.Health/Check"):
            assert teacher_process.status_of(channel, method, b"")[0] in ("PERMISSION_DENIED", "UNAVAILABLE"), method
        assert listener.status(beside) == "OK"
        gateway.store.patch("EdgeNode", "edge-1", manager="operator", spec={"revoked": False})
        until(listener, channel, "OK")


def _stream(channel: grpc.Channel) -> Iterator[bytes]:
    """An open ModelStreamInfer that has asked once and asks nothing more until it is ended."""

    def requests() -> Iterator[bytes]:
        yield REQUEST
        time.sleep(30)

    found: Iterator[bytes] = channel.stream_stream(teacher_process.OIP + "ModelStreamInfer")(requests(), timeout=30)
    return found


def test_a_removed_node_and_a_replaced_key_are_refused(gateway: Gateway, listener: Listener) -> None:
    mine, other = gateway.identity("edge-1"), gateway.identity("edge-2")
    with listener.connect(mine) as channel, listener.connect(other) as beside:
        until(listener, channel, "OK")
        key = gateway.store.get("EdgeNode", "edge-1").spec["approvedKey"]
        gateway.store.patch("EdgeNode", "edge-2", manager="operator", spec={"approvedKey": key})
        gateway.store.delete("EdgeNode", "edge-1")
        until(listener, channel, "PERMISSION_DENIED")
        until(listener, beside, "PERMISSION_DENIED")


def test_the_connection_of_a_revoked_node_is_ended(gateway: Gateway, tmp_path: Path) -> None:
    listener = Listener(gateway, "h2", tmp_path)
    with listener.started as running, listener.connect(gateway.identity("edge-1")) as channel:
        running.wait_ready()
        until(listener, channel, "OK")
        left: list[grpc.ChannelConnectivity] = []
        channel.subscribe(left.append)
        gateway.store.patch("EdgeNode", "edge-1", manager="operator", spec={"revoked": True})
        end = time.monotonic() + 30
        while grpc.ChannelConnectivity.IDLE not in left:  # nobody called: the server hung up
            assert time.monotonic() < end, left
            time.sleep(0.1)


@pytest.mark.long
def test_a_gateway_that_is_away_stops_nobody_who_was_known(gateway: Gateway, listener: Listener) -> None:
    gateway.store.patch("EdgeNode", "edge-2", manager="operator", spec={"revoked": True})
    with (
        listener.connect(gateway.identity("edge-1")) as channel,
        listener.connect(gateway.identity("edge-2")) as revoked,
    ):
        until(listener, channel, "OK")
        until(listener, revoked, "PERMISSION_DENIED")
        assert gateway.stop() == 0
        time.sleep(3)  # it has looked again meanwhile
        assert (listener.status(channel), listener.status(revoked)) == ("OK", "PERMISSION_DENIED")


def test_a_teacher_that_never_heard_of_anybody_lets_nobody_in(gateway: Gateway, tmp_path: Path) -> None:
    listener = Listener(gateway, "h2", tmp_path)
    assert gateway.stop() == 0
    with listener.started as running, listener.connect(gateway.identity("edge-1")) as channel:
        running.wait_ready()
        assert listener.status(channel) == "UNAVAILABLE"
        assert pb.ServerLiveResponse.FromString(_plain(running.address)).live
        assert "members_lost" in running.log()
        age = next(line for line in running.page("/metrics").splitlines() if line.startswith("skerry_members_age"))
        assert float(age.rpartition(" ")[2]) > 0


def test_a_teacher_ends_in_time_though_the_list_never_does(gateway: Gateway, tmp_path: Path) -> None:
    """A gateway that drips: what waits for it is left behind, and the process ends as it should."""
    with Dripping(gateway) as dripping:
        gateway.addresses["jobs"] = dripping.address
        listener = Listener(gateway, "h2", tmp_path, SKERRY_GRACE_SECONDS="1")
        with listener.started as running:
            running.wait_ready()
            assert dripping.asked.wait(10)
            assert running.stop() == 0
            assert "ended_by_force" not in running.log()


class Dripping:
    """Has the gateway's certificate, and sends a list of a megabyte a byte at a time."""

    def __init__(self, gateway: Gateway) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(gateway.pki / "tls.crt", gateway.pki / "tls.key")
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.asked, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Dripping":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        raw, _ = self._socket.accept()
        with contextlib.suppress(OSError), self._context.wrap_socket(raw, server_side=True) as asked:
            asked.recv(4096)
            asked.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            self.asked.set()
            while not self._stop.wait(0.2):
                asked.sendall(b"s")


def _plain(address: str) -> bytes:
    with teacher_process.channel(address) as channel:
        return teacher_process.call(channel, "ServerLive", b"")


def test_the_list_is_sent_once_and_names_nobody(gateway: Gateway) -> None:
    url = f"https://{gateway.addresses['jobs']}/members"
    page = AllowlistPage(url, str(gateway.pki / "ca.crt"))
    read(page, 2)
    assert page.changed() is None
    gateway.store.patch("EdgeNode", "edge-1", manager="operator", spec={"revoked": True})
    found = read(page, 1)
    with httpx.Client(verify=_believing(gateway)) as client:
        answer = client.get(url)
    assert allowlist.read(answer.content) == found and b"edge" not in answer.content


def read(page: AllowlistPage, nodes: int) -> frozenset[str]:
    """The list once it has so many."""
    end = time.monotonic() + 10
    while (found := page.changed()) is None or len(found) != nodes:
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found


def _believing(gateway: Gateway) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=gateway.ca.certificate.decode())


def test_a_gateway_of_another_authority_is_not_believed(gateway: Gateway, tmp_path: Path) -> None:
    from skerry.adapters import pki

    (tmp_path / "other.crt").write_bytes(pki.make_ca("other", now=gateway_tls.NOW).certificate)
    page = AllowlistPage(f"https://{gateway.addresses['jobs']}/members", str(tmp_path / "other.crt"))
    with pytest.raises(errors.UnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
        page.changed()
