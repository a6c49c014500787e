"""A server that ends while its address is still given out: callers that come back to it lose no call."""

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator, Sequence

import grpc
import pytest
import rpc_raw
import rpc_world
from rpc_raw import connected, data, headers, message

from skerry.rpc.h2 import frames

_SAME = "/test.Echo/Same"


class Address:
    """One address for several servers, as a Service is: `order` says who gets which connection, its last all others."""

    def __init__(self, order: Sequence[int]) -> None:
        self._order = itertools.chain(order, itertools.repeat(order[-1]))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self.given: list[int] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            port = next(self._order)
            self.given.append(port)
            try:
                server = socket.create_connection(("127.0.0.1", port))
            except OSError:
                caller.close()  # what a closed door looks like from behind
                continue
            self._open += [caller, server]
            for source, sink in ((caller, server), (server, caller)):
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while content := source.recv(1 << 16):
            sink.sendall(content)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def ending() -> Iterator[rpc_world.Running]:
    with rpc_world.serving("h2") as made:
        yield made


def test_a_caller_that_is_sent_back_to_a_server_that_ends_loses_no_call(ending: rpc_world.Running) -> None:
    """By a plain grpcio client, which asks again only what no server has begun."""
    served, failed, over = [], [], threading.Event()
    with rpc_world.serving("h2") as next_one, contextlib.closing(Address([ending.port] * 4 + [next_one.port])) as place:

        def load() -> None:
            options = [("grpc.use_local_subchannel_pool", 1)]
            with grpc.insecure_channel(f"127.0.0.1:{place.port}", options) as channel:
                call = channel.unary_unary(_SAME)
                while not over.is_set():
                    try:
                        served.append(call(b"x", timeout=20))
                    except grpc.RpcError as error:
                        failed.append(error)

        caller = threading.Thread(target=load)
        caller.start()
        rpc_world.until(lambda: len(served) > 20)
        ending.ask(lambda: ending.server.drain(5, 1.0))
        rpc_world.until(lambda: len(next_one.seen.calls) > 20)
        over.set()
        caller.join(20)
        assert failed == []
        assert place.given == [ending.port] * 4 + [next_one.port]
        assert len(served) == len(ending.seen.calls) + len(next_one.seen.calls)


def test_a_client_that_connects_late_is_served_before_its_goaway(ending: rpc_world.Running) -> None:
    drained = threading.Thread(target=lambda: ending.ask(lambda: ending.server.drain(5, 1.0)))
    drained.start()
    rpc_world.until(lambda: ending.server.peers.is_lingering)
    with connected(ending.port) as late:
        late.send(headers(1) + data(1, message(b"still")))
        seen = late.frames_until(kind=frames.GOAWAY)
    assert [frame.payload[5:] for frame in seen if frame.kind == frames.DATA] == [b"still"]
    drained.join(20)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", ending.port))


def test_no_client_gets_a_goaway_before_the_drain(ending: rpc_world.Running) -> None:
    with connected(ending.port) as raw:
        raw.send(headers(1) + data(1, message(b"x")))
        assert frames.GOAWAY not in [frame.kind for frame in raw.frames_until(ended=1)]
    rpc_raw.check_alive(ending.port)
