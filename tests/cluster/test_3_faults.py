"""What breaks in a cluster, while rollouts go on and cameras ask."""

import time

import kube
import kube_cameras
import kube_faults
import pytest
from kube_digits import MODEL
from kube_site import CLOUD, SPACES

pytestmark = [kube.requires_cluster, kube_faults.requires_faults]


def move(site) -> tuple[str, int]:
    """From version 2 back to 1, or forward again, as a person would; the rollout's name, and where it goes."""
    before = {one.name for one in site.store.list("ModelRollout")}
    is_second = site.store.get("EdgeModel", MODEL).status["stableVersion"] == "digits-v2"
    site.skerry("rollout", *(("rollback", MODEL, "--to", "digits-v1") if is_second else ("start", "digits-v2")))
    (name,) = {one.name for one in site.store.list("ModelRollout")} - before
    return name, 1 if is_second else 2


def is_in_its_first_wave(site, name: str) -> bool:
    waves = site.store.get("ModelRollout", name).status.get("waves", [])
    return bool(waves and waves[0].get("startedUnixMs"))


def test_the_controller_is_killed_in_the_middle_of_a_wave(serving) -> None:
    site = serving.site
    name, version = move(site)
    site.waits("the first wave", lambda: is_in_its_first_wave(site, name), 30)
    pod = kube.items("-n", CLOUD, "pods", "-l", "app.kubernetes.io/component=controller")[0]["metadata"]["name"]
    kube.kubectl("-n", CLOUD, "delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")
    site.succeeded(name)
    assert [site.serves(node, MODEL) for node in site.edges] == [version, version]
    assert site.store.get("ModelRollout", name).status["attempt"] == 1


def test_the_api_server_is_killed_and_comes_back(serving, capsys: pytest.CaptureFixture[str]) -> None:
    site, began = serving.site, time.time()
    restarts = _restarts()
    name, _ = move(site)
    site.waits("the first wave", lambda: is_in_its_first_wave(site, name), 30)
    kube_faults.kill_apiserver()
    away = time.time()
    try:
        time.sleep(3)
    finally:
        kube_faults.start_apiserver()
    back = time.time()
    site.succeeded(name)
    with capsys.disabled():
        print(f"\n  API server away for {back - away:.0f} s; the rollout succeeded {time.time() - back:.1f} s after")  # noqa: T201
    for node in site.edges:
        assert kube_cameras.lost(serving.cameras.books(node, began)) == []
    assert _restarts() == restarts


def test_valkey_is_flushed(serving) -> None:
    """Readings and positions are lost; nodes stay, and examples that come are labelled."""
    site, began = serving.site, time.time()
    flush = "valkey-cli --user skerry --no-auth-warning flushall"
    assert "OK" in kube.execute(CLOUD, "skerry-valkey-0", "sh", "-c", flush)
    model = site.store.get("EdgeModel", MODEL)
    assert model.status["stableVersion"]
    site.waits("readings again", lambda: "Online" in site.skerry("nodes"), 30)
    for node in site.edges:
        assert site.is_connected(node)
        assert kube_cameras.lost(serving.cameras.books(node, began)) == []


def test_one_of_two_gateways_is_killed(serving, capsys: pytest.CaptureFixture[str]) -> None:
    site = serving.site
    kube.kubectl("-n", CLOUD, "scale", "deploy/skerry-gateway", "--replicas=2")
    kube.kubectl("-n", CLOUD, "rollout", "status", "deploy/skerry-gateway", "--timeout=60s", timeout_s=70)
    began = time.time()
    pods = kube.items("-n", CLOUD, "pods", "-l", "app.kubernetes.io/component=gateway")
    kube.kubectl(
        "-n", CLOUD, "delete", "pod", pods[0]["metadata"]["name"], "--grace-period=0", "--force", "--wait=false"
    )
    name, _ = move(site)
    site.succeeded(name)
    site.waits("both nodes at a gateway", lambda: all(site.is_connected(node) for node in site.edges), 60)
    with capsys.disabled():
        print(f"\n  a gateway of two killed: both nodes at the other after {time.time() - began:.1f} s at most")  # noqa: T201
    for node in site.edges:
        assert kube_cameras.lost(serving.cameras.books(node, began)) == []
    kube.kubectl("-n", CLOUD, "scale", "deploy/skerry-gateway", "--replicas=1")


def _restarts() -> int:
    """Of all pods but the controller's: one that cannot renew its lease ends, and the next one leads."""
    every = [status for space in SPACES for pod in kube.items("-n", space, "pods")
             for status in pod["status"].get("containerStatuses", [])]  # fmt: skip
    return sum(int(one["restartCount"]) for one in every if one["name"] != "controller")
