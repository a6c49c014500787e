"""How many connections there are, of all and of one address, and who leaves where there is no room."""

import pathlib

import pytest
import rpc_raw
import rpc_world
from rpc_raw import Raw, connected, data, headers, message

from skerry.core import addresses
from skerry.rpc.h2 import frames
from skerry.rpc.limits import Limits


def test_connections_are_shared_out_and_one_address_has_half_of_them() -> None:
    shared = Limits().sharing(736)
    assert (shared.max_connections, shared.max_connections_per_address) == (736, 368)
    assert Limits().sharing(1 << 20) == Limits()
    anywhere = Limits(max_connections_per_address=Limits().max_connections).sharing(736)
    assert anywhere.max_connections_per_address == 736


def test_connections_of_one_address_are_limited_and_leave_room_when_they_go() -> None:
    with rpc_world.serving("h2", max_connections_per_address=5) as running:
        open_ones = [Raw(running.port) for _ in range(5)]
        for raw in open_ones:
            raw.settle()
        assert _is_refused(running.port)
        open_ones.pop().close()
        rpc_world.until(lambda: running.server.peers.admission.connections == 4)
        rpc_raw.check_alive(running.port)
        for raw in open_ones:
            raw.close()
        rpc_world.until(lambda: running.server.peers.admission.connections == 0)


@pytest.mark.parametrize("secured", [False, True], ids=["half a preface", "half a TLS handshake"])
@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_address"])
def test_half_connections_keep_nobody_out(secured: bool, limit: str, tmp_path: pathlib.Path) -> None:
    """The one that has been half for longest makes room for who comes; those that are whole stay."""
    files = rpc_world.Authority(tmp_path).tls()
    with rpc_world.serving("h2", tls=files, **{limit: 6}) as running:
        port, admission = running.tls_port if secured else running.port, running.server.peers.admission
        whole = Raw(running.port)
        whole.settle()
        half = []
        for count in range(1, 12):
            half.append(Raw(port, handshake=False))
            half[-1].send(b"\x16\x03\x01" if secured else frames.PREFACE[:9])
            rpc_world.until(lambda count=count: admission.connections == min(1 + count, 6))  # type: ignore[misc]
        rpc_raw.check_alive(running.port)
        whole.send(headers(1) + data(1, message(b"as before")))
        assert whole.fields_of(1)[b"grpc-status"] == b"0"
        for raw in half[:6]:
            raw.frames_until(closed=True)
        for raw in (whole, *half):
            raw.close()
        rpc_world.until(lambda: admission.connections == 0)


def _is_refused(port: int) -> bool:
    with connected(port, handshake=False) as raw:
        try:
            return raw.socket.recv(1) == b""
        except ConnectionResetError:
            return True


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, same: bool) -> None:
    assert (addresses.place_of(one) == addresses.place_of(other)) is same
