"""What skerry makes of a Kubernetes API that refuses, falls silent or says what cannot be read, asked of its twin. The
same of a real one behind a proxy: tests/apiserver.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from apiserver_twin import TwinServer

from skerry.adapters import events, kubernetes, objects
from skerry.adapters.events import kubernetes as event_sender
from skerry.adapters.events.kubernetes import KubernetesEvents
from skerry.adapters.kubernetes.reflector import Reflector
from skerry.adapters.objects.kubernetes import KubernetesObjects
from skerry.core import errors


@pytest.fixture
def namespace(apiserver_in_memory: TwinServer, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("KUBECONFIG", str(apiserver_in_memory.kubeconfig))
    return apiserver_in_memory.namespace()


@pytest.fixture
def store(namespace: str) -> Iterator[KubernetesObjects]:
    made = objects.open_objects(f"kubernetes://{namespace}")
    assert isinstance(made, KubernetesObjects)
    yield made
    made.close()


def soon(true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_events_are_told_of_their_object(
    namespace: str, store: KubernetesObjects, apiserver_in_memory: TwinServer
) -> None:
    fleet = store.create("EdgeFleet", "all", {}, manager="operator")
    events.open_events(f"kubernetes://{namespace}", "skerry-test").tell(fleet, "Seen", "x" * 2_000, warning=True)
    kept = f"/api/v1/namespaces/{namespace}/events"
    soon(lambda: bool(apiserver_in_memory.twin.list(kept)["items"]))
    [told] = apiserver_in_memory.twin.list(kept)["items"]
    assert (told["involvedObject"]["uid"], told["type"], told["reason"]) == (fleet.uid, "Warning", "Seen")
    assert len(told["message"]) == 1_024 and told["source"] == {"component": "skerry-test"}


def test_events_that_are_refused_stop_nobody(store: KubernetesObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_sender, "_MAX_WAITING", 3)
    fleet = store.create("EdgeFleet", "all", {}, manager="operator")
    teller = events.open_events("kubernetes://nowhere", "skerry-test")
    for number in range(30):
        teller.tell(fleet, "Seen", f"{number}")
    assert isinstance(teller, KubernetesEvents)
    soon(teller._waiting.empty)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b'{"type": "ERROR", "object": {"code": 410, "message": "too old"}}\n', id="a version too old"),
        pytest.param(b'{"type": "ERROR", "object": {"code": 500, "message": "etcd"}}\n', id="trouble"),
        pytest.param(b"{half of an eve\n", id="half an event"),
        pytest.param(b'{"type": "MODIFIED", "object": {}}\n', id="an object without a version"),
    ],
)
def test_a_watch_that_ends_in_trouble_begins_with_a_list(
    namespace: str, apiserver_in_memory: TwinServer, line: bytes
) -> None:
    twin, path = apiserver_in_memory.twin, f"/apis/skerry.dev/v1alpha1/namespaces/{namespace}/edgenodes"
    seen: list[str] = []

    class Sink:
        def replace(self, manifests: object, version: str, *, restored: bool) -> None:
            seen.append("list")

        def put(self, manifest: dict[str, dict[str, str]]) -> None:
            seen.append(manifest["metadata"]["name"])

        def remove(self, manifest: dict[str, dict[str, str]]) -> None:
            seen.append(f"-{manifest['metadata']['name']}")

    api = kubernetes.connect(f"kubernetes://{namespace}")
    watches, twin.last_lines = twin.watches, [line]
    reflector = Reflector(api, path, Sink(), draw=lambda: 0.0)  # type: ignore[arg-type]  # narrower than any manifest
    reflector.start()
    soon(lambda: twin.watches == watches + 2)
    twin.create(path, {"metadata": {"name": "north"}})
    soon(lambda: seen == ["list", "list", "north"])
    twin.delete(path, "north", {})
    soon(lambda: seen[-1] == "-north")
    reflector.stop()
    api.close()


def test_an_api_that_went_back_in_time_is_believed(
    namespace: str, store: KubernetesObjects, apiserver_in_memory: TwinServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restore of etcd: what was made since is not there any more."""
    twin = apiserver_in_memory.twin
    store.create("EdgeFleet", "old", {}, manager="operator")
    backup = dict(twin._objects), twin._version
    store.create("EdgeFleet", "new", {}, manager="operator")
    store.changes(0, timeout_s=0, kinds=["EdgeFleet"])
    assert [one.name for one in store.list("EdgeFleet")] == ["new", "old"]
    twin._objects, twin._version = backup
    changes, _ = store.changes(0, timeout_s=0, kinds=["EdgeFleet"])
    assert [one.name for one in store.list("EdgeFleet")] == ["old"]
    assert {(one.object.name, one.deleted) for one in changes} >= {("new", True)}


