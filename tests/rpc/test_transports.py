"""What every transport promises, by grpcio's client: kinds of calls, sizes, statuses, metadata, deadlines, identity."""

import asyncio
import gzip
import os
import pathlib
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import rpc_world
from rpc_world import Running

from skerry.rpc.methods import CallError, Status

_LIMIT = 20 << 20
_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> rpc_world.Authority:
    return rpc_world.Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module", params=["h2-uvloop", "h2-asyncio", "grpcio-uvloop"])
def running(request: pytest.FixtureRequest, authority: rpc_world.Authority) -> Iterator[Running]:
    transport, _, loop = request.param.partition("-")
    with rpc_world.serving(transport, loop=loop or "uvloop", tls=authority.tls(), max_message_bytes=_LIMIT) as made:
        yield made


@pytest.fixture(params=["clear", "tls"])
def channel(request: pytest.FixtureRequest, running: Running, authority: rpc_world.Authority) -> Iterator[Any]:
    if request.param == "clear":
        made = grpc.insecure_channel(f"127.0.0.1:{running.port}", _UNLIMITED)
    else:
        credentials = grpc.ssl_channel_credentials(authority.path.read_bytes())
        made = grpc.secure_channel(f"localhost:{running.tls_port}", credentials, _UNLIMITED)
    with made:
        yield made


def _unary(channel: Any, name: str) -> Any:
    return channel.unary_unary(rpc_world.SERVICE + name)


def _refused(call: Any, *args: Any, **kwargs: Any) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(*args, timeout=kwargs.pop("timeout", 20), **kwargs)
    return caught.value.code().name, caught.value.details()


@pytest.mark.parametrize("name", ["Batch", "Same"])
@pytest.mark.parametrize("size", [0, 1, 3_136, 65_536, 5 << 20, _LIMIT], ids=lambda size: f"{size} bytes")
def test_a_unary_call_gets_its_message_back(channel: Any, name: str, size: int) -> None:
    message = os.urandom(size)
    assert _unary(channel, name)(message, timeout=30) == message


def test_one_byte_above_the_limit_is_refused_naming_the_limit(channel: Any) -> None:
    status, text = _refused(_unary(channel, "Same"), bytes(_LIMIT + 1))
    assert status == "RESOURCE_EXHAUSTED" and str(_LIMIT) in text
    assert _unary(channel, "Same")(b"next", timeout=20) == b"next"


def test_a_reply_above_the_limit_is_refused_naming_the_limit(channel: Any) -> None:
    status, text = _refused(_unary(channel, "ReplyOf"), b"%d" % (_LIMIT + 1))
    assert status == "RESOURCE_EXHAUSTED" and str(_LIMIT) in text


def test_server_stream(channel: Any) -> None:
    replies = channel.unary_stream(rpc_world.SERVICE + "Count")(b"500", timeout=20)
    assert list(replies) == [b"%d" % number for number in range(500)]


def test_server_stream_to_a_slow_reader(channel: Any) -> None:
    replies = channel.unary_stream(rpc_world.SERVICE + "Large")(b"24", timeout=30)
    assert sum(len(reply) for reply in replies) == 24 << 20


def test_client_stream(channel: Any) -> None:
    total = channel.stream_unary(rpc_world.SERVICE + "Sum")
    assert total(iter([bytes(1 << 20)] * 24), timeout=30) == b"%d" % (24 << 20)
    assert total(iter([]), timeout=20) == b"0"


def test_bidirectional_stream(channel: Any) -> None:
    messages = [os.urandom(number) for number in range(300)]
    assert list(channel.stream_stream(rpc_world.SERVICE + "Talk")(iter(messages), timeout=20)) == messages


def test_a_receiver_stream(channel: Any, running: Running) -> None:
    messages = [os.urandom(size) for size in (0, 1, 40_000, 5 << 20, 405)]
    receive = channel.stream_stream(rpc_world.SERVICE + "Receive")
    assert list(receive(iter(messages), timeout=30)) == [b"%d" % sum(map(len, messages))]
    assert list(receive(iter([]), timeout=20)) == [b"0"]
    rpc_world.until(lambda: [one.ends for one in running.seen.receivers[-2:]] == [1, 1])


