"""What a training job waits for, how it ended, and why it cannot be: read back from the Kubernetes API."""

import os
from typing import Any

import pytest
from apiserver_process import ADMIN_TOKEN, ApiServer, requires_apiserver
from training_place import KEY, NOW_S, Place, order, terminated

from skerry.adapters import kubernetes
from skerry.controller.jobs import manifest
from skerry.controller.jobs.kubernetes import KubernetesJobs
from skerry.controller.jobs.protocol import State
from skerry.core import errors


def test_why_a_job_waits_is_the_schedulers_and_the_kubelets_own_word(place: Place) -> None:
    place.jobs.start(order())
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    pod = place.add_pod(conditions=[scheduled])
    assert (place.poll().reason, place.poll().message) == ("Unschedulable", "worker 0: 0/3 nodes")
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    container = {"name": "trainer", "image": "x", "imageID": "", "ready": False, "restartCount": 0, "state": waiting}
    path = f"/api/v1/namespaces/{place.namespace}/pods/{pod}/status"
    place.api.patch(path, {"status": {"containerStatuses": [container]}})
    assert (place.poll().reason, place.poll().message) == ("ImagePullBackOff", "worker 0: no such image")


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        pytest.param(terminated(1, "Error"), "BackoffLimitExceeded", (1, "Error"), id="a trainer that failed"),
        pytest.param(terminated(137, "OOMKilled"), "BackoffLimitExceeded", (137, "OOMKilled"), id="too little memory"),
        pytest.param(terminated(137, "Error"), "BackoffLimitExceeded", (-9, "Error"), id="a signal"),
        pytest.param(
            {"phase": "Failed", "reason": "Evicted", "message": "disk"},
            "BackoffLimitExceeded",
            (None, "Evicted"),
            id="an eviction",
        ),
        pytest.param({"phase": "Running"}, "DeadlineExceeded", (None, "DeadlineExceeded"), id="out of time"),
    ],
)
def test_how_a_job_ended(place: Place, status: dict[str, Any], reason: str, expected: tuple[int | None, str]) -> None:
    place.jobs.start(order())
    place.add_pod(**status)
    place.end("Failed", reason)
    found = place.poll()
    assert (found.state, (found.exit_code, found.reason)) == (State.ENDED, expected)


def test_a_job_that_somebody_deletes_is_absent_and_may_be_started_again(place: Place) -> None:
    place.jobs.start(order())
    jobs = f"/apis/batch/v1/namespaces/{place.namespace}/jobs"
    place.api.delete(f"{jobs}/run-1", {"propagationPolicy": "Background"})
    assert place.poll().state is State.ABSENT
    place.jobs.start(order())
    assert place.poll().state is State.WAITING


def test_a_job_that_is_still_going_away_is_waited_for(place: Place) -> None:
    place.jobs.start(order())
    place.patch_job({"metadata": {"finalizers": ["example.com/slow"]}})
    place.jobs.stop("run-1")
    assert place.poll().state is State.ABSENT
    with pytest.raises(errors.UnavailableError, match="still going away"):
        place.jobs.start(order())
    place.patch_job({"metadata": {"finalizers": None}})
    place.jobs.start(order())
    assert place.poll().state is State.WAITING


def test_a_namespace_that_is_not_there_is_named(place: Place) -> None:
    site = manifest.Site("nowhere", "x", {})
    jobs = KubernetesJobs(place.api, site, KEY, lambda: NOW_S, lambda: 0.0)
    assert (list(jobs.names()), jobs.poll("run-1").state) == ([], State.ABSENT)
    for wanted in (order(), order(workers=2)):
        with pytest.raises(errors.UnavailableError, match="no namespace nowhere"):
            jobs.start(wanted)


@requires_apiserver
def test_what_the_api_calls_invalid_is_an_error_of_the_order(real_place: Place) -> None:
    with pytest.raises(errors.InputError, match="must be less than or equal to memory limit"):
        real_place.jobs.start(order(requests={"memory": "2Gi"}, limits={"memory": "1Gi"}))


