"""The server on its event loop: batches and writes per loop turn, limits of connections and calls, time-outs, drain."""

import asyncio
import pathlib
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import rpc_raw
import rpc_world
from rpc_raw import connected, data, headers, message

from skerry import rpc
from skerry.core import errors
from skerry.rpc import tls
from skerry.rpc.h2 import call as call_module
from skerry.rpc.h2 import frames
from skerry.rpc.h2.frames import Code
from skerry.rpc.limits import Limits
from skerry.rpc.methods import Tls

_SAME = "/test.Echo/Same"


class CountingTransport:
    """Passes everything on and counts the writes."""

    def __init__(self, transport: Any) -> None:
        self._transport, self.writes = transport, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, content: bytes) -> None:
        self.writes += 1
        self._transport.write(content)


@pytest.fixture(params=["uvloop", "asyncio"])
def running(request: pytest.FixtureRequest) -> Iterator[rpc_world.Running]:
    with rpc_world.serving("h2", loop=request.param) as made:
        yield made


def test_calls_of_one_turn_are_one_batch_and_one_write(running: rpc_world.Running) -> None:
    with connected(running.port) as raw:
        raw.settle()
        (peer,) = running.server.peers
        peer.transport = counting = CountingTransport(peer.transport)
        burst = [
            headers(n, "/test.Echo/Batch", (b"grpc-timeout", b"9S")) + data(n, message(b"%d" % n))
            for n in range(1, 41, 2)
        ]
        raw.send(b"".join(burst))
        raw.frames_until(ended=39)
        assert (running.seen.batches, counting.writes) == ([20], 1)
        replies = [frame.payload[5:] for frame in raw.frames_until(ended=39) if frame.kind == frames.DATA]
        assert replies == [b"%d" % number for number in range(1, 41, 2)]


def test_answering_needs_no_turn_of_its_own(running: rpc_world.Running) -> None:
    turns: list[None] = []
    take_turn = running.server.turns._turn

    def counted() -> None:
        turns.append(None)
        take_turn()

    with connected(running.port) as raw:
        raw.settle()
        running.server.turns._turn = counted
        for number in (1, 3, 5):
            raw.send(headers(number, "/test.Echo/Batch") + data(number, message(b"a")))
            raw.frames_until(ended=number)
        assert len(turns) == 3


def test_a_stream_of_many_messages_is_few_writes(running: rpc_world.Running) -> None:
    with connected(running.port, {frames.INITIAL_WINDOW_SIZE: 1 << 20}) as raw:
        raw.send(frames.window_update(0, 1 << 20))
        raw.settle()
        (peer,) = running.server.peers
        peer.transport = counting = CountingTransport(peer.transport)
        raw.send(headers(1, "/test.Echo/Count") + data(1, message(b"5000")))
        assert raw.fields_of(1)[b"grpc-status"] == b"0"
        assert counting.writes <= 3


def test_an_idle_call_costs_a_timer_only_when_it_outlives_its_turn(running: rpc_world.Running) -> None:
    with connected(running.port) as raw:
        raw.send(headers(1, "/test.Echo/Batch", (b"grpc-timeout", b"9S")) + data(1, message(b"now")))
        raw.send(headers(3, "/test.Echo/Never", (b"grpc-timeout", b"9S")) + data(3, message(b"later")))
        raw.fields_of(1)
        rpc_world.until(lambda: running.seen.calls)
        (waiting,) = running.seen.calls
        rpc_world.until(lambda: waiting._timer is not None)
        assert not running.server.turns.timed


def test_silent_receiver_streams_hold_no_task_and_no_message(running: rpc_world.Running) -> None:
    async def tasks() -> int:
        return len(asyncio.all_tasks())

    with connected(running.port) as raw:
        half = message(b"abc")[:6]
        burst = [headers(n, "/test.Echo/Receive") + data(n, message(b"one"), end=False) for n in range(1, 201, 2)]
        burst += [data(n, half, end=False) + data(n, message(b"abc")[6:], end=False) for n in range(1, 201, 2)]
        raw.send(b"".join(burst))
        rpc_world.until(lambda: [one.size for one in running.seen.receivers] == [6] * 100)
        rpc_world.until(lambda: running.ask(tasks) == 2)  # the listener's, and this question
        assert running.server.turns.budget.taken_bytes == 0
        calls = [one.call for one in running.seen.receivers]
        assert all(call._inbox is call_module.NO_MESSAGES and call._assembly is None for call in calls)