@pytest.mark.parametrize(
    ("said", "metadata", "status"),
    [
        ([b"1", b"fail", b"2"], None, ("FAILED_PRECONDITION", "you said fail")),
        ([b"1", b"raise", b"2"], None, ("INTERNAL", "internal error")),
        ([], [("x-refuse", "yes")], ("PERMISSION_DENIED", "not you")),
    ],
    ids=["refused", "broken", "not let in"],
)
def test_what_a_receiver_raises_ends_its_call(
    channel: Any, running: Running, said: list[bytes], metadata: Any, status: tuple[str, str]
) -> None:
    before = len(running.seen.receivers)
    receive = channel.stream_stream(rpc_world.SERVICE + "Receive")
    assert _refused(lambda **kwargs: list(receive(iter(said), metadata=metadata, **kwargs))) == status
    rpc_world.until(lambda: all(one.ends == 1 for one in running.seen.receivers[before:]))


@pytest.mark.parametrize("by", ["server", "client"])
def test_a_receiver_hears_that_its_stream_was_ended_from_elsewhere(channel: Any, running: Running, by: str) -> None:
    before, silence = len(running.seen.receivers), threading.Event()

    def said() -> Iterator[bytes]:
        yield b"1"
        silence.wait(20)

    call = channel.stream_stream(rpc_world.SERVICE + "Receive")(said(), timeout=20)
    rpc_world.until(lambda: [one.size for one in running.seen.receivers[before:]] == [1])
    (receiver,) = running.seen.receivers[before:]
    if by == "server":
        running.loop.call_soon_threadsafe(receiver.call.fail, Status.ABORTED, "another took over")
        assert _refused(lambda **_: list(call)) == ("ABORTED", "another took over")
    else:
        call.cancel()
    rpc_world.until(lambda: receiver.ends == 1 and receiver.call.done)
    silence.set()
    late = asyncio.run_coroutine_threadsafe(receiver.call.send(b"late"), running.loop)
    with pytest.raises(CallError) as caught:
        late.result(20)
    assert caught.value.status is Status.CANCELLED


