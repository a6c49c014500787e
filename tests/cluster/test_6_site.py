"""Site mode: one agent with a volume of its own under the restricted profile, asked from outside by its node's port."""

import time

import kube
import kube_cameras
import kube_faults
import pytest
from kube_digits import MODEL
from kube_site import SITE

pytestmark = [kube.requires_cluster, kube_faults.requires_faults]
NAME = "line-7"
RATE, AWAY_S, HEALED_S = 20.0, 40.0, 15.0


def test_a_camera_outside_is_answered_while_its_site_is_cut_off_and_while_it_heals(
    serving, data, capsys: pytest.CaptureFixture[str]
) -> None:
    site = serving.site
    node = site.edges[-1]
    site.volume("site", node, (SITE, "state-site-skerry-edge-0"), ["ReadWriteOnce"])
    site.join_secret(SITE, "--pattern", "line-*", "--label", "site=line")
    began = time.time()
    site.site_chart("install", node, NAME, clientAccess="nodePort")
    site.waits("the node of the site on the fleet's version", lambda: site.serves(NAME, MODEL), 60)
    ready_s = time.time() - began
    assert site.nodes()[NAME].spec["labels"] == {"site": "line"}
    assert "Succeeded" in kube.helm("test", "site", "-n", SITE, "--logs")

    addresses = kube.get("node", node)["status"]["addresses"]
    host = next(one["address"] for one in addresses if one["type"] == "InternalIP")
    port = kube.get("-n", SITE, "service", "site-skerry-edge-clients")["spec"]["ports"][0]["nodePort"]
    camera = site.cameras("outside", {"kubernetes.io/hostname": node}, MODEL, data.images)
    camera.roll(f"{host}:{port}", RATE)
    began = time.time()
    kube_faults.cut(node)
    try:
        site.waits("the site to be seen as away", lambda: not site.is_connected(NAME), 90)
        time.sleep(max(0.0, began + AWAY_S - time.time()))  # for longer than Kubernetes takes to call it not ready
    finally:
        kube_faults.heal(node)
    site.waits("the site again", lambda: site.is_connected(NAME), 60)
    time.sleep(HEALED_S)  # while Kubernetes makes up its mind about the pods of a node that is back
    books = camera.books(node, began, time.time())
    with capsys.disabled():
        print(  # noqa: T201
            f"\n  a site was up {ready_s:.1f} s after helm install; cut off for {AWAY_S:.0f} s and healing, its camera "
            f"asked {len(books)} times and lost {len(kube_cameras.lost(books))}"
        )
    assert len(books) > RATE * AWAY_S / 2
    assert kube_cameras.lost(books) == []

    kube.helm("uninstall", "site", "-n", SITE, "--wait", "--timeout=90s")
    claims = kube.items("-n", SITE, "persistentvolumeclaims")
    assert [one["metadata"]["name"] for one in claims] == ["state-site-skerry-edge-0"], "its state is kept"
    site.store.delete("EdgeNode", NAME)
