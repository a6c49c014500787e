"""One contract for every queue, the memory twin included; then what a real server does: die, flush, forget, refuse."""

from collections.abc import Callable, Iterator

import pytest
from valkey import Valkey

from skerry.adapters import redis_link, streams
from skerry.adapters.streams.memory import MemoryStreams
from skerry.adapters.streams.protocol import Entry, Streams
from skerry.core import errors

Make = Callable[..., Streams]


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    valkey = Valkey()
    yield valkey
    valkey.close()


@pytest.fixture(params=["memory", "valkey"])
def make(request: pytest.FixtureRequest) -> Make:
    """Makes a connection to one and the same queue, with a given idle time."""
    if request.param == "memory":
        one: dict[float, MemoryStreams] = {}
        return lambda idle_s=30.0: one.setdefault(idle_s, MemoryStreams(idle_s=idle_s))
    valkey: Valkey = request.getfixturevalue("server")
    valkey.command("FLUSHALL")
    return lambda idle_s=30.0: streams.open_streams(valkey.url, idle_s=idle_s)


def read(store: Streams, consumer: str = "a", count: int = 100) -> list[Entry]:
    return list(store.read("q", "g", consumer, count=count, block_s=0.0))


def fields(entries: list[Entry]) -> list[dict[str, str]]:
    return [dict(entry.fields) for entry in entries]


def test_entries_come_in_order_and_once(make: Make) -> None:
    store = make()
    store.append("q", [{"n": "1"}, {"n": "2"}])
    store.append("q", [{"n": "3", "text": "ä"}])
    assert fields(read(store, count=2)) == [{"n": "1"}, {"n": "2"}]
    assert fields(read(store)) == [{"n": "3", "text": "ä"}]
    assert read(store) == []


def test_what_was_appended_before_the_group_is_read_too(make: Make) -> None:
    store = make()
    store.append("q", [{"n": "1"}])
    assert fields(read(store)) == [{"n": "1"}]


def test_two_consumers_share_the_work(make: Make) -> None:
    store = make()
    store.append("q", [{"n": str(n)} for n in range(4)])
    first, second = read(store, "a", 2), read(store, "b", 2)
    assert fields(first) + fields(second) == [{"n": str(n)} for n in range(4)]


def test_what_a_dead_consumer_held_goes_to_another(make: Make) -> None:
    store = make(idle_s=0.0)
    store.append("q", [{"n": "1"}, {"n": "2"}])
    held = read(store, "dead")
    assert fields(read(store, "alive")) == fields(held)


def test_an_entry_tells_how_often_it_was_handed_out_and_is_not_read_for_ever(make: Make) -> None:
    store = make(idle_s=0.0)
    store.append("q", [{"n": "1"}])
    handed_out = [entry for reader in "abcdef" for entry in read(store, reader)]
    assert [entry.deliveries for entry in handed_out] == [1, 2, 3, 4, 5, 6]
    assert fields(handed_out) == [{"n": "1"}] * streams.MAX_DELIVERIES + [{}]
    store.ack("q", "g", [handed_out[-1].id])
    assert read(store, "g") == []


def test_what_comes_again_and_again_comes_alone(make: Make) -> None:
    store = make(idle_s=0.0)
    store.append("q", [{"n": "1"}, {"n": "2"}])
    assert [len(read(store, reader)) for reader in "abcd"] == [2, 2, 1, 1]


def test_what_is_acknowledged_never_comes_again(make: Make) -> None:
    store = make(idle_s=0.0)
    store.append("q", [{"n": "1"}, {"n": "2"}])
    first, _ = read(store, "a")
    store.ack("q", "g", [first.id])
    store.ack("q", "g", [first.id])
    assert fields(read(store, "b")) == [{"n": "2"}]


def test_acknowledging_nothing_or_the_unknown_is_harmless(make: Make) -> None:
    store = make()
    store.ack("q", "g", [])
    store.ack("nothing", "g", ["1-1"])


def test_the_epoch_stays_until_a_flush(make: Make) -> None:
    store = make()
    assert store.epoch("q") == store.epoch("q")


