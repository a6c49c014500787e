"""Training jobs against a real Kubernetes API: what it takes, what it refuses, and what is read back from it.

No node is there and no controller: pods and outcomes are written by hand, as kubelet and job controller would.
"""

import datetime
import os
from collections.abc import Iterator
from typing import Any

import pytest
from apiserver_process import ADMIN_TOKEN, ApiServer, requires_apiserver

from skerry.adapters import kubernetes
from skerry.adapters.kubernetes import Api
from skerry.controller.jobs import manifest
from skerry.controller.jobs.kubernetes import QUEUE_S, KubernetesJobs
from skerry.controller.jobs.protocol import Job, Order, State
from skerry.core import errors, specs, tickets

pytestmark = requires_apiserver

KEY = b"k" * 32
NOW_S = 1_790_000_000
TEMPLATE = specs.JobTemplate(
    labels={"team": "vision"},
    node_selector={"example.com/gpu": "a2"},
    tolerations=(specs.Toleration("nvidia.com/gpu", "Exists", "", "NoSchedule"),),
    requests={"cpu": "500m", "memory": "1Gi"},
    limits={"memory": "2Gi", "nvidia.com/gpu": "1"},
)


class Place:
    """A namespace for training that enforces the restricted profile, and jobs in it."""

    def __init__(self, server: ApiServer) -> None:
        self.server, self.namespace = server, server.namespace()
        server.kubectl("label", "namespace", self.namespace, "pod-security.kubernetes.io/enforce=restricted")
        kept, os.environ["KUBECONFIG"] = os.environ.get("KUBECONFIG"), str(server.kubeconfig)
        try:
            self.api: Api = kubernetes.connect(f"kubernetes://{self.namespace}")
        finally:
            os.environ.pop("KUBECONFIG")
            os.environ.update({"KUBECONFIG": kept} if kept else {})
        self.now_s = 0.0
        self.jobs = self.controller()

    def controller(self) -> KubernetesJobs:
        """What a controller that has just started sees."""
        site = manifest.Site(self.namespace, "skerry-trainer:1", {"SKERRY_BLOBS": "https://gateway:8446/"})
        return KubernetesJobs(self.api, site, KEY, lambda: NOW_S, lambda: self.now_s)

    def later(self) -> None:
        self.now_s += 10

    def poll(self, name: str = "run-1") -> Job:
        self.later()
        return self.jobs.poll(name)

    def job(self, name: str = "run-1") -> dict[str, Any]:
        return self.api.get(f"/apis/batch/v1/namespaces/{self.namespace}/jobs/{name}", {})

    def patch_job(self, body: dict[str, Any], name: str = "run-1") -> None:
        self.api.patch(f"/apis/batch/v1/namespaces/{self.namespace}/jobs/{name}", body)

    def add_pod(self, index: int = 0, name: str = "run-1", **status: Any) -> str:
        """As the job controller and a kubelet would."""
        job = self.job(name)
        labels = {
            **job["spec"]["template"]["metadata"]["labels"],
            "batch.kubernetes.io/controller-uid": job["metadata"]["uid"],
        }
        annotations = {"batch.kubernetes.io/job-completion-index": str(index)}
        pods = f"/api/v1/namespaces/{self.namespace}/pods"
        made = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"{name}-{index}", "labels": labels, "annotations": annotations},
            "spec": {**job["spec"]["template"]["spec"], "nodeName": "node-a"},
        }
        self.api.create(pods, made)
        self.api.patch(f"{pods}/{name}-{index}/status", {"status": {"phase": "Pending"} | status})
        return f"{name}-{index}"

    def end(self, kind: str, reason: str = "BackoffLimitExceeded", message: str = "", name: str = "run-1") -> None:
        """As the job controller does, in two steps: the API server lets no Job end without its forerunner."""
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        one = {"status": "True", "reason": reason, "message": message, "lastTransitionTime": now}
        before = {"Failed": "FailureTarget", "Complete": "SuccessCriteriaMet"}[kind]
        found = {"startTime": now, "conditions": [{"type": before, **one}]}
        path = f"/apis/batch/v1/namespaces/{self.namespace}/jobs/{name}/status"
        self.api.patch(path, {"status": found})
        found["conditions"] = [{"type": before, **one}, {"type": kind, **one}]
        succeeded = {"completionTime": now, "succeeded": 1} if kind == "Complete" else {"failed": 1}
        self.api.patch(path, {"status": found | succeeded})


