"""One contract for every object store, the memory twin included; then what only a shared file can suffer."""

import multiprocessing
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from apiserver_process import ApiServer, requires_apiserver
from apiserver_twin import TwinServer
from hypothesis import given
from hypothesis import strategies as st

from skerry.adapters import objects
from skerry.adapters.objects.kubernetes import KubernetesObjects
from skerry.adapters.objects.memory import MemoryObjects
from skerry.adapters.objects.protocol import Objects
from skerry.core import errors, merging, writers

MAKERS: dict[str, Callable[[Path], Objects]] = {
    "memory": lambda _: MemoryObjects(),
    "sqlite": lambda root: objects.open_objects(f"sqlite:///{root}/objects.db"),
}


APISERVERS = {"kubernetes": "permissive_apiserver", "kubernetes-twin": "apiserver_in_memory"}


@pytest.fixture(params=[*sorted(MAKERS), "kubernetes-twin", pytest.param("kubernetes", marks=requires_apiserver)])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Objects]:
    if request.param in MAKERS:
        yield MAKERS[request.param](tmp_path)
        return
    server: ApiServer | TwinServer = request.getfixturevalue(APISERVERS[request.param])
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig))
    found = objects.open_objects(f"kubernetes://{server.namespace()}")
    assert isinstance(found, KubernetesObjects)
    yield found
    found.close()


def fleet(store: Objects, name: str = "all", **spec: object) -> objects.Object:
    return store.create("EdgeFleet", name, dict(spec), manager="operator")


def test_what_was_created_is_got(store: Objects) -> None:
    made = store.create("EdgeFleet", "all", {"selector": {"a": "b"}}, manager="operator", labels={"site": "x"})
    got = store.get("EdgeFleet", "all")
    assert got == made
    assert (got.spec, got.status, got.labels, got.generation) == ({"selector": {"a": "b"}}, {}, {"site": "x"}, 1)


def test_a_name_is_taken_once_per_kind(store: Objects) -> None:
    fleet(store)
    store.create("EdgeModel", "all", {}, manager="operator")
    with pytest.raises(errors.ConflictError, match="exists"):
        fleet(store)


def test_what_is_not_there_is_not_found(store: Objects) -> None:
    for attempt in (
        lambda: store.get("EdgeFleet", "all"),
        lambda: store.patch("EdgeFleet", "all", manager="operator", spec={}),
        lambda: store.delete("EdgeFleet", "all"),
    ):
        with pytest.raises(errors.NotFoundError, match="EdgeFleet all"):
            attempt()


@pytest.mark.parametrize("name", ["", ".", "..", "../edgenodes/n", "a/status", "a?b=c", "a%2Fb", "A"])
def test_what_is_no_name_leads_nowhere(store: Objects, name: str) -> None:
    """Names come from other objects' fields: none may become another path of an API."""
    fleet(store)
    for attempt in (lambda: store.get("EdgeFleet", name), lambda: store.delete("EdgeFleet", name)):
        with pytest.raises(errors.NotFoundError, match="there is no EdgeFleet"):
            attempt()
    assert len(store.list("EdgeFleet")) == 1


def test_a_patch_merges_and_only_a_change_of_spec_moves_the_generation(store: Objects) -> None:
    fleet(store, selector={"a": "1", "b": "2"}, keep=1)
    spec = store.patch("EdgeFleet", "all", manager="operator", spec={"selector": {"a": None, "c": "3"}})
    assert spec.spec == {"selector": {"b": "2", "c": "3"}, "keep": 1}
    assert spec.generation == 2
    status = store.patch("EdgeFleet", "all", manager="controller", status={"nodes": [1, 2]})
    assert (status.status, status.generation) == ({"nodes": [1, 2]}, 2)
    assert status.resource_version > spec.resource_version


def test_a_patch_that_changes_nothing_writes_nothing(store: Objects) -> None:
    made = fleet(store, selector={})
    same = store.patch("EdgeFleet", "all", manager="operator", spec={"selector": {}, "gone": None})
    assert same == made
    assert store.changes(made.resource_version, timeout_s=0)[0] == []


