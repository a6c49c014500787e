"""Leadership when the network, the API server or the other one misbehaves: never two at once, by anybody's clock."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest
from apiserver_process import ApiServer, requires_apiserver
from fault_proxy import Answer, Cut, FaultProxy, in_front_of

from skerry.adapters import kubernetes, lease, objects
from skerry.adapters.lease.kubernetes import KubernetesLease
from skerry.core import errors, writers

pytestmark = requires_apiserver

DURATION_S, DEADLINE_S, RETRY_S = 3.0, 2.0, 0.4
PATIENT = 5.0  # times as long: for leaders that must go on, on a machine with other work too
NAME = "skerry-controller"


class Opener(Protocol):
    def __call__(self, proxy: FaultProxy | None, *, slower: float = 1.0) -> KubernetesLease: ...


@pytest.fixture
def open_one(server: ApiServer, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opener]:
    """A contender of its own, through a proxy or straight."""
    made: list[KubernetesLease] = []

    def open_(proxy: FaultProxy | None, *, slower: float = 1.0) -> KubernetesLease:
        monkeypatch.setenv("KUBECONFIG", str(proxy.kubeconfig if proxy else server.kubeconfig))
        api = kubernetes.connect(f"kubernetes://{namespace}")
        duration_s, deadline_s = slower * DURATION_S, slower * DEADLINE_S
        one = KubernetesLease(api, NAME, lambda: 0, duration_s=duration_s, deadline_s=deadline_s, retry_s=RETRY_S)
        made.append(one)
        return one

    yield open_
    for one in made:
        one.release()
        one._api.close()


def until(condition: Callable[[], object], seconds: float = 20) -> float:
    """How long it took."""
    began_s = time.monotonic()
    while not condition():
        assert time.monotonic() < began_s + seconds, "waited in vain"
        time.sleep(0.01)
    return time.monotonic() - began_s


def holder(server: ApiServer, namespace: str) -> str:
    found = json.loads(server.kubectl("get", "lease", "-n", namespace, NAME, "-o", "json"))
    return str(found["spec"].get("holderIdentity", ""))


def test_the_record_is_one_that_other_tools_understand(open_one: Opener, server: ApiServer, namespace: str) -> None:
    one = open_one(None)
    assert one.acquire("a") == 1
    spec = json.loads(server.kubectl("get", "lease", "-n", namespace, NAME, "-o", "json"))["spec"]
    assert (spec["holderIdentity"], spec["leaseTransitions"], spec["leaseDurationSeconds"]) == ("a", 1, 3)
    assert spec["acquireTime"] <= spec["renewTime"]


def test_a_leader_that_is_cut_off_stops_before_anybody_else_begins(open_one: Opener, proxy: FaultProxy) -> None:
    first, second = open_one(proxy), open_one(None)
    assert first.acquire("a") == 1
    assert second.acquire("b") is None
    until(lambda: len(proxy.seen("PUT .*leases")) >= 3)  # taken, and renewed twice
    proxy.cut_off()
    cut_s, led_at_once = time.monotonic(), 0

    def taken() -> bool:
        nonlocal led_at_once
        epoch = second.acquire("b")
        led_at_once += bool(epoch is not None and first.renew())
        return epoch == 2

    until(lambda: not first.renew() or taken())
    assert first._until_s <= cut_s + DEADLINE_S, "its own clock ends it, whatever the network does"
    until(taken)
    assert led_at_once == 0
    proxy.heal()
    time.sleep(2 * RETRY_S)
    assert not first.renew(), "a lease that was lost does not come back by itself"
    assert second.renew()


@pytest.mark.parametrize(
    "fault", [Answer(500), Answer(409, "Conflict"), Answer(401, "Unauthorized"), Answer(429), Cut()], ids=str
)
def test_a_renewal_that_fails_once_costs_nothing(open_one: Opener, proxy: FaultProxy, fault: Answer) -> None:
    one = open_one(proxy, slower=PATIENT)
    assert one.acquire("a") == 1
    proxy.inject("PUT .*leases", fault)
    proxy.reset()
    until(lambda: len(proxy.seen("PUT .*leases")) >= 3)
    assert one.renew()
    assert one.acquire("a") == 1


def test_renewals_go_on_while_the_leader_is_busy_and_asking_costs_no_request(
    open_one: Opener, proxy: FaultProxy
) -> None:
    one = open_one(proxy, slower=PATIENT)
    one.acquire("a")
    proxy.reset()
    end = one._until_s
    asked = 0
    while one._until_s <= end + 2 * RETRY_S:
        assert one.renew()
        asked += 1
    assert len(proxy.seen()) < 20 < asked


def test_somebody_who_takes_the_lease_by_force_ends_the_leader(
    open_one: Opener, server: ApiServer, namespace: str
) -> None:
    one = open_one(None)
    one.acquire("a")
    server.kubectl("patch", "lease", "-n", namespace, NAME, "--type=merge", "-p", '{"spec": {"holderIdentity": "x"}}')
    until(lambda: not one.renew())


def test_a_killed_leader_is_followed_after_its_time_by_the_followers_clock(open_one: Opener) -> None:
    first, second = open_one(None), open_one(None)
    first.acquire("a")
    first._stop.set()  # killed: nothing renews, nothing is given back
    waited_s = until(lambda: second.acquire("b") == 2)
    assert waited_s > DURATION_S - 2 * RETRY_S


def test_a_leader_that_goes_lets_the_next_begin_at_once(open_one: Opener, server: ApiServer, namespace: str) -> None:
    first, second = open_one(None), open_one(None)
    first.acquire("a")
    first.release()
    assert holder(server, namespace) == ""
    assert second.acquire("b") == 2


def test_of_many_that_try_at_once_one_leads(open_one: Opener) -> None:
    from concurrent.futures import ThreadPoolExecutor

    contenders = [open_one(None, slower=PATIENT) for _ in range(6)]
    for _ in range(3):
        with ThreadPoolExecutor(6) as pool:
            won = list(pool.map(lambda pair: pair[1].acquire(f"c{pair[0]}"), enumerate(contenders)))
        assert len([epoch for epoch in won if epoch]) == 1
        assert sum(one.renew() for one in contenders) == 1
        next(one for one in contenders if one.renew()).release()


def test_an_api_server_that_is_away_for_a_moment_costs_no_leader(open_one: Opener, server: ApiServer) -> None:
    """Within the deadline; beyond it nobody leads."""
    one = open_one(None)
    one.acquire("a")
    server.kill()
    until(lambda: not one.renew())
    with pytest.raises(errors.UnavailableError):
        one.acquire("a")
    server.start()
    until(lambda: one.acquire("a") == 2)


def test_a_lease_that_was_deleted_begins_above_every_epoch_that_objects_name(
    server: ApiServer, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig))
    url = f"kubernetes://{namespace}"
    store = objects.open_objects(url)
    store.create("ModelRollout", "r", {"model": "m", "version": "v"}, manager=writers.OPERATOR)
    store.patch("ModelRollout", "r", manager=writers.CONTROLLER, status={"epoch": 5})
    assert _epoch(url) == 6
    server.kubectl("delete", "lease", "-n", namespace, NAME)
    model = {"classNames": ["a", "b"], "input": {"name": "x", "datatype": "FP32", "shape": [1]}}
    store.create("EdgeModel", "m", model, manager=writers.OPERATOR)
    store.patch("EdgeModel", "m", manager=writers.CONTROLLER, status={"catchUp": {"epoch": 8}})
    assert _epoch(url) == 9
    server.kubectl("delete", "lease", "-n", namespace, NAME)
    digest = "sha256:" + "1" * 64
    one = {"model": "m", "digest": digest, "version": 1, "targetPath": "x", "lease": {"epoch": 12}}
    store.create("EdgeNode", "n", {}, manager=writers.GATEWAY)
    store.patch("EdgeNode", "n", manager=writers.CONTROLLER, spec={"assignments": [one]})
    assert _epoch(url) == 13


def _epoch(url: str) -> int | None:
    one = lease.open_lease(url, "controller")
    epoch = one.acquire("a")
    one.release()
    return epoch


def test_two_proxies_two_worlds(open_one: Opener, server: ApiServer) -> None:
    """Both contenders behind networks of their own, cut off in turn: the lease follows who can reach the API server."""
    with in_front_of(server) as left, in_front_of(server) as right:
        a, b = open_one(left), open_one(right)
        assert a.acquire("a") == 1
        left.cut_off()
        until(lambda: b.acquire("b") == 2)
        assert not a.renew()
        left.heal()
        right.cut_off()
        until(lambda: a.acquire("a") == 3)
        assert not b.renew()