def test_refusals_are_told_in_the_words_of_the_api(namespace: str, apiserver_in_memory: TwinServer) -> None:
    api = kubernetes.connect(f"kubernetes://{namespace}")
    path = f"/apis/skerry.dev/v1alpha1/namespaces/{namespace}/edgenodes"
    with pytest.raises(errors.NotFoundError, match='edgenodes "north" not found'):
        api.get(f"{path}/north")
    api.create(path, {"metadata": {"name": "north"}})
    with pytest.raises(errors.ConflictError, match="already exists"):
        api.create(path, {"metadata": {"name": "north"}})
    with pytest.raises(errors.ConflictError, match="has been modified"):
        api.patch(f"{path}/north", {"metadata": {"resourceVersion": "1"}})
    config = apiserver_in_memory.kubeconfig
    stranger = config.with_name("stranger")
    stranger.write_text(config.read_text().replace('"token": "twin"', '"token": "other"'))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(stranger))
        other = kubernetes.connect(f"kubernetes://{namespace}")
    with pytest.raises(errors.RejectedError, match="Unauthorized"):
        other.get(path)
    for one in (api, other):
        one.close()


def test_an_object_out_of_a_backup_is_as_it_was(store: KubernetesObjects) -> None:
    made = store.create("EdgeFleet", "all", {"selector": {"a": "b"}}, manager="operator")
    store.changes(0, timeout_s=0, kinds=["EdgeFleet"])
    for _ in range(2):  # it is made again when it is there
        store.restore(made)
        found = store.get("EdgeFleet", "all")
        assert (found.spec, found.status, found.created_unix_ms) == (made.spec, made.status, made.created_unix_ms)


def test_an_object_out_of_a_backup_is_as_it_was_though_a_gateway_writes_to_it_meanwhile(
    store: KubernetesObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create("EdgeNode", "a", {}, manager="gateway")
    store.patch("EdgeNode", "a", status={"lastSeenUnixMs": 5}, manager="gateway")
    kept, create, written = store.get("EdgeNode", "a"), store._api.create, list[int]()

    def create_and_be_overtaken(*given: Any) -> Any:
        answer = create(*given)
        written.append(store.patch("EdgeNode", "a", status={"lastSeenUnixMs": 9}, manager="gateway").resource_version)
        return answer

    store.delete("EdgeNode", "a", manager="operator")
    monkeypatch.setattr(store._api, "create", create_and_be_overtaken)
    store.restore(kept)
    assert len(written) == 1 and store.get("EdgeNode", "a").status["lastSeenUnixMs"] == 5


def test_no_connection_is_closed_under_a_thread_that_reads_from_it(
    namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number would be the next file's at once, and TLS writes its alert into that (it was a database)."""
    api, path = (
        kubernetes.connect(f"kubernetes://{namespace}"),
        f"/apis/skerry.dev/v1alpha1/namespaces/{namespace}/edgenodes",
    )
    said, calls_at_close = [], []

    def watch() -> None:
        try:
            list(api.lines(path, {"watch": "1", "timeoutSeconds": "60", "resourceVersion": "0"}, silence_s=60))
        except errors.UnavailableError as exc:
            said.append(exc)

    close = api._client.close
    monkeypatch.setattr(api._client, "close", lambda: (calls_at_close.append(api._calls), close()))
    reader = threading.Thread(target=watch, daemon=True)
    reader.start()
    soon(lambda: bool(api._streams))
    [stream] = api._streams
    api.close()
    reader.join(5)
    assert not reader.is_alive() and calls_at_close == [0] and len(said) == 1
    assert stream.fileno() == -1
    with pytest.raises(errors.UnavailableError, match="closed"):
        api.get(path)


def test_closing_the_store_ends_its_watches_without_a_word(
    store: KubernetesObjects, capfd: pytest.CaptureFixture[str]
) -> None:
    store.changes(0, timeout_s=0, kinds=["EdgeFleet", "EdgeNode"])
    soon(lambda: len(store._api._streams) == 2)
    store.close()
    soon(lambda: not any(one._thread.is_alive() for one in store._reflectors.values()))
    assert "watch_lost" not in capfd.readouterr().err
