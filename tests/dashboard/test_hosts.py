"""Which Host the dashboard answers to: none that another site can make its own."""

import pytest
from starlette.testclient import TestClient

from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.adapters.objects.memory import MemoryObjects
from skerry.dashboard import app, hosts


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        pytest.param("127.0.0.1:8080", True, id="loopback"),
        pytest.param("localhost:8080", True, id="localhost"),
        pytest.param("[::1]:8080", True, id="loopback of IPv6"),
        pytest.param("10.0.0.7:8080", True, id="a pod's address, as probes ask"),
        pytest.param("skerry-dashboard", True, id="a service by its short name"),
        pytest.param("skerry-dashboard.skerry.svc", True, id="a service by its name"),
        pytest.param("skerry-dashboard.skerry.svc.cluster.local:80", True, id="a service by its whole name"),
        pytest.param("Fleet.Example.com.", True, id="a name that was given, however it is written"),
        pytest.param("a.sites.example.com", True, id="a subdomain that was given"),
        pytest.param("sites.example.com", False, id="but not the domain itself"),
        pytest.param("evil.example", False, id="another name"),
        pytest.param("127.0.0.1.evil.example", False, id="one that begins like an address"),
        pytest.param("x.svc.cluster.local.evil.example", False, id="one that has a cluster's name in it"),
        pytest.param("fleet.example.com.evil.example", False, id="one that begins like the given one"),
        pytest.param("fleet.example.com@evil.example", False, id="nonsense"),
        pytest.param("[::1", False, id="half a bracket"),
        pytest.param("localhost:evil.example", False, id="a port that is none"),
        pytest.param("", False, id="none at all"),
    ],
)
def test_who_may_ask(host: str, allowed: bool) -> None:
    assert hosts.is_allowed(host, ("fleet.example.com", "*.sites.example.com")) is allowed


def test_any_name_only_when_that_is_said() -> None:
    assert hosts.is_allowed("evil.example", ("*",))
    assert not hosts.is_allowed("evil.example", ())


@pytest.mark.parametrize("path", ["/", "/events", "/healthz", "/static/live.js"])
def test_a_page_that_rebinds_its_name_reads_nothing(path: str) -> None:
    built = app.build(MemoryObjects(), MemoryFleetState(), max_streams=1, hosts=(), clock=lambda: 1)
    answer = TestClient(built, base_url="http://evil.example").get(path)
    assert (answer.status_code, "SKERRY_HOSTS" in answer.text) == (400, True)