def test_a_flush_changes_the_epoch_and_the_reader_goes_on(server: Valkey) -> None:
    store = streams.open_streams(server.url)
    store.append("q", [{"n": "1"}])
    assert read(store)
    before = store.epoch("q")
    server.command("FLUSHALL")
    assert store.epoch("q") != before
    assert read(store) == []
    store.append("q", [{"n": "2"}])
    assert fields(read(store)) == [{"n": "2"}]


def test_bytes_that_are_no_text_are_an_entry_all_the_same(server: Valkey) -> None:
    server.command("FLUSHALL")
    store = streams.open_streams(server.url)
    redis_link.connect(server.url).xadd("q", {b"\xff\xfe": b"\x80", b"n": b"1"})
    assert fields(read(store)) == [{"\ufffd\ufffd": "\ufffd", "n": "1"}]


def test_pending_entries_that_were_trimmed_are_forgotten(server: Valkey) -> None:
    server.command("FLUSHALL")
    store = streams.open_streams(server.url, idle_s=0.0)
    store.append("q", [{"n": "1"}, {"n": "2"}])
    assert len(read(store, "dead")) == 2
    server.command("XTRIM q MAXLEN 0")
    store.append("q", [{"n": "3"}])
    found = [one for _ in range(3) for one in fields(read(store, "alive"))]
    assert {"n": "3"} in found
    assert {} not in found


def test_a_killed_server_is_unavailable_and_then_goes_on_with_everything() -> None:
    valkey = Valkey()
    try:
        store = streams.open_streams(valkey.url, idle_s=0.0)
        store.append("q", [{"n": "1"}, {"n": "2"}])
        assert len(read(store)) == 2
        before = store.epoch("q")
        valkey.kill()
        with pytest.raises(errors.UnavailableError):
            store.append("q", [{"n": "3"}])
        valkey.start()
        store.append("q", [{"n": "3"}])
        assert store.epoch("q") != before, "it may have lost what came last"
        held = read(store, "b")
        store.ack("q", "g", [one.id for one in held])
        assert fields(held) + fields(read(store, "b")) == [{"n": "1"}, {"n": "2"}, {"n": "3"}]
    finally:
        valkey.close()


def test_the_lag_that_a_scaler_reads_is_what_nobody_has_read(server: Valkey) -> None:
    """Acknowledged entries are deleted: where any but the oldest are, a server may not know the lag any more."""
    server.command("FLUSHALL")
    store = streams.open_streams(server.url)
    store.append("q", [{"n": str(n)} for n in range(10)])
    first, second = read(store, "a", 3), read(store, "b", 3)
    store.ack("q", "g", [second[0].id, first[2].id])
    (group,) = redis_link.connect(server.url).xinfo_groups("q")
    assert group["lag"] == 4
    store.append("q", [{"n": "10"}])
    (group,) = redis_link.connect(server.url).xinfo_groups("q")
    assert group["lag"] == 5


def test_a_full_server_pushes_back_and_deletes_nothing() -> None:
    valkey = Valkey("--maxmemory", "3mb")
    try:
        store = streams.open_streams(valkey.url)
        store.append("q", [{"n": "1"}])
        with pytest.raises(errors.UnavailableError, match="maxmemory"):
            for _ in range(200):
                store.append("q", [{"fill": "x" * 100_000}])
        assert fields(read(store, count=1)) == [{"n": "1"}]
    finally:
        valkey.close()


def test_a_read_only_replica_is_unavailable() -> None:
    valkey = Valkey()
    try:
        store = streams.open_streams(valkey.url)
        store.append("q", [{"n": "1"}])
        valkey.command("REPLICAOF 127.0.0.1 1")
        with pytest.raises(errors.UnavailableError, match="not ready for writing"):
            store.append("q", [{"n": "2"}])
        valkey.command("REPLICAOF NO ONE")
        store.append("q", [{"n": "2"}])
    finally:
        valkey.close()


def test_a_blocking_read_ends_before_the_socket_gives_up(server: Valkey) -> None:
    store = streams.open_streams(server.url)
    assert list(store.read("empty", "g", "a", count=1, block_s=60.0)) == []
    assert list(store.read("empty", "g", "a", count=1, block_s=60.0)) == []


@pytest.mark.parametrize("url", ["", "http://x", "valkey+unix:///x"])
def test_a_url_that_nobody_serves_is_refused(url: str) -> None:
    with pytest.raises(errors.InputError, match="redis://"):
        streams.open_streams(url)
