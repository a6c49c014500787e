"""The Kubernetes Job of a training run, as JSON: pure, so that every field of it is a fact of a test.

A pod runs code of others: it has no token of the API, no volume but scratch, no privilege, a read-only root; what it
may reach is the door of the gateway, by ticket (docs/adr/0007).
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skerry.controller.jobs import command
from skerry.controller.jobs.protocol import Order
from skerry.core import specs

Json = dict[str, Any]

RUN, MODEL, SUSPEND = "skerry.dev/run", "skerry.dev/model", "skerry.dev/suspend"
QUEUE = "kueue.x-k8s.io/queue-name"
OURS: Mapping[str, str] = {
    "app.kubernetes.io/name": "skerry",
    "app.kubernetes.io/component": "training",
    "app.kubernetes.io/managed-by": "skerry",
}
SELECTOR = ",".join(f"{key}={value}" for key, value in OURS.items())
SERVICE = "skerry-workers"
CONTAINER = "trainer"
USER = 10_001
MARGIN_S = 60  # after which the cluster ends a job that no controller has: it takes the pods' logs with it
KEPT_S = 86_400  # a Job that ended, in case nobody is there to collect it
TMP_SIZE, WORK_SIZE = "2Gi", "8Gi"
DEFAULT_REQUESTS: Mapping[str, str] = {"cpu": "500m", "memory": "1Gi"}

_MAX_NAME = 56  # a pod of a Job is `<name>-<index>-<5>`, and its host name `<name>-<index>`: at most 63 with 64 workers
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Site:
    """What all jobs of this controller share. `environment` is theirs beside SKERRY_RUN and SKERRY_TICKET."""

    namespace: str
    image: str
    environment: Mapping[str, str]
    pull_policy: str = "IfNotPresent"
    pull_secrets: Sequence[str] = ()


def job_name(run: str) -> str:
    """A name for the Job of `run` that Kubernetes takes everywhere: the run's own when it is one, else as much of it as
    can be read and a hash."""
    if len(run) <= _MAX_NAME and _LABEL.fullmatch(run):
        return run
    readable = re.sub("[^a-z0-9]+", "-", run.lower())[: _MAX_NAME - 11].strip("-")
    return f"{readable or 'run'}-{hashlib.sha256(run.encode()).hexdigest()[:10]}"


def job(order: Order, site: Site, ticket: str) -> Json:
    """The Job. It is made suspended when the run says so, or when it has a queue, which lets it go on."""
    template = order.template
    workers = template.workers
    spec: Json = {
        "suspend": _suspended(order),
        "backoffLimit": 0,  # whether it is started again is decided here, where starts are counted
        "activeDeadlineSeconds": order.timeout_s + MARGIN_S,
        "ttlSecondsAfterFinished": KEPT_S,
        "parallelism": workers,
        "completions": workers,
        "template": {"metadata": {"labels": labels(order)}, "spec": _pod(order, site, ticket)},
    }
    if workers > 1:
        spec["completionMode"] = "Indexed"
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(order.run),
            "namespace": site.namespace,
            "labels": {**labels(order), **_queue(order)},
            "annotations": {RUN: order.run, SUSPEND: _mark(order)},
        },
        "spec": spec,
    }


def service(namespace: str) -> Json:
    """The headless Service by which the workers of a run find one another; one for all runs, since the names of pods
    begin with that of their Job."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": SERVICE, "namespace": namespace, "labels": dict(OURS)},
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": dict(OURS),
            "ports": [{"name": "rendezvous", "port": command.PORT}],
        },
    }


def labels(order: Order) -> dict[str, str]:
    """The template's own, and ours. A name that is too long for a label is there by its hash."""
    return {**order.template.labels, **OURS, RUN: _value(order.run), MODEL: _value(order.model)}


def adjusted(order: Order, found: Mapping[str, Any]) -> Json | None:
    """The merge patch that holds the Job `found`, or lets it go on; None when that was asked already: what a queue or a
    person did with the Job since then is theirs to decide."""
    if found["metadata"].get("annotations", {}).get(SUSPEND) == _mark(order):
        return None
    named = {"labels": {QUEUE: None, **_queue(order)}, "annotations": {SUSPEND: _mark(order)}}
    return {"metadata": named, "spec": {"suspend": _suspended(order)}}


def _mark(order: Order) -> str:
    """The annotation that remembers what was last asked."""
    return "true" if order.suspend else "false"


def _suspended(order: Order) -> bool:
    return order.suspend or bool(order.template.queue)


def _queue(order: Order) -> dict[str, str]:
    """A Job that the run itself holds is in no queue, which would let it go on."""
    return {QUEUE: order.template.queue} if order.template.queue and not order.suspend else {}


def _value(name: str) -> str:
    return name if _VALUE.fullmatch(name) else job_name(name)


def _pod(order: Order, site: Site, ticket: str) -> Json:
    template = order.template
    pod: Json = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(order, site, ticket)],
        "volumes": [
            {"name": "tmp", "emptyDir": {"sizeLimit": TMP_SIZE}},
            {"name": "work", "emptyDir": {"sizeLimit": WORK_SIZE}},
        ],
    }
    if template.workers > 1:
        pod["subdomain"] = SERVICE
    if template.node_selector:
        pod["nodeSelector"] = dict(template.node_selector)
    if template.tolerations:
        pod["tolerations"] = [_toleration(one) for one in template.tolerations]
    if site.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in site.pull_secrets]
    return pod


def _container(order: Order, site: Site, ticket: str) -> Json:
    workers = order.template.workers
    # Kubernetes puts the index of the pod into this variable, and variables into arguments.
    first = f"{job_name(order.run)}-0.{SERVICE}"
    variables = {**site.environment, "SKERRY_RUN": order.run, "SKERRY_TICKET": ticket, "HOME": "/work"}
    return {
        "name": CONTAINER,
        "image": site.image,
        "imagePullPolicy": site.pull_policy,
        "command": list(command.member("python", workers, "$(JOB_COMPLETION_INDEX)", first)),
        "workingDir": "/work",
        "env": [{"name": name, "value": value} for name, value in sorted(variables.items())],
        "resources": _resources(order.template),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "work", "mountPath": "/work"}],
    }


def _resources(template: specs.JobTemplate) -> Json:
    requests, limits = dict(template.requests), dict(template.limits)
    if not requests and not limits:
        requests = dict(DEFAULT_REQUESTS)
    return {name: amounts for name, amounts in (("requests", requests), ("limits", limits)) if amounts}


def _toleration(one: specs.Toleration) -> Json:
    found: Json = {"operator": one.operator}
    for name, value in (("key", one.key), ("value", one.value), ("effect", one.effect)):
        if value:
            found[name] = value
    return found if one.seconds is None else found | {"tolerationSeconds": one.seconds}
