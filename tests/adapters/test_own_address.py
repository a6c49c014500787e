"""The address that a node tells is one where it can be reached, whatever its listener is bound to."""

import socket

import pytest

from skerry.adapters import own_address
from skerry.core import addresses


@pytest.mark.parametrize(
    ("host", "told"),
    [("10.0.0.7", "10.0.0.7:8001"), ("edge-1.local", "edge-1.local:8001"), ("fd00::7", "[fd00::7]:8001")],
)
def test_a_listener_on_one_interface_tells_that(host: str, told: str) -> None:
    assert own_address.reachable(host, 8001, "gateway.example") == told


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
@pytest.mark.parametrize("peer", ["gateway.example", "192.0.2.9", "2001:db8::9", "127.0.0.1"])
def test_a_listener_on_every_interface_tells_none_that_leads_everybody_to_themselves(host: str, peer: str) -> None:
    told, port = addresses.parse("told", own_address.reachable(host, 8001, peer))
    assert not addresses.is_wildcard(told)
    assert port == 8001


def test_beside_its_gateway_a_node_tells_the_loopback_address() -> None:
    assert own_address.reachable("0.0.0.0", 8001, "127.0.0.1") == "127.0.0.1:8001"
    assert own_address.reachable("0.0.0.0", 8001, "localhost") == "127.0.0.1:8001"


def test_the_interface_that_leads_to_the_gateway_is_told_by_the_family_that_has_a_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[socket.AddressFamily, str]] = []

    def outgoing(family: socket.AddressFamily, peer: str) -> str:
        asked.append((family, peer))
        return {socket.AF_INET6: "fd00::7", socket.AF_INET: "10.0.0.7"}[family] if len(asked) > 1 else ""

    monkeypatch.setattr(own_address, "_outgoing", outgoing)
    assert own_address.reachable("::", 8001, "10.0.0.1") == "10.0.0.7:8001"
    assert own_address.reachable("::", 8001, "fd00::1") == "[fd00::7]:8001"
    assert [family for family, _ in asked] == [socket.AF_INET6, socket.AF_INET, socket.AF_INET6]


def test_without_any_route_the_machines_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_address, "_outgoing", lambda family, peer: "")
    monkeypatch.setattr(socket, "gethostname", lambda: "edge-7")
    assert own_address.reachable("0.0.0.0", 8001, "gateway.example") == "edge-7:8001"