@pytest.fixture(scope="module")
def server(permissive_apiserver: ApiServer) -> ApiServer:
    return permissive_apiserver


@pytest.fixture
def place(server: ApiServer) -> Iterator[Place]:
    made = Place(server)
    yield made
    made.api.close()


def order(run: str = "run-1", *, suspend: bool = False, **template: Any) -> Order:
    return Order(run, "digits", 900, specs.JobTemplate(**template), suspend)


def terminated(code: int, reason: str) -> dict[str, Any]:
    at = "2026-01-01T00:00:00Z"
    state = {"terminated": {"exitCode": code, "reason": reason, "startedAt": at, "finishedAt": at}}
    container = {"name": "trainer", "image": "x", "imageID": "x", "ready": False, "restartCount": 0, "state": state}
    return {"phase": "Failed", "containerStatuses": [container]}


def test_a_job_is_started_waits_runs_ends_and_is_forgotten(place: Place) -> None:
    assert place.poll() == Job(State.ABSENT)
    place.jobs.start(order())
    assert place.poll().state is State.WAITING and place.poll().reason == "Starting"
    place.add_pod(phase="Running")
    assert place.poll() == Job(State.RUNNING)
    assert list(place.controller().names()) == ["run-1"], "a controller that starts anew knows it"
    place.end("Complete")
    assert place.poll() == Job(State.ENDED, 0)
    place.jobs.stop("run-1")
    assert (place.poll(), list(place.jobs.names())) == (Job(State.ABSENT), [])


def test_starting_a_running_job_again_changes_nothing(place: Place) -> None:
    place.jobs.start(order())
    before = place.job()["metadata"]
    place.jobs.start(order())
    assert place.job()["metadata"] == before


def test_a_job_that_ended_is_started_anew_and_its_old_pods_are_not_its(place: Place) -> None:
    place.jobs.start(order())
    place.add_pod(**terminated(1, "Error"))
    place.end("Failed")
    assert place.poll().exit_code == 1
    place.jobs.start(order())
    assert place.poll().state is State.WAITING


def test_the_job_is_what_was_asked_for_in_the_words_of_the_api(place: Place) -> None:
    place.jobs.start(Order("run-1", "digits", 900, TEMPLATE))
    found = place.job()
    assert found["metadata"]["labels"]["team"] == "vision"
    assert found["metadata"]["labels"]["skerry.dev/model"] == "digits"
    pod = found["spec"]["template"]
    assert pod["metadata"]["labels"].items() >= {"team": "vision", "skerry.dev/run": "run-1"}.items()
    assert pod["spec"]["nodeSelector"] == {"example.com/gpu": "a2"}
    assert pod["spec"]["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "500m", "memory": "1Gi"},
        "limits": {"memory": "2Gi", "nvidia.com/gpu": "1"},
    }
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert (found["spec"]["activeDeadlineSeconds"], found["spec"]["backoffLimit"]) == (960, 0)


def test_the_ticket_opens_the_door_for_this_run_while_a_queue_may_hold_it(place: Place) -> None:
    place.jobs.start(order())
    env = {one["name"]: one["value"] for one in place.job()["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert tickets.check(KEY, env["SKERRY_TICKET"], now_unix_s=NOW_S + 900 + QUEUE_S - 1) == "run-1"


def test_several_workers_are_an_indexed_job_with_one_headless_service_for_all_runs(place: Place) -> None:
    for run in ("run-1", "run-2"):
        place.jobs.start(order(run, workers=3))
    found = place.job()["spec"]
    assert (found["completionMode"], found["completions"], found["parallelism"]) == ("Indexed", 3, 3)
    assert found["template"]["spec"]["subdomain"] == "skerry-workers"
    services = place.api.get(f"/api/v1/namespaces/{place.namespace}/services", {})["items"]
    assert [(one["metadata"]["name"], one["spec"]["clusterIP"]) for one in services] == [("skerry-workers", "None")]
    for index in range(3):
        assert place.poll().state is State.WAITING
        place.add_pod(index, phase="Running")
    assert place.poll().state is State.RUNNING


def test_a_pod_of_ours_is_let_in_by_the_restricted_profile_and_a_lesser_one_is_not(place: Place) -> None:
    place.jobs.start(Order("run-1", "digits", 900, TEMPLATE))
    spec = place.job()["spec"]["template"]["spec"]
    pods, dry = f"/api/v1/namespaces/{place.namespace}/pods", {"dryRun": "All"}

    def ask(changed: dict[str, Any]) -> None:
        made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "try"}, "spec": changed}
        place.api.create(pods, made, dry)

    ask(spec)
    for changed in (
        spec | {"securityContext": {}},
        spec | {"hostNetwork": True},
        spec | {"volumes": [*spec["volumes"], {"name": "host", "hostPath": {"path": "/"}}]},
    ):
        with pytest.raises(errors.RejectedError, match="PodSecurity"):
            ask(changed)


