"""TLS below HTTP/2, byte by byte: records in pieces and in heaps, handshakes that fail or never end, its close, large
messages in slices."""

import os
import ssl
import threading
from collections.abc import Callable, Iterator

import grpc
import pytest
import rpc_raw
import rpc_world
from rpc_raw import Raw, data, headers, message


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> rpc_world.Authority:
    return rpc_world.Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=["uvloop", "asyncio"])
def running(request: pytest.FixtureRequest, authority: rpc_world.Authority) -> Iterator[rpc_world.Running]:
    with rpc_world.serving("h2", loop=request.param, tls=authority.tls(), handshake_s=0.5) as made:
        yield made
        _until(lambda: not _handshaking(made) and not made.server.peers.admission.connections)


class Client:
    """TLS by memory, so that a test says which bytes of it leave when."""

    def __init__(self, port: int, authority: rpc_world.Authority) -> None:
        context = ssl.create_default_context(cafile=str(authority.path))
        context.set_alpn_protocols(["h2"])
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.raw = Raw(port, handshake=False)

    def sealed(self, content: bytes) -> bytes:
        self.tls.write(content)
        return self.outgoing.read()

    def shake_hands(self, send: Callable[[bytes], None] | None = None) -> None:
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                (send or self.raw.send)(self.outgoing.read())
                self.incoming.write(self.raw.socket.recv(1 << 16))
        (send or self.raw.send)(self.outgoing.read())

    def read_until(self, wanted: Callable[[bytes], bool]) -> bytes:
        found = b""
        while not wanted(found):
            try:
                found += self.tls.read(1 << 16)
            except ssl.SSLWantReadError:
                more = self.raw.socket.recv(1 << 16)
                assert more, "the server hung up"
                self.incoming.write(more)
        return found

    def is_hung_up_on(self) -> bool:
        self.raw.socket.settimeout(10)
        try:
            while self.raw.socket.recv(1 << 16):
                pass
        except ConnectionResetError:
            pass
        return True


@pytest.fixture
def client(running: rpc_world.Running, authority: rpc_world.Authority) -> Iterator[Client]:
    made = Client(running.tls_port, authority)
    yield made
    made.raw.close()


def _call(number: int, content: bytes) -> bytes:
    return headers(number) + data(number, message(content))


def test_records_may_come_byte_by_byte(client: Client) -> None:
    def drip(content: bytes) -> None:
        for at in range(len(content)):
            client.raw.send(content[at : at + 1])

    client.shake_hands(drip)
    drip(client.sealed(rpc_raw.SETTLED + _call(1, b"in pieces")))
    assert client.read_until(lambda found: b"in pieces" in found)


def test_records_may_come_in_heaps(client: Client) -> None:
    client.shake_hands()
    numbers = range(1, 401, 2)
    calls = (client.sealed(_call(number, b"<%d>" % number)) for number in numbers)
    client.raw.send(b"".join([client.sealed(rpc_raw.SETTLED), *calls]))
    client.read_until(lambda found: all(b"<%d>" % number in found for number in numbers))


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n", os.urandom(40_000)], ids=len)
def test_what_is_no_handshake_is_hung_up_on(client: Client, said: bytes) -> None:
    if said:
        client.raw.push(said, 1)
    assert client.is_hung_up_on()


def test_what_is_no_record_ends_the_connection(client: Client) -> None:
    client.shake_hands()
    client.raw.send(client.sealed(rpc_raw.SETTLED) + b"\x17\x03\x03\x00\x40" + os.urandom(64))
    assert client.is_hung_up_on()


def test_what_came_before_close_notify_is_served(client: Client, running: rpc_world.Running) -> None:
    client.shake_hands()
    last = client.sealed(rpc_raw.SETTLED + _call(1, b"last"))
    with pytest.raises(ssl.SSLError):
        client.tls.unwrap()
    client.raw.send(last + client.outgoing.read())
    assert client.is_hung_up_on()
    assert len(running.seen.calls) == 1


def test_the_server_sends_close_notify(client: Client, running: rpc_world.Running) -> None:
    client.shake_hands()
    client.raw.send(client.sealed(rpc_raw.SETTLED + _call(1, b"one")))
    client.read_until(lambda found: b"one" in found)
    running.ask(lambda: running.server.drain(0))
    client.raw.socket.settimeout(10)
    while more := client.raw.socket.recv(1 << 16):
        client.incoming.write(more)
    client.incoming.write_eof()
    while client.tls.read(1 << 16):  # without close_notify its end would be an ssl.SSLEOFError
        pass


def test_a_drain_ends_handshakes_that_are_under_way(client: Client, running: rpc_world.Running) -> None:
    client.raw.send(b"\x16\x03")
    _until(lambda: _handshaking(running))
    running.ask(lambda: running.server.drain(0))
    assert client.is_hung_up_on()


def _handshaking(running: rpc_world.Running) -> list[object]:
    return [secured for listener in running.server.listeners for secured in listener.handshaking]


class Measured:
    """A memory BIO that notes what was put in and taken out at once: it never shrinks."""

    def __init__(self, inner: ssl.MemoryBIO) -> None:
        self._inner, self.sizes = inner, list[int]()

    @property
    def pending(self) -> int:
        return self._inner.pending

    def write(self, content: memoryview) -> int:
        self.sizes.append(len(content))
        return self._inner.write(content)

    def read(self) -> bytes:
        content = self._inner.read()
        self.sizes.append(len(content))
        return content


def test_large_messages_pass_in_slices_of_a_record(running: rpc_world.Running, authority: rpc_world.Authority) -> None:
    credentials = grpc.ssl_channel_credentials(authority.path.read_bytes())
    content = os.urandom(4 << 20)
    with grpc.secure_channel(f"localhost:{running.tls_port}", credentials) as channel:
        call = channel.unary_unary(rpc_world.SERVICE + "Same")
        assert call(b"first", timeout=20) == b"first"
        (peer,) = running.server.peers
        secured = peer.transport
        coming, going = Measured(secured._incoming), Measured(secured._outgoing)
        secured._incoming, secured._outgoing = coming, going
        assert call(content, timeout=30) == content
        assert sum(coming.sizes) > len(content) < sum(going.sizes)
        assert max(coming.sizes) <= 16 << 10 and max(going.sizes) <= (16 << 10) + 256


def _until(condition: Callable[[], object]) -> None:
    """Poll up to ten seconds."""
    pause = threading.Event()
    for _ in range(1_000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen in time")
