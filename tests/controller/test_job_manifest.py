"""The Kubernetes Job of a run, field by field; what it may not do, and what of the template reaches it."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.controller.jobs import manifest
from skerry.controller.jobs.protocol import Order
from skerry.core import specs

SITE = manifest.Site("training", "skerry-trainer:1", {"SKERRY_BLOBS": "https://gateway:8446/"}, "Never", ("pull",))
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def order(run: str = "digits-auto-1", *, suspend: bool = False, timeout_s: int = 900, **template: Any) -> Order:
    return Order(run, "digits", timeout_s, specs.JobTemplate(**template), suspend)


def made(wanted: Order) -> dict[str, Any]:
    return manifest.job(wanted, SITE, "ticket")


def pod(wanted: Order) -> dict[str, Any]:
    found: dict[str, Any] = made(wanted)["spec"]["template"]["spec"]
    return found


def variables(wanted: Order) -> dict[str, str]:
    return {one["name"]: one["value"] for one in pod(wanted)["containers"][0]["env"]}


@given(run=st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters="._-"), min_size=1))
def test_every_run_has_a_name_that_kubernetes_takes_for_all_its_pods(run: str) -> None:
    name = manifest.job_name(run)
    assert LABEL.fullmatch(f"{name}-63"), "the host name of the last worker"
    assert manifest.job_name(run) == name
    for value in manifest.labels(order(run)).values():
        assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", value)


@given(st.lists(st.text("aA._-1", min_size=1, max_size=80), unique=True, min_size=2, max_size=2))
def test_two_runs_never_share_a_job(runs: list[str]) -> None:
    assert manifest.job_name(runs[0]) != manifest.job_name(runs[1])


def test_a_readable_name_stays() -> None:
    assert manifest.job_name("digits-auto-0a1b") == "digits-auto-0a1b"
    assert re.fullmatch(r"traffic-v2-run-[0-9a-f]{10}", manifest.job_name("Traffic.v2_run"))


def test_a_job_holds_nothing_and_may_do_nothing() -> None:
    found = pod(order())
    assert found["automountServiceAccountToken"] is False and found["enableServiceLinks"] is False
    assert found["securityContext"]["runAsNonRoot"] is True and found["securityContext"]["runAsUser"] == 10_001
    assert found["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert found["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert all(set(volume) == {"name", "emptyDir"} and volume["emptyDir"]["sizeLimit"] for volume in found["volumes"])
    assert variables(order()) == {
        "SKERRY_BLOBS": "https://gateway:8446/",
        "SKERRY_RUN": "digits-auto-1",
        "SKERRY_TICKET": "ticket",
        "HOME": "/work",
    }


def test_a_job_ends_in_time_is_not_repeated_by_the_cluster_and_goes_away_by_itself() -> None:
    spec = made(order(timeout_s=77))["spec"]
    assert (spec["activeDeadlineSeconds"], spec["backoffLimit"], spec["ttlSecondsAfterFinished"]) == (137, 0, 86_400)
    assert pod(order())["restartPolicy"] == "Never"


def test_the_image_is_taken_as_the_site_says() -> None:
    container = pod(order())["containers"][0]
    assert (container["image"], container["imagePullPolicy"]) == ("skerry-trainer:1", "Never")
    assert pod(order())["imagePullSecrets"] == [{"name": "pull"}]


def test_one_worker_is_a_plain_job_of_the_trainer() -> None:
    found = made(order())
    assert pod(order())["containers"][0]["command"] == ["python", "-m", "skerry.trainer.main"]
    assert "completionMode" not in found["spec"] and "subdomain" not in pod(order())
    assert (found["spec"]["parallelism"], found["spec"]["completions"]) == (1, 1)


def test_several_workers_are_an_indexed_job_that_meets_at_its_first_pod() -> None:
    wanted = order(workers=4)
    found = made(wanted)["spec"]
    assert (found["completionMode"], found["parallelism"], found["completions"]) == ("Indexed", 4, 4)
    text = " ".join(pod(wanted)["containers"][0]["command"])
    assert text.startswith("python -m torch.distributed.run") and text.endswith("-m skerry.trainer.main")
    assert "--nnodes 4 --node-rank $(JOB_COMPLETION_INDEX)" in text
    assert "--master-addr digits-auto-1-0.skerry-workers --master-port 29500" in text
    assert pod(wanted)["subdomain"] == "skerry-workers" == manifest.service("training")["metadata"]["name"]


def test_the_service_is_headless_and_knows_pods_before_they_are_ready() -> None:
    spec = manifest.service("training")["spec"]
    assert (spec["clusterIP"], spec["publishNotReadyAddresses"]) == ("None", True)
    assert spec["selector"].items() <= made(order())["spec"]["template"]["metadata"]["labels"].items()


def test_the_template_reaches_the_pod_and_cannot_take_our_labels_place() -> None:
    tolerations = (specs.Toleration("gpu", "Exists", "", "NoSchedule"), specs.Toleration("a", value="b", seconds=5))
    wanted = order(
        labels={"team": "vision"},
        node_selector={"gpu": "a2"},
        tolerations=tolerations,
        requests={"cpu": "2"},
        limits={"nvidia.com/gpu": "1"},
    )
    found = made(wanted)
    for part in (found, found["spec"]["template"]):
        assert part["metadata"]["labels"] == {
            "team": "vision",
            "app.kubernetes.io/name": "skerry",
            "app.kubernetes.io/component": "training",
            "app.kubernetes.io/managed-by": "skerry",
            "skerry.dev/run": "digits-auto-1",
            "skerry.dev/model": "digits",
        }
    assert pod(wanted)["nodeSelector"] == {"gpu": "a2"}
    assert pod(wanted)["tolerations"] == [
        {"operator": "Exists", "key": "gpu", "effect": "NoSchedule"},
        {"operator": "Equal", "key": "a", "value": "b", "tolerationSeconds": 5},
    ]
    resources = {"requests": {"cpu": "2"}, "limits": {"nvidia.com/gpu": "1"}}
    assert pod(wanted)["containers"][0]["resources"] == resources


def test_without_resources_a_job_asks_for_a_little() -> None:
    assert pod(order())["containers"][0]["resources"] == {"requests": {"cpu": "500m", "memory": "1Gi"}}


@pytest.mark.parametrize(
    ("wanted", "suspended", "queue"),
    [
        pytest.param(order(), False, None, id="a run without a queue goes at once"),
        pytest.param(order(queue="nightly"), True, "nightly", id="a run with one waits for it"),
        pytest.param(order(suspend=True), True, None, id="a held run waits"),
        pytest.param(order(queue="nightly", suspend=True), True, None, id="a held run is in no queue yet"),
    ],
)
def test_who_lets_a_job_go_on(wanted: Order, suspended: bool, queue: str | None) -> None:
    found = made(wanted)
    assert found["spec"]["suspend"] is suspended
    assert found["metadata"]["labels"].get("kueue.x-k8s.io/queue-name") == queue
    assert manifest.adjusted(wanted, found) is None, "made as it was asked"


def test_a_change_of_mind_is_one_patch_and_what_others_did_stands() -> None:
    found = made(order(queue="nightly"))
    found["spec"]["suspend"] = False  # the queue admitted it
    assert manifest.adjusted(order(queue="nightly"), found) is None
    held = manifest.adjusted(order(queue="nightly", suspend=True), found)
    assert held == {
        "metadata": {"labels": {"kueue.x-k8s.io/queue-name": None}, "annotations": {"skerry.dev/suspend": "true"}},
        "spec": {"suspend": True},
    }
    on = manifest.adjusted(order(), made(order(suspend=True)))
    assert on is not None and on["spec"] == {"suspend": False}