def test_a_stale_writer_is_refused(store: Objects) -> None:
    made = fleet(store)
    store.patch("EdgeFleet", "all", manager="operator", spec={"a": 1}, resource_version=made.resource_version)
    with pytest.raises(errors.ConflictError, match="read it again"):
        store.patch("EdgeFleet", "all", manager="operator", spec={"a": 2}, resource_version=made.resource_version)
    assert store.get("EdgeFleet", "all").spec == {"a": 1}


def test_only_the_writer_of_a_field_writes_it(store: Objects) -> None:
    fleet(store)
    with pytest.raises(errors.RejectedError, match="only controller"):
        store.patch("EdgeFleet", "all", manager="operator", status={"nodes": 1})
    with pytest.raises(errors.RejectedError):
        store.create("EdgeNode", "n", {}, manager="operator")
    with pytest.raises(errors.InputError, match="unknown kind"):
        store.create("Nothing", "n", {}, manager="operator")


def test_the_spec_of_a_version_never_changes(store: Objects) -> None:
    store.create("ModelVersion", "m-v1", {"digest": "x"}, manager="controller")
    with pytest.raises(errors.RejectedError, match="cannot be changed"):
        store.patch("ModelVersion", "m-v1", manager="controller", spec={"digest": "y"})
    store.patch("ModelVersion", "m-v1", manager="controller", spec={"digest": "x"}, status={"ok": True})


@pytest.mark.parametrize("name", ["", "A", "a/b", "../a", "-a", "a-", "a" * 121, "ä"])
def test_a_name_that_is_none_is_refused(store: Objects, name: str) -> None:
    with pytest.raises(errors.InputError, match="EdgeFleet name"):
        fleet(store, name)


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"bytes"])
def test_what_json_cannot_say_is_refused(store: Objects, value: object) -> None:
    with pytest.raises(errors.InputError, match="JSON"):
        fleet(store, value=value)


def test_an_object_is_bounded(store: Objects) -> None:
    fleet(store)
    with pytest.raises(errors.TooLargeError, match="EdgeFleet all"):
        store.patch("EdgeFleet", "all", manager="controller", status={"log": "x" * 600_000})
    assert store.get("EdgeFleet", "all").status == {}


def test_a_list_is_of_one_kind_and_sorted(store: Objects) -> None:
    for name in ("b", "a", "c"):
        fleet(store, name)
    store.create("EdgeModel", "m", {}, manager="operator")
    store.delete("EdgeFleet", "c")
    assert [one.name for one in store.list("EdgeFleet")] == ["a", "b"]


def test_the_watch_tells_the_newest_state_once_and_deletions(store: Objects) -> None:
    fleet(store, "a")
    store.patch("EdgeFleet", "a", manager="operator", spec={"x": 1})
    changes, version = store.changes(0, timeout_s=0)
    assert [(one.object.name, one.object.spec, one.deleted) for one in changes] == [("a", {"x": 1}, False)]
    store.delete("EdgeFleet", "a")
    changes, later = store.changes(version, timeout_s=0)
    assert [(one.object.name, one.deleted) for one in changes] == [("a", True)]
    assert store.changes(later, timeout_s=0) == ([], later)


def test_the_watch_can_be_of_some_kinds(store: Objects) -> None:
    fleet(store, "a")
    store.create("EdgeModel", "m", {}, manager="operator")
    changes, version = store.changes(0, timeout_s=0, kinds=["EdgeModel"])
    assert [one.object.name for one in changes] == ["m"]
    assert store.changes(version, timeout_s=0, kinds=["EdgeModel"]) == ([], version)


def test_the_watch_wakes_when_somebody_writes(store: Objects) -> None:
    _, version = store.changes(0, timeout_s=0)
    writer = threading.Timer(0.1, fleet, (store, "late"))
    writer.start()
    changes, _ = store.changes(version, timeout_s=30)
    writer.join()
    assert [one.object.name for one in changes] == ["late"]


