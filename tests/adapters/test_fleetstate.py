"""One contract for live readings and counters, the memory twin included."""

import time
from collections.abc import Iterator

import pytest
from valkey import Valkey

from skerry.adapters import fleetstate, redis_link
from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.adapters.fleetstate.protocol import FleetState
from skerry.core import errors


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    valkey = Valkey()
    yield valkey
    valkey.close()


@pytest.fixture(params=["memory", "valkey"])
def state(request: pytest.FixtureRequest) -> FleetState:
    if request.param == "memory":
        return MemoryFleetState()
    valkey: Valkey = request.getfixturevalue("server")
    valkey.command("FLUSHALL")
    return fleetstate.open_fleetstate(valkey.url)


def test_the_newest_reading_is_got_by_prefix(state: FleetState) -> None:
    state.put("node:a:m", "1", ttl_s=60)
    state.put("node:a:m", "2", ttl_s=60)
    state.put("node:b:m", "3", ttl_s=60)
    state.put("curator:m", "4", ttl_s=60)
    assert dict(state.get("node:")) == {"node:a:m": "2", "node:b:m": "3"}
    assert dict(state.get("nothing")) == {}


def test_a_prefix_is_text_and_no_pattern(state: FleetState) -> None:
    state.put("a*b", "1", ttl_s=60)
    state.put("axb", "2", ttl_s=60)
    assert dict(state.get("a*")) == {"a*b": "1"}
    assert dict(state.get("[a]")) == {}


def test_a_reading_ends_by_itself(state: FleetState) -> None:
    state.put("gone", "1", ttl_s=0.02)
    end = time.monotonic() + 10
    while state.get("gone"):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_counters_add_up_per_field(state: FleetState) -> None:
    state.add("c", {"n": 2, "bad": 1}, ttl_s=60)
    state.add("c", {"n": 3}, ttl_s=60)
    state.add("c", {}, ttl_s=60)
    assert [dict(one) for one in state.count(["c", "unknown"])] == [{"n": 5, "bad": 1}, {}]
    assert list(state.count([])) == []


def test_a_counter_keeps_the_latest_of_what_is_not_added_up(state: FleetState) -> None:
    state.add("c", {"n": 2}, ttl_s=60, latest={"@a": 7})
    state.add("c", {"n": 3}, ttl_s=60, latest={"@a": 6, "@b": 1})
    assert [dict(one) for one in state.count(["c"])] == [{"n": 5, "@a": 6, "@b": 1}]


def test_of_a_counter_only_some_fields_can_be_asked_for(state: FleetState) -> None:
    state.add("c", {"n": 2, "m": 3}, ttl_s=60)
    assert [dict(one) for one in state.count(["c", "unknown"], ["m", "x"])] == [{"m": 3}, {}]


def test_readings_and_counters_do_not_meet(state: FleetState) -> None:
    state.add("x:counter", {"n": 1}, ttl_s=60)
    state.put("x:reading", "1", ttl_s=60)
    assert dict(state.get("x:")) == {"x:reading": "1"}


def test_a_flush_loses_readings_and_nothing_else_breaks(server: Valkey) -> None:
    state = fleetstate.open_fleetstate(server.url)
    state.add("c", {"n": 1}, ttl_s=60)
    server.command("FLUSHALL")
    assert dict(state.get("")) == {}
    state.add("c", {"n": 1}, ttl_s=60)
    assert dict(state.count(["c"])[0]) == {"n": 1}


def test_a_server_that_is_not_there_is_unavailable() -> None:
    state = fleetstate.open_fleetstate("unix:///nowhere/valkey.sock")
    with pytest.raises(errors.UnavailableError):
        state.get("x")


def test_the_eviction_policy_is_told(server: Valkey) -> None:
    assert redis_link.eviction_policy(redis_link.connect(server.url)) == "noeviction"
