"""A namespace for training on an API server, and jobs in it.

No node is there and no controller: pods and outcomes are written by hand, as kubelet and job controller would.
"""

import datetime
import os
from typing import Any

from apiserver_process import ApiServer
from apiserver_twin import TwinServer

from skerry.adapters import kubernetes
from skerry.adapters.kubernetes import Api
from skerry.controller.jobs import manifest
from skerry.controller.jobs.kubernetes import KubernetesJobs
from skerry.controller.jobs.protocol import Job, Order
from skerry.core import specs

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
    """A namespace for training, which a real API server holds to the restricted profile, and jobs in it."""

    def __init__(self, server: ApiServer | TwinServer) -> None:
        self.namespace = server.namespace()
        if isinstance(server, ApiServer):
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


def order(run: str = "run-1", *, suspend: bool = False, **template: Any) -> Order:
    return Order(run, "digits", 900, specs.JobTemplate(**template), suspend)


def terminated(code: int, reason: str) -> dict[str, Any]:
    at = "2026-01-01T00:00:00Z"
    state = {"terminated": {"exitCode": code, "reason": reason, "startedAt": at, "finishedAt": at}}
    container = {"name": "trainer", "image": "x", "imageID": "x", "ready": False, "restartCount": 0, "state": state}
    return {"phase": "Failed", "containerStatuses": [container]}
