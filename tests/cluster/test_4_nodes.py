"""Nodes that go away in the middle of things: cut off during a rollout, and without power."""

import time

import kube
import kube_cameras
import kube_faults
import pytest
from kube_digits import MODEL

pytestmark = [kube.requires_cluster, kube_faults.requires_faults]


def _rolled(site, *words: str) -> str:
    """Ask for a rollout as a person would; its name."""
    before = {one.name for one in site.store.list("ModelRollout")}
    site.skerry("rollout", *words)
    (name,) = {one.name for one in site.store.list("ModelRollout")} - before
    return name


def test_a_node_is_cut_off_during_a_rollout(serving, capsys: pytest.CaptureFixture[str]) -> None:
    """It serves on, is deferred, and catches up once it is back; nobody waits for it."""
    site = serving.site
    if site.store.get("EdgeModel", MODEL).status["stableVersion"] != "digits-v2":
        site.succeeded(_rolled(site, "start", "digits-v2"))
    first, away = site.edges[0], site.edges[-1]
    began = time.time()
    kube_faults.cut(away)
    try:
        # For the cloud the node is still there: it is a member of the wave, and lost before it can swap.
        name = _rolled(site, "rollback", MODEL, "--to", "digits-v1")
        site.succeeded(name, 180)
        status = site.store.get("ModelRollout", name).status
        assert status["deferred"] == [away]
        assert site.serves(first, MODEL) == 1
        site.waits("the node to be seen as away", lambda: not site.is_connected(away), 90)
        cut_s = time.time() - began
    finally:
        kube_faults.heal(away)
    healed = time.time()
    site.waits("the node that was away on version 1", lambda: site.serves(away, MODEL) == 1, 120)
    caught_up_s = time.time() - healed
    books = serving.cameras.books(away, began, healed)
    with capsys.disabled():
        print(  # noqa: T201
            f"\n  {away} was cut off for {cut_s:.0f} s: its camera asked {len(books)} times and lost "
            f"{len(kube_cameras.lost(books))}; deferred, on version 1 {caught_up_s:.1f} s after it was back"
        )
    assert len(books) > 5 * cut_s
    assert kube_cameras.lost(books) == []
    assert kube_cameras.lost(serving.cameras.books(first, began, healed)) == []


def test_a_node_loses_its_power(serving, capsys: pytest.CaptureFixture[str]) -> None:
    """It serves again from its own disk, and reports."""
    site, node = serving.site, serving.site.edges[0]
    kube_faults.power_off(node)
    try:
        site.waits("the node to be seen as away", lambda: not site.is_connected(node), 120)
    finally:
        kube_faults.power_on(node)
    began = time.time()
    site.waits("the node again", lambda: site.is_connected(node) and kube.is_ready(site.agent_pod(node)), 120)
    with capsys.disabled():
        print(f"\n  {node} was powered off; connected again {time.time() - began:.1f} s after its start")  # noqa: T201
    site.waits("answers on it", lambda: [one for one in serving.cameras.books(node, began) if not one["error"]], 60)
    assert site.serves(node, MODEL) > 0