def test_a_full_process_refuses_new_calls_so_that_clients_retry_elsewhere() -> None:
    with rpc_world.serving("h2", max_calls=20) as running, connected(running.port) as raw:
        raw.send(b"".join(headers(n, "/test.Echo/Sleep") + data(n, message(b"")) for n in range(1, 41, 2)))
        rpc_world.until(lambda: running.server.peers.open_calls == 20)
        rpc_world.until(lambda: all(peer.connection.refusing for peer in running.server.peers))
        raw.send(headers(101) + data(101, message(b"")))
        refused = [frame for frame in raw.frames_until(ended=101) if frame.kind == frames.RST_STREAM]
        assert [(frame.stream_id, frame.code) for frame in refused] == [(101, Code.REFUSED_STREAM)]


@pytest.mark.parametrize(
    "sent",
    [b"", frames.PREFACE[:9], frames.PREFACE, rpc_raw.SETTLED + frames.frame(frames.HEADERS, 0, 1, b"\x83")],
    ids=["nothing", "half a preface", "no SETTINGS", "half a header block"],
)
def test_a_client_that_does_not_finish_the_handshake_is_hung_up_on(sent: bytes) -> None:
    with rpc_world.serving("h2", handshake_s=0.2, keepalive_s=0.2, keepalive_timeout_s=0.2) as running:
        with connected(running.port, handshake=False) as raw:
            raw.send(sent)
            raw.frames_until(closed=True)
        rpc_raw.check_alive(running.port)


@pytest.mark.parametrize(("chunk", "status"), [(1, b"4"), (2_000, b"0")], ids=["dripping", "steady"])
def test_a_dripping_body_is_given_up_and_a_steady_one_is_not(chunk: int, status: bytes) -> None:
    body, pause = message(bytes(chunk * 30)), threading.Event()
    with rpc_world.serving("h2", stalled_s=0.5, slowest_bytes_per_s=1_000) as running, connected(running.port) as raw:
        raw.send(headers(1))
        for at in range(0, len(body), chunk):
            raw.push(data(1, body[at : at + chunk], end=at + chunk >= len(body)), 1)
            if raw.has_ended(1):
                break
            pause.wait(0.1)
        assert raw.fields_of(1)[b"grpc-status"] == status
        rpc_raw.check_alive(running.port)


def test_a_black_hole_is_noticed_by_a_ping_and_an_honest_silence_kept() -> None:
    with (
        rpc_world.serving("h2", keepalive_s=0.2, keepalive_timeout_s=0.5) as running,
        connected(running.port) as hole,
        connected(running.port) as honest,
    ):
        hole.send(headers(1, "/test.Echo/Sleep") + data(1, message(b"")))
        honest.frames_until(kind=frames.PING)
        honest.send(frames.frame(frames.PING, frames.ACK, 0, b"skerry-k"))
        assert [f.payload for f in hole.frames_until(closed=True) if f.kind == frames.PING] == [b"skerry-k"]
        rpc_world.until(lambda: running.seen.cancelled == ["/test.Echo/Sleep"])
        honest.send(frames.frame(frames.PING, frames.ACK, 0, b"skerry-k") + headers(1) + data(1, message(b"")))
        assert honest.fields_of(1)[b"grpc-status"] == b"0"


