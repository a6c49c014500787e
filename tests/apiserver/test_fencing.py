"""Two controllers on one API server: one acts; what an old leader still has in the network changes nothing any more."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import controlled_model
import pytest
from apiserver_process import ApiServer, requires_apiserver
from controlled_model import MODEL
from controlling import World
from fault_proxy import FaultProxy, Hold, in_front_of

from skerry.adapters import kubernetes, objects
from skerry.adapters.lease.kubernetes import KubernetesLease
from skerry.adapters.objects.kubernetes import KubernetesObjects
from skerry.controller import leader, reconcile
from skerry.controller.store import LeadershipLostError
from skerry.controller.view import KINDS

pytestmark = requires_apiserver


class Contender:
    """One controller with a network, a lease and watches of its own; the rest of the world is shared."""

    def __init__(self, name: str, world: World, proxy: FaultProxy, namespace: str) -> None:
        self.name, self.world, self.proxy = name, world, proxy
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KUBECONFIG", str(proxy.kubeconfig))
            store = objects.open_objects(f"kubernetes://{namespace}")
            api = kubernetes.connect(f"kubernetes://{namespace}")
        assert isinstance(store, KubernetesObjects)
        self.objects = store
        self.lease = KubernetesLease(api, "skerry-controller", lambda: 0, duration_s=3.0, deadline_s=2.0, retry_s=0.4)
        self.reconciler = self._reconciler()
        self.stop, self.code = threading.Event(), -1

    def _reconciler(self) -> reconcile.Reconciler:
        shared, self.world.objects = self.world.objects, self.objects
        try:
            return self.world.controller(self.lease)
        finally:
            self.world.objects = shared

    def follow(self) -> None:
        self.objects.changes(0, timeout_s=0, kinds=KINDS)

    def tick(self, epoch: int) -> None:
        self.reconciler.tick(epoch, self.world.now_ms, self.world.now_ms)

    def lead(self) -> "Contender":
        """In a thread, as the process does."""

        def run() -> None:
            tick = self.reconciler.tick
            ours = leader.Leader(self.reconciler.wait, self.lease, self.name, tick, lambda now_ms: None, 0.1)
            self.code = ours.run(self.stop)

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        return self

    def die(self) -> None:
        """No renewal, no release, as after kill -9."""
        self.lease._stop.set()

    def close(self) -> None:
        self.stop.set()
        self.lease.release()
        self.objects.close()


@pytest.fixture
def world(server: ApiServer, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Agents and people, straight at the API server; its own controller never ticks."""
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig))
    store = objects.open_objects(f"kubernetes://{namespace}")
    assert isinstance(store, KubernetesObjects)
    yield World(tmp_path, 2, store, time.time_ns() // 1_000_000)
    store.close()


@pytest.fixture
def two(server: ApiServer, world: World, namespace: str) -> Iterator[tuple[Contender, Contender]]:
    with in_front_of(server) as left, in_front_of(server) as right:
        a, b = Contender("a", world, left, namespace), Contender("b", world, right, namespace)
        yield a, b
        a.close()
        b.close()


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def rollout(world: World, name: str = f"{MODEL}-v1-auto") -> dict[str, Any]:
    found = [one for one in world.objects.list("ModelRollout") if one.name == name]
    return dict(found[0].status) if found else {}


def test_one_acts_and_the_other_takes_over_in_the_middle_of_a_rollout(
    world: World, two: tuple[Contender, Contender]
) -> None:
    a, b = two
    a.lead()
    until(a.lease.renew)
    b.lead()
    world.import_version(1)
    until(lambda: rollout(world).get("state") == "Progressing")
    assert rollout(world)["epoch"] == 1
    assert b.proxy.writes() == []
    started = rollout(world)["startedUnixMs"]
    a.proxy.cut_off()

    def done() -> bool:
        world.now_ms = time.time_ns() // 1_000_000
        world.agents()
        return rollout(world).get("state") == "Succeeded"

    until(lambda: b.lease.renew(), 15)
    assert not a.lease.renew()
    until(done, 60)
    status = rollout(world)
    assert (status["epoch"], status["attempt"], status["startedUnixMs"]) == (2, 1, started)
    a.proxy.heal()
    a.thread.join(30)
    assert a.code == 1, "who lost the lease ends its process"


def test_a_status_that_an_old_leader_has_in_the_network_is_refused(
    world: World, two: tuple[Contender, Contender]
) -> None:
    a, b = two
    assert a.lease.acquire("a") == 1
    a.follow()
    world.import_version(1)
    until(lambda: (a.tick(1), rollout(world).get("state") == "Progressing")[1])
    hold = Hold()
    a.proxy.inject("PATCH .*modelrollouts/.*/status", hold)
    world.agents()
    late = threading.Thread(target=lambda: a.tick(1), daemon=True)
    until(lambda: _moved(world, a))
    late.start()
    assert hold.held.wait(20)
    a.die()
    until(lambda: b.lease.acquire("b") == 2)
    b.follow()
    b.tick(2)
    after = world.objects.get("ModelRollout", f"{MODEL}-v1-auto")
    assert after.status["epoch"] == 2
    hold.release()
    late.join(20)
    assert world.objects.get("ModelRollout", f"{MODEL}-v1-auto") == after


def _moved(world: World, contender: Contender) -> bool:
    """The contender's watch has what the agents reported."""
    node = contender.objects.get("EdgeNode", "edge-1")
    return node.resource_version == world.objects.get("EdgeNode", "edge-1").resource_version


def test_an_assignment_that_an_old_leader_has_in_the_network_does_not_arrive(
    world: World, two: tuple[Contender, Contender]
) -> None:
    """It read the node before the new leader wrote there; told of the conflict it reads again, and sees who leads."""
    a, b = two
    assert a.lease.acquire("a") == 1
    a.follow()
    world.import_version(1)
    hold = Hold()
    a.proxy.inject("PATCH .*edgenodes/edge-1$", hold)
    raised: list[BaseException] = []

    def late() -> None:
        try:
            for _ in range(30):
                a.tick(1)
                world.agents()
                time.sleep(0.05)
        except LeadershipLostError as exc:
            raised.append(exc)

    thread = threading.Thread(target=late, daemon=True)
    thread.start()
    assert hold.held.wait(20)
    a.die()
    until(lambda: b.lease.acquire("b") == 2)
    b.follow()
    until(lambda: (b.tick(2), world.agents(), _permit_epoch(world) == 2)[2])
    before = world.objects.get("EdgeNode", "edge-1").spec
    hold.release()
    thread.join(30)
    assert len(raised) == 1
    assert world.objects.get("EdgeNode", "edge-1").spec == before


def _permit_epoch(world: World) -> int:
    for one in world.objects.get("EdgeNode", "edge-1").spec.get("assignments", []):
        return int((one.get("permit") or one.get("lease") or {"epoch": 0})["epoch"])
    return 0


def test_a_leader_that_an_even_later_one_has_overtaken_writes_to_no_node(world: World) -> None:
    """However it came to believe that it leads."""
    world.restart()
    world.import_version(1)
    world.epoch = 3
    world.run(3)
    digest = controlled_model.candidate("import-1", "")[1].digest
    later = {"model": MODEL, "digest": digest, "version": 1, "targetPath": f"imported/{MODEL}/1"}
    permit = {"number": 99, "ttlMs": 1000, "request": 1, "epoch": 9}
    world.objects.patch("EdgeNode", "edge-1", manager="controller", spec={"assignments": [later | {"permit": permit}]})
    with pytest.raises(LeadershipLostError, match="epoch 9, ours is 3"):
        world.run(5)