def test_a_deleted_name_can_be_made_again_and_has_another_uid(store: Objects) -> None:
    first = fleet(store)
    store.delete("EdgeFleet", "all")
    again = fleet(store)
    assert again.uid != first.uid
    assert (again.generation, again.resource_version > first.resource_version) == (1, True)


def test_whoever_deletes_by_what_it_read_deletes_nothing_that_was_written_since(store: Objects) -> None:
    read = fleet(store)
    store.patch("EdgeFleet", "all", manager=writers.OPERATOR, spec={"offlineAfterSeconds": 60})
    with pytest.raises(errors.ConflictError):
        store.delete("EdgeFleet", "all", resource_version=read.resource_version)
    with pytest.raises(errors.RejectedError, match="controller may not delete"):
        store.delete("EdgeFleet", "all", manager=writers.CONTROLLER)
    store.delete("EdgeFleet", "all", resource_version=store.get("EdgeFleet", "all").resource_version)
    assert store.list("EdgeFleet") == []


def test_nothing_a_reader_does_changes_what_is_stored(store: Objects) -> None:
    fleet(store, selector={"a": "1"})
    store.get("EdgeFleet", "all").spec["selector"]["a"] = "2"
    assert store.get("EdgeFleet", "all").spec == {"selector": {"a": "1"}}


def _count_up(path: str, times: int) -> None:
    store = objects.open_objects(path)
    for _ in range(times):
        while True:
            seen = store.get("EdgeFleet", "all")
            try:
                store.patch(
                    "EdgeFleet",
                    "all",
                    manager="operator",
                    spec={"n": seen.spec["n"] + 1},
                    resource_version=seen.resource_version,
                )
                break
            except errors.ConflictError:
                continue


def test_compare_and_swap_holds_across_processes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/objects.db"
    store = objects.open_objects(url)
    fleet(store, n=0)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_count_up, args=(url, 20)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert store.get("EdgeFleet", "all").spec == {"n": 40}


def test_another_process_that_opens_the_file_sees_everything(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/objects.db"
    fleet(objects.open_objects(url), n=1)
    assert objects.open_objects(url).get("EdgeFleet", "all").spec == {"n": 1}


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "objects.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(errors.IntegrityError, match="backup"):
        objects.open_objects(f"sqlite:///{path}")


def test_a_full_disk_is_unavailable_and_changes_nothing(tmp_path: Path) -> None:
    store = objects.open_objects(f"sqlite:///{tmp_path}/objects.db")
    made = fleet(store, n=0)
    connection = store._connection()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(errors.UnavailableError, match="full"):
        store.patch("EdgeFleet", "all", manager="operator", spec={"fill": "x" * 100_000})
    connection.execute("PRAGMA max_page_count = 1000000")
    assert store.get("EdgeFleet", "all") == made


def test_every_write_is_synced(tmp_path: Path) -> None:
    store = objects.open_objects(f"sqlite:///{tmp_path}/objects.db")
    connection: sqlite3.Connection = store._connection()
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("url", ["", "objects.db", "postgres://x/y", "sqlite://"])
def test_a_url_that_nobody_serves_is_refused(url: str) -> None:
    with pytest.raises(errors.InputError, match="sqlite"):
        objects.open_objects(url)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("abc", max_size=1), inner, max_size=3),
    max_leaves=8,
)


@given(target=json_values, patch=json_values)
def test_merging_twice_is_merging_once(target: object, patch: object) -> None:
    once = merging.merge(target, patch)
    assert merging.merge(once, patch) == once


def test_the_example_of_rfc_7386() -> None:
    target = {"title": "Goodbye!", "author": {"givenName": "John", "familyName": "Doe"}, "tags": ["a"], "content": "x"}
    patch = {"title": "Hello!", "phoneNumber": "1", "author": {"familyName": None}, "tags": ["b"]}
    assert merging.merge(target, patch) == {
        "title": "Hello!",
        "author": {"givenName": "John"},
        "tags": ["b"],
        "content": "x",
        "phoneNumber": "1",
    }
