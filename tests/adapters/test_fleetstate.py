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


def test_the_newest_reading_is_got_with_its_group(state: FleetState) -> None:
    state.put("node:a:m", "1", ttl_s=60)
    state.put_all({"node:a:m": "2", "node:b:m": "3", "curator:m": "4"}, ttl_s=60)
    assert list(state.get("node:").items()) == [("node:a:m", "2"), ("node:b:m", "3")]
    assert dict(state.get("node:", "curator:", "spool:")) == {"node:a:m": "2", "node:b:m": "3", "curator:m": "4"}
    assert dict(state.get("nothing:")) == dict(state.get()) == {}


def test_readings_are_found_by_their_keys(state: FleetState) -> None:
    state.put_all({"node:a:m": "1", "node:b:m": "2"}, ttl_s=60)
    assert dict(state.find(["node:b:m", "node:c:m", "unknown"])) == {"node:b:m": "2"}
    assert dict(state.find([])) == {}


def test_a_group_is_text_and_no_pattern(state: FleetState) -> None:
    state.put_all({"a*:b": "1", "ax:b": "2"}, ttl_s=60)
    assert dict(state.get("a*:")) == {"a*:b": "1"}
    assert dict(state.get("a")) == dict(state.get("[a]:")) == {}


def test_nothing_is_searched_for_whatever_else_the_server_holds(server: Valkey) -> None:
    server.command("FLUSHALL")
    state = fleetstate.open_fleetstate(server.url)
    state.put_all({f"node:edge-{number}:m": "{}" for number in range(2_500)}, ttl_s=60)
    state.put("curator:m", "{}", ttl_s=60)
    for number in range(100):
        state.add(f"answered:m:{number}", {"edge-1": 1}, ttl_s=60)
    client = redis_link.connect(server.url)
    client.config_resetstat()
    assert len(state.get("node:", "curator:")) == 2_501
    assert len(state.find(["curator:m"])) == 1
    calls = {name: told["calls"] for name, told in client.info("commandstats").items()}
    asked = {name: count for name, count in calls.items() if name in {"cmdstat_scan", "cmdstat_keys", "cmdstat_mget"}}
    assert (asked, calls["cmdstat_zrange"]) == ({"cmdstat_mget": 4}, 2)


def test_keys_that_have_ended_leave_their_group(server: Valkey) -> None:
    server.command("FLUSHALL")
    state, client = fleetstate.open_fleetstate(server.url), redis_link.connect(server.url)
    state.put_all({f"node:edge-{number}:m": "{}" for number in range(50)}, ttl_s=0.001)
    while state.get("node:"):
        pass
    state.put("node:edge-1:m", "{}", ttl_s=60)
    assert client.zrange("skerry:keys-of:node:", 0, -1) == [b"node:edge-1:m"]
    assert client.pttl("skerry:keys-of:node:") > 60_000


def test_a_reading_ends_by_itself(state: FleetState) -> None:
    state.put("node:gone", "1", ttl_s=0.02)
    end = time.monotonic() + 10
    while state.get("node:"):
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
    assert dict(state.get("x:")) == {}
    state.add("c", {"n": 1}, ttl_s=60)
    assert dict(state.count(["c"])[0]) == {"n": 1}


def test_a_server_that_is_not_there_is_unavailable() -> None:
    state = fleetstate.open_fleetstate("unix:///nowhere/valkey.sock")
    with pytest.raises(errors.UnavailableError):
        state.get("x:")


def test_the_eviction_policy_is_told(server: Valkey) -> None:
    assert redis_link.eviction_policy(redis_link.connect(server.url)) == "noeviction"
