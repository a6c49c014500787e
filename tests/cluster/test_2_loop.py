"""The closed loop on a real cluster: training in a Job, a signed rollout, hard examples, the next version, and a node
that is cut off while it comes."""

import time

import kube
import kube_cameras
import kube_faults
import pytest
from kube_digits import MODEL
from kube_site import CLOUD, EDGE, TRAINING

pytestmark = [kube.requires_cluster, kube_faults.requires_faults]
CLEAN_S = 6.0


def test_the_first_version_was_trained_in_a_job_and_rolled_out(serving) -> None:
    site = serving.site
    assert [site.serves(node, MODEL) for node in site.edges] == [1, 1]
    jobs = kube.items("-n", TRAINING, "jobs")
    secrets = kube.items("-n", TRAINING, "secrets")
    assert len(jobs) <= 1
    assert secrets == []


def test_kubectl_reads_like_a_story(serving) -> None:
    told = kube.kubectl("-n", CLOUD, "get", "em,mv,ef,en,mr,tr")
    for word in ("digits-v1-auto", "Succeeded", "Published", "STABLE", "DEFERRED", "CONNECTED"):
        assert word in told, told


def test_helm_test_asks_for_a_real_inference(serving) -> None:
    assert "answered one request" in kube.helm("test", "edge", "-n", EDGE, "--logs")


def test_a_node_is_cut_off_while_the_loop_closes(serving, capsys: pytest.CaptureFixture[str]) -> None:
    """It serves on, is deferred, and catches up once it is back."""
    site, cameras = serving.site, serving.cameras
    time.sleep(CLEAN_S)
    cameras.show("drift")
    site.store.patch("EdgeModel", MODEL, manager="operator", spec={"retrain": {"enabled": True}})
    second = site.waits("version 2 out of the field", lambda: site.rollout("digits-v2-auto"), 180)
    site.store.patch("EdgeModel", MODEL, manager="operator", spec={"retrain": {"enabled": False}})
    run = max(site.store.list("TrainingRun"), key=lambda one: one.created_unix_ms)
    assert run.status["result"], "a run by the policy"

    def canary() -> str:
        waves = site.store.get("ModelRollout", second.name).status.get("waves", [])
        return str(waves[0]["nodes"][0]) if waves and waves[0].get("nodes") else ""

    first = site.waits("the canary's name", canary, 30)
    away = next(node for node in site.edges if node != first)
    began = time.time()
    kube_faults.cut(away)
    try:
        site.succeeded(second.name)
        status = site.store.get("ModelRollout", second.name).status
        assert status["deferred"] == [away]
        assert site.serves(first, MODEL) == 2
        site.waits("the node to be seen as away", lambda: not site.is_connected(away), 60)
        cut_s = time.time() - began
    finally:
        kube_faults.heal(away)
    healed = time.time()
    site.waits("the node that was away on version 2", lambda: site.serves(away, MODEL) == 2, 90)
    caught_up_s = time.time() - healed
    books = cameras.books(away, began, healed)
    with capsys.disabled():
        print(  # noqa: T201
            f"\n  {away} was cut off for {cut_s:.0f} s: its camera asked {len(books)} times and lost "
            f"{len(kube_cameras.lost(books))}; deferred, on version 2 {caught_up_s:.1f} s after it was back"
        )
    assert len(books) > 10 * cut_s
    assert kube_cameras.lost(books) == []
    assert kube_cameras.lost(cameras.books(first, began, healed)) == []
