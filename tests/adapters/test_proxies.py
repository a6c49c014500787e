"""A company's proxy variables: calls to this machine go directly, calls elsewhere take the proxy as before."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import grpc
import ipv6
import pytest

from skerry.adapters import proxies
from skerry.adapters.oip.remote import RemoteModel
from skerry.core import errors
from skerry.proto import open_inference_pb2 as pb


class Proxy:
    """Accepts connections, keeps the first line that comes on each, and hangs up."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: list[str] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                self.asked.append(connection.recv(4096).decode(errors="replace").partition("\r\n")[0])

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    running = Proxy()
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, running.url)
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield running
    running.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", pytest.param("[::1]", marks=ipv6.needed)])
async def test_a_call_to_this_machine_goes_past_the_proxy(proxy: Proxy, host: str) -> None:
    server = grpc.aio.server()

    async def ready(_: bytes, __: object) -> bytes:
        return pb.ModelReadyResponse(ready=True).SerializeToString()

    handlers = {"ModelReady": grpc.unary_unary_rpc_method_handler(ready)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers),))
    port = server.add_insecure_port(f"{host}:0")
    await server.start()
    try:
        async with RemoteModel(f"{host}:{port}") as model:
            assert await model.is_ready("digits", 10.0)
    finally:
        await server.stop(None)
    assert proxy.asked == []


async def test_a_call_to_another_machine_takes_the_proxy(proxy: Proxy) -> None:
    async with RemoteModel("teacher.example.com:8001") as model:
        with pytest.raises(errors.UnavailableError):
            await model.is_ready("digits", 2.0)
    await asyncio.sleep(0)
    assert proxy.asked[0].startswith("CONNECT teacher.example.com")


def test_only_loopback_is_called_directly() -> None:
    assert proxies.grpc_options("127.0.0.1:1") == (("grpc.enable_http_proxy", 0),)
    assert proxies.grpc_options("gateway.example.com:443") == ()