def test_a_held_job_waits_and_goes_on_when_the_run_says_so(place: Place) -> None:
    place.jobs.start(order(suspend=True))
    held = place.poll()
    assert (held.state, held.suspend, held.message) == (State.SUSPENDED, True, "spec.suspend is true")
    place.jobs.start(order())
    assert place.job()["spec"]["suspend"] is False
    assert (place.poll().state, place.poll().suspend) == (State.WAITING, False)
    place.jobs.start(order(suspend=True))
    assert place.job()["spec"]["suspend"] is True


def test_a_queue_lets_a_job_go_on_and_may_take_it_back(place: Place) -> None:
    place.jobs.start(order(queue="nightly"))
    assert place.job()["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "nightly"
    waiting = place.poll()
    assert (waiting.state, waiting.suspend) == (State.SUSPENDED, False) and "queue nightly" in waiting.message
    for suspended in (False, True, False):
        place.patch_job({"spec": {"suspend": suspended}})
        place.jobs.start(order(queue="nightly"))
        assert place.job()["spec"]["suspend"] is suspended, "what the queue says stands"
    assert place.poll().state is State.WAITING


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
    place.server.kubectl("delete", "job", "-n", place.namespace, "run-1", "--cascade=background")
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


def test_a_namespace_that_is_not_there_is_named(server: ApiServer, place: Place) -> None:
    site = manifest.Site("nowhere", "x", {})
    jobs = KubernetesJobs(place.api, site, KEY, lambda: NOW_S, lambda: 0.0)
    assert (list(jobs.names()), jobs.poll("run-1").state) == ([], State.ABSENT)
    for wanted in (order(), order(workers=2)):
        with pytest.raises(errors.UnavailableError, match="no namespace nowhere"):
            jobs.start(wanted)


def test_what_the_api_calls_invalid_is_an_error_of_the_order(place: Place) -> None:
    with pytest.raises(errors.InputError, match="must be less than or equal to memory limit"):
        place.jobs.start(order(requests={"memory": "2Gi"}, limits={"memory": "1Gi"}))


def test_a_quota_is_a_refusal_that_an_operator_may_lift(place: Place) -> None:
    place.server.kubectl("create", "quota", "-n", place.namespace, "none", "--hard=count/jobs.batch=0")
    place.server.kubectl(
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
    place.server.kubectl("create", "job", "-n", place.namespace, "theirs", "--image=x")
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


def test_the_rights_that_are_asked_for_are_enough(place: Place) -> None:
    """The role of the controller in the training namespace, word for word as the chart grants it."""
    at = ("-n", place.namespace)
    place.server.kubectl("create", "serviceaccount", *at, "controller")
    place.server.kubectl("create", "role", *at, "jobs", "--verb=get,list,create,patch,delete", "--resource=jobs.batch")
    place.server.kubectl("create", "role", *at, "pods", "--verb=get,list", "--resource=pods,pods/log")
    place.server.kubectl("create", "role", *at, "services", "--verb=get,create", "--resource=services")
    for role in ("jobs", "pods", "services"):
        binding = ("create", "rolebinding", *at, role, f"--role={role}")
        place.server.kubectl(*binding, f"--serviceaccount={place.namespace}:controller")
    text = place.server.kubeconfig.read_text()
    assert ADMIN_TOKEN in text
    kept, os.environ["KUBECONFIG"] = os.environ.get("KUBECONFIG"), str(place.server.folder / "controller.kubeconfig")
    (place.server.folder / "controller.kubeconfig").write_text(
        text.replace(ADMIN_TOKEN, place.server.token(place.namespace, "controller"))
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
