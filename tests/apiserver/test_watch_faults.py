"""Watches that meet what networks and API servers do: nothing is missed, nothing spins, nothing falls silent.

Objects are written past the proxy and must arrive through it.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from apiserver_process import ApiServer, requires_apiserver
from fault_proxy import Answer, Body, Cut, FaultProxy, OldVersion, error_event

from skerry.adapters import kubernetes
from skerry.adapters.kubernetes.reflector import Reflector
from skerry.adapters.objects import resources
from skerry.adapters.objects.cache import Cache, KindSink
from skerry.adapters.objects.kubernetes import KubernetesObjects
from skerry.core import errors, writers

pytestmark = requires_apiserver

SILENCE_S = 2.0
WATCH = "WATCH .*edgefleets"
LIST = "^GET .*edgefleets$"


@dataclass
class Watched:
    """A reflector behind the proxy, and who writes past it."""

    cache: Cache
    reflector: Reflector
    writer: KubernetesObjects
    number: int = 0

    def write(self, name: str = "one") -> None:
        self.number += 1
        fields = {"offlineAfterSeconds": 5 + self.number}
        try:
            self.writer.patch("EdgeFleet", name, manager=writers.OPERATOR, spec=fields)
        except errors.NotFoundError:
            self.writer.create("EdgeFleet", name, fields, manager=writers.OPERATOR)

    def arrived(self, name: str = "one") -> bool:
        known = self.cache.get("EdgeFleet", name)
        return known is not None and known.spec["offlineAfterSeconds"] == 5 + self.number

    def wait(self, what: Callable[[], bool] | None = None, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not (what or self.arrived)():
            assert time.monotonic() < end, f"waited in vain; the watch says: {self.reflector.problem or 'all is well'}"
            time.sleep(0.02)


@pytest.fixture
def watched(server: ApiServer, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    namespace = server.namespace()
    through = kubernetes.connect(f"kubernetes://{namespace}")
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig))
    writer = KubernetesObjects(kubernetes.connect(f"kubernetes://{namespace}"))
    cache = Cache()
    path = resources.path(namespace, "EdgeFleet")
    reflector = Reflector(through, path, KindSink(cache, "EdgeFleet"), silence_s=SILENCE_S, backoff_s=0.5)
    made = Watched(cache, reflector, writer)
    made.write()
    reflector.start()
    made.wait()
    made.wait(lambda: bool(proxy.seen(WATCH)))
    yield made
    reflector.stop()
    through.close()
    writer.close()


def test_changes_and_deletions_arrive(watched: Watched) -> None:
    watched.write()
    watched.wait()
    watched.writer.delete("EdgeFleet", "one")
    watched.wait(lambda: watched.cache.get("EdgeFleet", "one") is None)


REFUSALS = [
    pytest.param(Answer(500), id="an internal error"),
    pytest.param(Answer(429, "TooManyRequests", retry_after_s=1), id="too many requests"),
    pytest.param(Answer(401, "Unauthorized"), id="a token that ran out"),
    pytest.param(Answer(403, "Forbidden"), id="rights that are missing for a moment"),
    pytest.param(Answer(410, "Expired"), id="410 as HTTP"),
    pytest.param(error_event(410, "Expired"), id="410 in the stream"),
    pytest.param(error_event(500, "InternalError"), id="another ERROR event"),
    pytest.param(OldVersion(), id="the API server's own 410 for a version long gone"),
    pytest.param(Body(b'{"type": "MODIF'), id="a line that ends in the middle"),
    pytest.param(Body(b"<html>502</html>\n"), id="a line of somebody else"),
    pytest.param(Body(b'{"type": "MODIFIED", "object": {"metadata": {}}}\n'), id="an event without a version"),
    pytest.param(
        Body(b'{"type": "MODIFIED", "object": {"metadata": {"resourceVersion": "1"}}}\n'), id="a nameless one"
    ),
    pytest.param(Body(b""), id="an empty stream"),
    pytest.param(Cut(after=300), id="a line cut in the middle of the answer"),
    pytest.param(Cut(), id="a line cut before the answer"),
]


@pytest.mark.parametrize("fault", REFUSALS)
def test_a_watch_that_is_refused_or_ends_badly_misses_nothing(
    watched: Watched, proxy: FaultProxy, fault: Answer
) -> None:
    proxy.inject(WATCH, fault, times=3)
    proxy.cut()
    watched.write()
    watched.writer.create("EdgeFleet", "two", {}, manager=writers.OPERATOR)
    watched.writer.delete("EdgeFleet", "two")
    watched.wait()
    watched.wait(lambda: watched.cache.get("EdgeFleet", "two") is None)
    watched.write()
    watched.wait()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Answer(500), id="an internal error"),
        pytest.param(Answer(429, "TooManyRequests", retry_after_s=1), id="too many requests"),
        pytest.param(Cut(after=400), id="JSON that ends in the middle"),
        pytest.param(Body(b"{}"), id="a list that is none"),
        pytest.param(Body(b"[]"), id="JSON of another shape"),
        pytest.param(Body(b'{"metadata": {"resourceVersion": "x"}, "items": [{}]}'), id="items without names"),
    ],
)
def test_a_list_that_fails_is_asked_again(watched: Watched, proxy: FaultProxy, fault: Answer) -> None:
    proxy.inject(LIST, fault, times=3)
    proxy.inject(WATCH, Answer(410, "Expired"))
    proxy.cut()
    watched.write()
    watched.wait()


def test_a_half_open_line_is_noticed_by_its_silence(watched: Watched, proxy: FaultProxy) -> None:
    proxy.freeze()
    watched.write()
    watched.wait(seconds=SILENCE_S + 10)


def test_a_network_that_swallows_everything_costs_what_it_takes_and_then_nothing_is_missed(
    watched: Watched, proxy: FaultProxy
) -> None:
    proxy.cut_off()
    watched.write()
    watched.wait(lambda: bool(watched.reflector.problem))
    assert watched.reflector.silent_s > 0
    proxy.heal()
    watched.wait()
    assert not watched.reflector.problem


def test_a_refusing_server_is_not_asked_all_the_time(watched: Watched, proxy: FaultProxy) -> None:
    proxy.reset()
    proxy.inject(".", Answer(500), times=10_000)
    proxy.cut()
    began_s = time.monotonic()
    watched.wait(lambda: len(proxy.seen("edgefleets")) >= 10)
    # 0.4, 0.5, 0.5 … seconds, each halved at most by its jitter
    assert time.monotonic() - began_s > 1.5
    proxy.heal()
    watched.write()
    watched.wait()


def test_a_watch_that_ends_at_once_is_not_asked_all_the_time(watched: Watched, proxy: FaultProxy) -> None:
    proxy.reset()
    proxy.inject(WATCH, Body(b""), times=10_000)
    proxy.cut()
    began_s = time.monotonic()
    watched.wait(lambda: len(proxy.seen(WATCH)) >= 10)
    assert time.monotonic() - began_s > 0.5


def test_a_killed_api_server_is_found_again(watched: Watched, server: ApiServer) -> None:
    server.kill()
    watched.wait(lambda: bool(watched.reflector.problem))
    server.start()
    watched.write()
    watched.wait()


def test_an_api_server_restored_from_a_backup_is_believed(watched: Watched, server: ApiServer) -> None:
    """Its resource versions start over: what was known is newer by number only."""
    copy, kept = server.save(), watched.number
    for _ in range(5):
        watched.write()
    watched.writer.create("EdgeFleet", "late", {}, manager=writers.OPERATOR)
    watched.wait(lambda: watched.cache.get("EdgeFleet", "late") is not None)
    watched.wait()
    server.restore(copy)
    watched.number = kept
    watched.wait()
    watched.wait(lambda: watched.cache.get("EdgeFleet", "late") is None)
    watched.write()
    watched.wait()


def test_everything_is_listed_again_after_a_while(server: ApiServer, proxy: FaultProxy, namespace: str) -> None:
    """A change that no watch ever told comes with the next list."""
    api = kubernetes.connect(f"kubernetes://{namespace}")
    cache = Cache()
    path = resources.path(namespace, "EdgeFleet")
    reflector = Reflector(api, path, KindSink(cache, "EdgeFleet"), watch_s=1.0, resync_s=1.0)
    reflector.start()
    end = time.monotonic() + 20
    while len(proxy.seen(f"^GET {path}$")) < 3:
        assert time.monotonic() < end
        time.sleep(0.05)
    reflector.stop()
    api.close()
