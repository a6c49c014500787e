"""Unix domain sockets: official clients over them, who is let in, and what lies at the path already."""

import asyncio
import contextlib
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import rpc_world

from skerry.core import errors
from skerry.rpc import unix_sockets
from skerry.rpc.unix_sockets import UnixAddress

_LARGE = bytes(range(256)) * (16 << 10)  # 4 MiB


@contextlib.contextmanager
def serving(address: UnixAddress, transport: str = "h2", loop: str = "uvloop") -> Iterator[rpc_world.Running]:
    with rpc_world.serving(transport, loop=loop) as made:
        made.ask(lambda: made.server.listen_unix(address))
        yield made


def same(channel: Any, request: bytes) -> bytes:
    reply: bytes = channel.unary_unary(rpc_world.SERVICE + "Same")(request, timeout=10)
    return reply


_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("transport", ["h2", "grpcio"])
def test_official_clients_call_over_a_socket(transport: str, loop: str, tmp_path: Path) -> None:
    address = UnixAddress(str(tmp_path / "agent.sock"))
    with serving(address, transport, loop):
        with grpc.insecure_channel(f"unix://{address.path}", _OPTIONS) as channel:
            assert same(channel, b"small") == b"small"
            assert same(channel, _LARGE) == _LARGE

        async def ask() -> bytes:
            async with grpc.aio.insecure_channel(f"unix:{address.path}", _OPTIONS) as channel:
                return bytes(await channel.unary_unary(rpc_world.SERVICE + "Same")(_LARGE, timeout=10))

        assert asyncio.run(ask()) == _LARGE
    assert list(tmp_path.iterdir()) == [] or transport == "grpcio"


def test_a_handler_sees_who_calls(tmp_path: Path) -> None:
    address = UnixAddress(str(tmp_path / "agent.sock"), users=frozenset((os.getuid(), 4321)))
    with serving(address) as running, grpc.insecure_channel(f"unix://{address.path}") as channel:
        channel.unary_unary(rpc_world.SERVICE + "About")(b"", timeout=10)
        assert [call.peer_address for call in running.seen.calls] == [f"unix:{os.getuid()}:{os.getpid()}"]


def test_a_user_who_is_not_named_is_not_let_in_and_others_are_served(tmp_path: Path) -> None:
    address = UnixAddress(str(tmp_path / "agent.sock"), users=frozenset((os.getuid() + 1,)))
    with serving(address) as running:
        with grpc.insecure_channel(f"unix://{address.path}") as channel, pytest.raises(grpc.RpcError) as caught:
            same(channel, b"x")
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]
        with grpc.insecure_channel(f"127.0.0.1:{running.port}") as channel:
            assert same(channel, b"x") == b"x"


def test_grpcio_cannot_tell_users_and_says_so(tmp_path: Path) -> None:
    address = UnixAddress(str(tmp_path / "agent.sock"), users=frozenset((0,)))
    with rpc_world.serving("grpcio") as running, pytest.raises(errors.UnsupportedError, match="use h2"):
        running.ask(lambda: running.server.listen_unix(address))


@pytest.mark.parametrize("transport", ["h2", "grpcio"])
def test_the_file_has_its_mode(transport: str, tmp_path: Path) -> None:
    address = UnixAddress(str(tmp_path / "agent.sock"), mode=0o620)
    with serving(address, transport):
        found = Path(address.path).stat().st_mode
        assert (stat.S_ISSOCK(found), stat.S_IMODE(found)) == (True, 0o620)


def test_a_deep_folder_costs_no_more_than_its_own_bytes(tmp_path: Path) -> None:
    room = unix_sockets.MAX_PATH_BYTES - len(os.fsencode(tmp_path)) - 1
    address = UnixAddress(unix_sockets.parse("X", f"unix://{tmp_path}/{'s' * room}"))
    with serving(address), grpc.insecure_channel(f"unix://{address.path}") as channel:
        assert same(channel, b"x") == b"x"
    with pytest.raises(errors.InputError, match="SKERRY_UNIX_LISTEN: the path of a socket has at most 107 bytes"):
        unix_sockets.parse("SKERRY_UNIX_LISTEN", str(address) + "s")


@pytest.mark.parametrize("text", ["/run/a.sock", "unix:a.sock", "unix://run/a.sock", "unix:///run/", "unix://", "h:1"])
def test_what_is_no_absolute_path_is_refused(text: str) -> None:
    with pytest.raises(errors.InputError, match="X must be unix:///path"):
        unix_sockets.parse("X", text)


_DIES = """
import os, socket, sys
listening = socket.socket(socket.AF_UNIX); listening.bind(sys.argv[1]); listening.listen(); os._exit(9)
"""


@pytest.mark.parametrize("transport", ["h2", "grpcio"])
def test_the_socket_of_a_process_that_died_is_replaced(transport: str, tmp_path: Path) -> None:
    address = UnixAddress(str(tmp_path / "agent.sock"))
    assert subprocess.run([sys.executable, "-c", _DIES, address.path], check=False).returncode == 9
    assert Path(address.path).exists()
    with serving(address, transport), grpc.insecure_channel(f"unix://{address.path}") as channel:
        assert same(channel, b"x") == b"x"


@pytest.mark.parametrize("transport", ["h2", "grpcio"])
def test_a_socket_that_somebody_listens_on_stays_theirs(transport: str, tmp_path: Path) -> None:
    address = UnixAddress(str(tmp_path / "agent.sock"))
    with serving(address) as first, rpc_world.serving(transport) as second:
        with pytest.raises(errors.UnavailableError, match="another process listens there"):
            second.ask(lambda: second.server.listen_unix(address))
        with grpc.insecure_channel(f"unix://{address.path}") as channel:
            channel.unary_unary(rpc_world.SERVICE + "About")(b"", timeout=10)
        assert len(first.seen.calls) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("transport", ["h2", "grpcio"])
def test_a_file_that_is_no_socket_is_not_removed(transport: str, tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    path.write_text("mine")
    with rpc_world.serving(transport) as running, pytest.raises(errors.UnavailableError, match="no socket lies there"):
        running.ask(lambda: running.server.listen_unix(UnixAddress(str(path))))
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(errors.UnavailableError, match=r"cannot listen on unix:///.*: No such file"):
        unix_sockets.bind(UnixAddress(str(tmp_path / "none" / "agent.sock")))


def test_who_ends_removes_its_own_file_and_not_that_of_the_next(tmp_path: Path) -> None:
    address = UnixAddress(str(tmp_path / "agent.sock"))
    bound = unix_sockets.bind(address)
    Path(address.path).unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(address.path)
        bound.close()
        assert Path(address.path).exists()