@pytest.mark.parametrize("text", ["plain", "ünïcode ☃ 100 %", "line\nbreak\tand \x7f", ""], ids=ascii)
def test_status_messages_arrive_as_they_were_written(channel: Any, text: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        _unary(channel, "Fail")(text.encode(), timeout=20)
    assert (caught.value.code().name, caught.value.details()) == ("FAILED_PRECONDITION", text)
    assert dict(caught.value.trailing_metadata()) == {"x-why": "asked", "x-why-bin": b"\x00\xff"}


def test_a_failing_call_of_a_batch_fails_alone(channel: Any) -> None:
    waiting = [_unary(channel, "Batch").future(b"fail" if n == 7 else b"%d" % n, timeout=20) for n in range(16)]
    outcomes = [(call.code().name, None if call.exception() else call.result()) for call in waiting]
    expected = [("INVALID_ARGUMENT", None) if n == 7 else ("OK", b"%d" % n) for n in range(16)]
    assert outcomes == expected


@pytest.mark.parametrize("name", ["Raise", "BatchRaises"])
def test_a_handler_that_breaks_tells_no_internals(channel: Any, name: str) -> None:
    assert _refused(_unary(channel, name), b"") == ("INTERNAL", "internal error")


def test_unknown_methods_are_unimplemented(channel: Any) -> None:
    assert _refused(_unary(channel, "Nothing"), b"")[0] == "UNIMPLEMENTED"
    assert _refused(channel.unary_unary("/other.Service/Same"), b"")[0] == "UNIMPLEMENTED"


def test_metadata_both_ways(channel: Any, running: Running) -> None:
    sent = (("x-text", "a"), ("x-text", "b"), ("x-raw-bin", b"\x00\xff,\x80"), ("x-empty-bin", b""), ("x-empty", ""))
    reply, call = _unary(channel, "About").with_call(b"", metadata=sent, timeout=20)
    seen = dict(eval(reply))  # noqa: S307  # our own handler's repr
    seen.pop("user-agent", None)
    assert seen == {"x-text": "a, b", "x-raw-bin": b"\x00\xff,\x80", "x-empty-bin": b"", "x-empty": ""}
    initial, trailing = dict(call.initial_metadata()), dict(call.trailing_metadata())
    assert initial["x-initial"] == "first" and initial["x-initial-bin"] == bytes(range(256))
    assert trailing["x-last-bin"] == b"\x00\x01"
    at_end = running.seen.calls[-1]
    assert at_end.done and at_end.method == "/test.Echo/About" and at_end.peer_certificate is None
    assert at_end.peer_address.startswith("127.0.0.1:")


@pytest.mark.parametrize("size", [15_000, 17_000])
def test_metadata_above_16_kib_fails_that_call_alone(channel: Any, size: int) -> None:
    if size < 16_384:
        assert b"x-big" in _unary(channel, "About")(b"", metadata=(("x-big", "v" * size),), timeout=20)
    else:
        status, _ = _refused(_unary(channel, "About"), b"", metadata=(("x-big", "v" * size),))
        assert status == "RESOURCE_EXHAUSTED"
    assert _unary(channel, "Same")(b"next", timeout=20) == b"next"


@pytest.mark.parametrize("name", ["Sleep", "Never"])
def test_a_deadline_ends_the_call_and_its_handler(channel: Any, running: Running, name: str) -> None:
    running.seen.calls.clear()
    running.seen.cancelled.clear()
    assert _refused(_unary(channel, name), b"", timeout=0.2)[0] == "DEADLINE_EXCEEDED"
    rpc_world.until(lambda: running.seen.calls and running.seen.calls[-1].done)
    if name == "Sleep":
        rpc_world.until(lambda: running.seen.cancelled == ["/test.Echo/Sleep"])


def test_a_cancelled_call_cancels_its_handler(channel: Any, running: Running) -> None:
    running.seen.calls.clear()
    running.seen.cancelled.clear()
    call = _unary(channel, "Sleep").future(b"", timeout=20)
    rpc_world.until(lambda: running.seen.calls)
    call.cancel()
    rpc_world.until(lambda: running.seen.cancelled == ["/test.Echo/Sleep"])
    assert running.seen.calls[-1].done


@pytest.mark.parametrize("method", [grpc.Compression.Gzip, grpc.Compression.Deflate], ids=lambda one: one.name)
def test_compressed_requests_are_read(channel: Any, method: Any) -> None:
    message = b"a" * 200_000
    assert _unary(channel, "Same")(message, compression=method, timeout=20) == message


def test_replies_are_compressed_when_the_handler_asks(channel: Any) -> None:
    message = b"a" * 200_000
    assert _unary(channel, "Gzip")(message, timeout=20) == message
    assert len(gzip.compress(message)) < 1_000


def test_many_threads_on_one_connection_never_mix_answers(channel: Any) -> None:
    wrong: list[bytes] = []

    def work(name: str) -> None:
        call = _unary(channel, name)
        for number in range(40):
            message = os.urandom(1_000 + number)
            if call(message, timeout=30) != message:
                wrong.append(message)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("Same", "Batch") * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_with_a_client_ca_only_its_clients_get_in_and_handlers_see_who(
    running: Running, authority: rpc_world.Authority, tmp_path: Any
) -> None:
    port = running.ask(lambda: running.server.listen("127.0.0.1", 0, authority.tls("mutual", mutual=True)))
    certificate, key = (pathlib.Path(path).read_bytes() for path in authority.issue("client"))
    stranger = rpc_world.Authority(tmp_path, "stranger")
    foreign, foreign_key = (pathlib.Path(path).read_bytes() for path in stranger.issue("foreign"))
    roots = authority.path.read_bytes()
    for pair, welcome in (((key, certificate), True), ((foreign_key, foreign), False), ((None, None), False)):
        with grpc.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials(roots, *pair)) as channel:
            if welcome:
                assert b"x-a" in _unary(channel, "About")(b"", metadata=(("x-a", "b"),), timeout=20)
                expected = ssl.PEM_cert_to_DER_cert(certificate.decode())
                assert running.seen.calls[-1].peer_certificate == expected
            else:
                assert _refused(_unary(channel, "Same"), b"")[0] == "UNAVAILABLE"


def test_a_renewed_certificate_serves_new_connections_and_a_damaged_one_does_not_stop_them(
    running: Running, authority: rpc_world.Authority
) -> None:
    tls = authority.tls("renewed")
    port = running.ask(lambda: running.server.listen("127.0.0.1", 0, tls))

    def served() -> str:
        return ssl.get_server_certificate(("127.0.0.1", port), timeout=10)

    first = served()
    authority.issue("renewed")
    second = served()
    assert second == pathlib.Path(tls.certificate).read_text() != first
    pathlib.Path(tls.key).write_text("-----BEGIN")
    assert served() == second