@pytest.mark.long
def test_a_client_that_pings_on_an_idle_link_keeps_it() -> None:
    """grpc-core with its most eager keepalive: its own server would say too_many_pings after three of them."""
    eager = [("grpc.keepalive_time_ms", 300), ("grpc.http2.max_pings_without_data", 0)]
    eager += [("grpc.keepalive_permit_without_calls", 1), ("grpc.use_local_subchannel_pool", 1)]
    with (
        rpc_world.serving("h2") as running,
        grpc.insecure_channel(f"127.0.0.1:{running.port}", eager) as channel,
    ):
        call = channel.unary_unary(rpc_world.SERVICE + "Same")
        assert call(b"x", timeout=20) == b"x"
        threading.Event().wait(4.0)  # ten times its interval and more
        assert call(b"x", timeout=20) == b"x"
        before, after = (one.peer_address for one in running.seen.calls)
        assert before == after  # the same connection


def test_a_drain_under_load_loses_no_call() -> None:
    with rpc_world.serving("h2") as running:
        served, ends = [], []

        def load(name: str) -> None:
            with grpc.insecure_channel(f"127.0.0.1:{running.port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
                call = channel.unary_unary(rpc_world.SERVICE + name)
                try:
                    while True:
                        call(b"x", timeout=20)
                        served.append(name)
                except grpc.RpcError as error:
                    ends.append((error.code().name, error.details()))

        threads = [threading.Thread(target=load, args=(name,)) for name in ("Same",) * 8]
        for thread in threads:
            thread.start()
        rpc_world.until(lambda: len(served) > 400)
        running.ask(lambda: running.server.drain(10))
        for thread in threads:
            thread.join(20)
        assert len(served) == len(running.seen.calls), "each call that was served has reached its caller"
        assert len(ends) == 8 and all(code == "UNAVAILABLE" and "onnect" in text for code, text in ends), ends
        assert not running.server.peers and running.server.peers.admission.connections == 0


def test_what_outlives_the_grace_is_cancelled(running: rpc_world.Running) -> None:
    with connected(running.port) as raw:
        raw.send(headers(1, "/test.Echo/Sleep") + data(1, message(b"")))
        rpc_world.until(lambda: running.seen.calls)
        running.ask(lambda: running.server.drain(0.1))
        assert running.seen.cancelled == ["/test.Echo/Sleep"]
        assert [frame.code for frame in raw.frames_until(closed=True) if frame.kind == frames.GOAWAY][
            -1
        ] == Code.NO_ERROR


@pytest.mark.parametrize("transport", ["h2", "grpcio"])
def test_what_cannot_serve_says_so(transport: str, tmp_path: pathlib.Path) -> None:
    authority = rpc_world.Authority(tmp_path)
    certificate, _ = authority.issue("one")
    _, key = authority.issue("other")
    with rpc_world.serving(transport) as running:
        for files in (Tls(certificate, key), Tls("/no/such", key)):
            with pytest.raises(errors.UnavailableError, match="cannot be used"):
                running.ask(lambda files=files: running.server.listen("127.0.0.1", 0, files))
        if transport == "h2":  # grpcio shares ports on purpose unless told otherwise, and tells only by log
            with pytest.raises(errors.UnavailableError, match="cannot listen"):
                running.ask(lambda: running.server.listen("127.0.0.1", running.port))
            rpc_raw.check_alive(running.port)
    with pytest.raises(errors.InputError, match="h2, grpcio"):
        rpc.open_server("carrier pigeon", {}, limits=Limits())


def test_a_tls_client_must_agree_on_h2(tmp_path: pathlib.Path) -> None:
    authority = rpc_world.Authority(tmp_path)
    files = authority.tls()
    assert tls.context(files).minimum_version == ssl.TLSVersion.TLSv1_2
    with rpc_world.serving("h2", tls=files) as running:
        for protocols in ([], ["http/1.1"]):
            context = ssl.create_default_context(cafile=str(authority.path))
            context.set_alpn_protocols(protocols)
            with connected(running.tls_port, handshake=False) as raw:
                try:
                    with context.wrap_socket(raw.socket, server_hostname="localhost") as secured:
                        secured.sendall(rpc_raw.SETTLED)
                        assert secured.recv(100) == b""
                except (ssl.SSLError, ConnectionError):
                    pass
        rpc_raw.check_alive(running.port)