@requires_apiserver
def test_a_quota_is_a_refusal_that_an_operator_may_lift(real_place: Place, permissive_apiserver: ApiServer) -> None:
    place, server = real_place, permissive_apiserver
    server.kubectl("create", "quota", "-n", place.namespace, "none", "--hard=count/jobs.batch=0")
    server.kubectl(
        "patch", "quota", "-n", place.namespace, "none", "--subresource=status", "--type=merge", "-p",
        '{"status": {"hard": {"count/jobs.batch": "0"}, "used": {"count/jobs.batch": "0"}}}',
    )  # fmt: skip
    with pytest.raises(errors.RejectedError, match="exceeded quota"):
        place.jobs.start(order())


def test_a_long_or_odd_name_of_a_run_comes_back_as_it_was(place: Place) -> None:
    runs = ["Traffic.v2_" + "x" * 100, "run-1"]
    for run in runs:
        place.jobs.start(order(run, workers=2))
    place.later()
    assert list(place.jobs.names()) == sorted(runs)
    assert all(place.jobs.poll(run).state is State.WAITING for run in runs)


def test_jobs_of_others_are_none_of_our_business(place: Place) -> None:
    container = {"name": "x", "image": "x"}
    pod = {"metadata": {}, "spec": {"containers": [container], "restartPolicy": "Never"}}
    theirs = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "theirs"}, "spec": {"template": pod}}
    place.api.create(f"/apis/batch/v1/namespaces/{place.namespace}/jobs", theirs)
    place.later()
    assert list(place.jobs.names()) == []
    place.jobs.stop("theirs")
    assert place.job("theirs")["metadata"]["name"] == "theirs"
    with pytest.raises(errors.UnavailableError, match="belongs to somebody else"):
        place.jobs.start(order("theirs"))


def test_a_log_that_cannot_be_had_says_why_and_whose_it_is(place: Place) -> None:
    place.jobs.start(order(workers=2))
    for index in range(2):
        place.add_pod(index, **terminated(1, "Error"))
    place.later()
    text = place.jobs.log("run-1", 4096).decode()
    assert text.count('"worker_log"') == 2 and text.count("the log cannot be had") == 2
    assert len(place.jobs.log("run-1", 50)) == 50
    assert place.jobs.log("nobody", 50) == b""


def test_a_hundred_looks_at_rest_ask_once_in_a_while_and_write_nothing(place: Place) -> None:
    place.jobs.start(order())
    before, asked = place.job()["metadata"]["resourceVersion"], 0
    get = place.api.get

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal asked
        asked += 1
        return get(*arguments, **options)

    place.api.get = counted  # type: ignore[method-assign]
    for _ in range(100):
        place.now_s += 0.1
        place.jobs.names()
        place.jobs.poll("run-1")
    assert asked <= 2 * 11
    assert place.job()["metadata"]["resourceVersion"] == before


@requires_apiserver
def test_the_rights_that_are_asked_for_are_enough(real_place: Place, permissive_apiserver: ApiServer) -> None:
    """The role of the controller in the training namespace, word for word as the chart grants it."""
    place, server = real_place, permissive_apiserver
    at = ("-n", place.namespace)
    server.kubectl("create", "serviceaccount", *at, "controller")
    server.kubectl("create", "role", *at, "jobs", "--verb=get,list,create,patch,delete", "--resource=jobs.batch")
    server.kubectl("create", "role", *at, "pods", "--verb=get,list", "--resource=pods,pods/log")
    server.kubectl("create", "role", *at, "services", "--verb=get,create", "--resource=services")
    for role in ("jobs", "pods", "services"):
        binding = ("create", "rolebinding", *at, role, f"--role={role}")
        server.kubectl(*binding, f"--serviceaccount={place.namespace}:controller")
    text = server.kubeconfig.read_text()
    assert ADMIN_TOKEN in text
    kept, os.environ["KUBECONFIG"] = os.environ.get("KUBECONFIG"), str(server.folder / "controller.kubeconfig")
    (server.folder / "controller.kubeconfig").write_text(
        text.replace(ADMIN_TOKEN, server.token(place.namespace, "controller"))
    )
    try:
        place.api = kubernetes.connect(f"kubernetes://{place.namespace}")
    finally:
        os.environ.pop("KUBECONFIG")
        os.environ.update({"KUBECONFIG": kept} if kept else {})
    jobs = place.controller()
    jobs.start(order(workers=2))
    jobs.start(order(workers=2, suspend=True))
    assert jobs.poll("run-1").state is State.SUSPENDED
    jobs.log("run-1", 100)
    jobs.stop("run-1")
    assert list(jobs.names()) == []
