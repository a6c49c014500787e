"""`helm upgrade` and `helm rollback` under load: neither gateway nor agents lose a request, and nobody waits for a node
that is cut off."""

import time
from collections.abc import Callable

import kube
import kube_cameras
import kube_faults
import pytest
from kube_site import AGENT_IMAGE, CLOUD, EDGE, TEST, Site

pytestmark = [kube.requires_cluster, kube_faults.requires_faults]
KNOCKS = 20.0  # per second


def _is_updated(site: Site, node: str, mark: str) -> bool:
    field = f"--field-selector=spec.nodeName={node}"
    pods = kube.items("-n", EDGE, "pods", "-l", "app.kubernetes.io/instance=edge", field)
    return (
        len(pods) == 1
        and kube.is_ready(pods[0])
        and pods[0]["metadata"]["annotations"].get("skerry-test/round") == mark
    )


def _knocked(serving, change: Callable[[], object]) -> tuple[float, kube_cameras.Books]:
    """A change of the cloud under load, until both nodes are at the gateway again: how long it took, and the knocks
    at its door meanwhile. No camera loses a request."""
    site, knocker = serving.site, kube_cameras.Knocker(TEST, AGENT_IMAGE)
    knocker.begin(f"https://skerry-gateway-internal.{CLOUD}.svc:8446/", KNOCKS, site.cloud)
    began = time.time()
    change()
    site.waits("both nodes at the new gateway", lambda: all(site.is_connected(node) for node in site.edges), 60)
    end = time.time()
    for node in site.edges:
        assert kube_cameras.lost(serving.cameras.books(node, began, end)) == []
    return end - began, knocker.books(began, end)


@pytest.mark.parametrize("what", ["upgrade", "rollback"])
def test_the_cloud_is_updated_under_load(serving, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    site = serving.site
    stories = {one.name: one.spec for one in site.store.list("ModelRollout")}

    def change() -> None:
        if what == "upgrade":
            site.cloud_chart("upgrade", podAnnotations={"skerry-test/round": "2"})
        else:
            kube.helm("rollback", "skerry", "-n", CLOUD, "--wait", "--timeout=180s")

    took_s, knocked = _knocked(serving, change)
    lost = kube_cameras.lost(knocked)
    with capsys.disabled():
        slowest = max(float(one["s"]) for one in knocked)
        told = f"{len(knocked)} knocks, {len(lost)} lost, the slowest answered after {slowest:.1f} s"
        print(f"\n  {what} of the cloud in {took_s:.1f} s: {told}")  # noqa: T201
    assert len(knocked) > KNOCKS
    assert lost == []
    assert {one.name: one.spec for one in site.store.list("ModelRollout")} == stories


def test_agents_are_updated_under_load_while_a_node_is_away(serving, capsys: pytest.CaptureFixture[str]) -> None:
    site = serving.site
    here, away = site.edges[0], site.edges[-1]
    mark = {"podAnnotations": {"skerry-test/round": "2"}}
    began = time.time()
    kube_faults.cut(away)
    try:
        site.waits("the node to be seen as away", lambda: not site.is_connected(away), 60)
        upgraded = time.time()
        site.edge_chart("upgrade", wait=False, **mark)
        site.waits("the new agent on the node that is there", lambda: _is_updated(site, here, "2"), 90)
        took_s = time.time() - upgraded
    finally:
        kube_faults.heal(away)
    site.waits("the new agent on the node that was away", lambda: _is_updated(site, away, "2"), 120)
    site.waits("both nodes at the gateway", lambda: all(site.is_connected(node) for node in site.edges), 60)
    end = time.time()
    books = {node: serving.cameras.books(node, began, end) for node in site.edges}
    with capsys.disabled():
        print(f"\n  agents upgraded with {away} away: {here} after {took_s:.1f} s")  # noqa: T201
        for node, asked in books.items():
            print(f"  {node}: {len(asked)} requests, {len(kube_cameras.lost(asked))} lost")  # noqa: T201
    for asked in books.values():
        assert kube_cameras.lost(asked) == []
