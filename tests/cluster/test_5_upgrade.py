"""`helm upgrade` under load: neither gateway nor agents lose a request; nobody waits for a node that is cut off."""

import time

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


def test_the_gateway_is_updated_under_load(serving, capsys: pytest.CaptureFixture[str]) -> None:
    site, knocker = serving.site, kube_cameras.Knocker(TEST, AGENT_IMAGE)
    knocker.begin(f"https://skerry-gateway-internal.{CLOUD}.svc:8446/", KNOCKS, site.cloud)
    began = time.time()
    site.cloud_chart("upgrade", podAnnotations={"skerry-test/round": "2"})
    site.waits("both nodes at the new gateway", lambda: all(site.is_connected(node) for node in site.edges), 60)
    end = time.time()
    knocked = knocker.books(began, end)
    with capsys.disabled():
        print(  # noqa: T201
            f"\n  cloud upgraded in {end - began:.1f} s: {len(knocked)} knocks, {len(kube_cameras.lost(knocked))} lost"
        )
    assert len(knocked) > KNOCKS
    assert kube_cameras.lost(knocked) == []
    for node in site.edges:
        assert kube_cameras.lost(serving.cameras.books(node, began, end)) == []


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
