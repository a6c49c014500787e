"""The closed loop on a real cluster: training in a Job, a signed rollout, hard examples, the next version."""

import os
import time
from pathlib import Path

import kube
import kube_cameras
import official_client
from kube_digits import MODEL
from kube_site import CLOUD, EDGE, TRAINING

pytestmark = kube.requires_cluster


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


def test_the_loop_closes(serving) -> None:
    """The field changes; what is hard there becomes version 2 on every node, and no camera loses a request."""
    site, began = serving.site, time.time()
    serving.cameras.show("drift")
    site.store.patch("EdgeModel", MODEL, manager="operator", spec={"retrain": {"enabled": True}})
    second = site.waits("version 2 out of the field", lambda: site.rollout("digits-v2-auto"), 180)
    site.store.patch("EdgeModel", MODEL, manager="operator", spec={"retrain": {"enabled": False}})
    site.succeeded(second.name)
    assert [site.serves(node, MODEL) for node in site.edges] == [2, 2]
    for node in site.edges:
        books = serving.cameras.books(node, began)
        assert len(books) > 100
        assert kube_cameras.lost(books) == []


@official_client.requires_client
def test_a_script_with_the_official_client_reads_watches_and_patches(serving, tmp_path) -> None:
    kubeconfig = Path(os.environ["KUBECONFIG"])
    serving.site.succeeded("digits-v1-auto")
    with official_client.begin(tmp_path, kubeconfig, CLOUD, MODEL, "digits-v1-auto") as script:
        assert script.stdout is not None
        seen = script.stdout.read()
        assert script.wait(30) == 0, seen
    lines = seen.splitlines()
    assert set(lines[:-1]) == {f"{node} connected" for node in serving.site.edges}, seen
    assert lines[-1] == "Succeeded", seen
    assert serving.site.store.get("EdgeModel", MODEL).spec["retrain"]["enabled"] is False
