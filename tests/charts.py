"""The charts of `helm/` as `helm template` renders them: the value sets that tests look at, and what is in them."""

import functools
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import require
import yaml

HELM = Path(__file__).parent.parent / "helm"
Manifest = dict[str, Any]
requires_helm = require.requires("helm", shutil.which("helm") is not None, "helm 3.14 or newer is not on the PATH")

_NULLS = [
    "global", "nodeSelector", "tolerations", "affinity", "podAnnotations", "podLabels", "extraEnv", "proxy", "caBundle",
    "priorityClassName", "nameOverride", "fullnameOverride", "clusterDomain", "logLevel", "listenAddress",
    "networkPolicy", "serviceMonitor", "tests",
]  # fmt: skip
_CLOUD_NULLS = [
    "identity", "hosts", "existingSecrets", "secretsJob", "certManager", "redis", "training", "renewal", "alerts",
    "grafanaDashboard", "webhook", "size",
]  # fmt: skip
_POD_NULLS = ["resources", "nodeSelector", "tolerations", "affinity", "priorityClassName", "podAnnotations", "podLabels", "extraEnv"]  # noqa: E501  # fmt: skip
_PARTS = ["gateway", "controller", "curator", "teacher", "dashboard", "toolbox", "valkey"]
_S3 = {"kind": "s3", "s3": {"blobs": "s3://b/blobs", "repository": "s3://b/repository", "existingSecret": "s3"}}
_PLACED = {
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "priorityClassName": "system-node-critical",
    "podAnnotations": {"team": "vision"},
    "podLabels": {"team": "vision"},
    "extraEnv": [{"name": "ONE", "value": "1"}],
    "proxy": {"http": "http://proxy:3128", "https": "http://proxy:3128", "exclude": "10.0.0.0/8"},
    "caBundle": {"configMap": "bundle"},
    "global": {"registry": "mirror.example:5000/x", "imagePullSecrets": ["pull"]},
    "serviceMonitor": {"enabled": True, "interval": "15s", "labels": {"release": "prometheus"}},
}
_SCRAPER = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]

EDGE = {"gateway": "gateway.example", "existingSecret": "skerry-join"}
JOINED = {"gateway": "skerry-gateway.skerry.svc", "existingSecret": "skerry-join", "mode": "joined"}

# (chart, values) by name; the first of each chart is what the others are compared with.
SETS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "cloud": ("skerry", {}),
    "cloud-s3": (
        "skerry",
        {
            "storage": _S3,
            "gateway": {"replicas": 3},
            "networkPolicy": {"apiServer": {"cidrs": ["192.0.2.1/32"], "ports": [6443]}},
        },
    ),
    "cloud-large": ("skerry", {"size": "large", "storage": _S3}),
    "cloud-scaled": (
        "skerry",
        {
            "storage": _S3,
            "gateway": {"autoscaling": {"enabled": True, "connections": 3000}},
            "curator": {"autoscaling": {"enabled": True, "by": "Lag", "maxReplicas": 3}},
        },
    ),
    "cloud-scaled-own-redis": (
        "skerry",
        {
            "size": "large",
            "storage": _S3,
            "redis": {"existingSecret": {"name": "redis"}},
            "curator": {
                "autoscaling": {
                    "enabled": True,
                    "by": "Lag",
                    "keda": {"address": "redis.example:6379", "authentication": "redis"},
                }
            },
        },
    ),
    "cloud-own-redis": ("skerry", {"redis": {"existingSecret": {"name": "redis"}}}),
    "cloud-cert-manager": ("skerry", {"certManager": {"enabled": True}, "hosts": ["gw.example", "192.0.2.7"]}),
    "cloud-own-everything": (
        "skerry",
        {
            "existingSecrets": {name: f"my-{name.lower()}" for name in (
                "keysRoot", "keysPublisher", "keysOnline", "trust", "issuer", "gatewayTls", "tickets", "valkey")},
            "redis": {"url": "rediss://redis.example:6380/0"},
            "storage": {"volume": {"existingClaim": "mine"}},
            "teacher": {"address": "triton.example:8001"},
            "training": {"namespace": "jobs", "createNamespace": False},
            "dashboard": {"enabled": False},
            "alerts": {"enabled": True, "kind": "ConfigMap"},
            "toolbox": {"enabled": False},
        },
    ),
    "cloud-all-options": (
        "skerry",
        {
            **_PLACED,
            "storage": {"volume": {"accessModes": ["ReadWriteMany"], "storageClass": "nfs", "volumeName": "v"}},
            "gateway": {
                "autoscaling": {"enabled": True},
                "service": {"type": "NodePort", "nodePorts": {"fleet": 30443, "repository": 30444, "enrol": 30445}},
                "nodeSelector": {"zone": "a"},
            },
            "curator": {"autoscaling": {"enabled": True}},
            "teacher": {"service": {"type": "ClusterIP"}},
            "dashboard": {
                "allowFrom": _SCRAPER,
                "ingress": {
                    "enabled": True,
                    "className": "nginx",
                    "host": "factory.example",
                    "path": "/skerry",
                    "annotations": {"nginx.ingress.kubernetes.io/auth-url": "https://login.example/check"},
                    "tlsSecret": "factory-tls",
                },
            },
            "toolbox": {"rootKey": True},
            "alerts": {"enabled": True, "labels": {"release": "prometheus"}},
            "grafanaDashboard": {"enabled": True},
            "webhook": {
                "url": "http://hooks.example:22/skerry",
                "existingSecret": {"name": "hook"},
                "allow": ["10.1.0.0/16"],
                "cidrs": ["203.0.113.0/24"],
            },
            "networkPolicy": {"metricsFrom": _SCRAPER, "dns": {"cidrs": ["169.254.20.10/32"]}},
            "images": {"cloud": {"digest": f"sha256:{'a' * 64}"}},
        },
    ),
    "cloud-nulls": (
        "skerry",
        dict.fromkeys(_NULLS + _CLOUD_NULLS)
        | {part: dict.fromkeys(_POD_NULLS) for part in _PARTS}
        | {
            "dashboard": dict.fromkeys([*_POD_NULLS, "ingress", "allowFrom"]),
            "gateway": dict.fromkeys([*_POD_NULLS, "autoscaling", "service", "drainSeconds"]),
            "curator": dict.fromkeys([*_POD_NULLS, "autoscaling"]),
            "teacher": dict.fromkeys([*_POD_NULLS, "enabled", "address", "service", "storage"]),
            "valkey": dict.fromkeys([*_POD_NULLS, "enabled", "persistence", "maxMemory"]),
            "storage": {"volume": None, "s3": None},
        },
    ),
    "edge-site": ("skerry-edge", EDGE),
    "edge-joined": ("skerry-edge", JOINED),
    "edge-joined-hostport": (
        "skerry-edge",
        {**JOINED, "clientAccess": "hostPort", "joined": {"prepareDirectory": True}},
    ),
    "edge-joined-all-options": (
        "skerry-edge",
        {
            **_PLACED,
            **JOINED,
            "clientAccess": "nodePort",
            "service": {"nodePort": 30801, "publishNotReadyAddresses": False},
            "joined": {"nodeSelector": {"edge": "yes"}, "maxSurge": 2},
            "unixSocket": {"hostPath": "/run/skerry-sockets", "users": "1000,2000"},
            "networkPolicy": {"metricsFrom": _SCRAPER, "clients": {"cidrs": ["10.0.0.0/8"], "pods": False}},
            "offload": False,
            "tests": {"requireModel": True},
        },
    ),
    "edge-site-token": (
        "skerry-edge",
        {
            "gateway": "gateway.example",
            "teacher": "teacher.example",
            "token": f"skr1.id.secret.{'0' * 64}",
            "nodeName": "press-7",
            "clientAccess": "loadBalancer",
            "feedback": {"accept": "Token,Secret", "existingSecret": "site"},
            "privacy": {"configMap": "site-privacy"},
            "persistence": {"storageClass": "-"},
        },
    ),
    "edge-nulls": (
        "skerry-edge",
        EDGE
        | dict.fromkeys([*_NULLS, "resources", "agent", "service", "persistence", "joined", "teacher", "token", "nodeName", "offload", "privacy"]),  # noqa: E501
    ),
}  # fmt: skip


def namespace(name: str) -> str:
    """Where a set is installed."""
    return "skerry" if name.startswith("cloud") else "edge"


@functools.cache
def text(name: str) -> str:
    """A set as `helm template` prints it, without tests of other charts' kinds left out."""
    chart, values = SETS[name]
    done = template(chart, values, release="skerry" if chart == "skerry" else "edge", namespace=namespace(name))
    assert done.returncode == 0, done.stderr
    return done.stdout


def manifests(name: str) -> list[Manifest]:
    """Every object of a set, hooks too."""
    return list(parsed(text(name)))


def template(
    chart: str, values: Mapping[str, Any], *, release: str = "skerry", namespace: str = "skerry"
) -> "subprocess.CompletedProcess[str]":
    """`helm template` of `values`, whatever comes of it."""
    arguments = ("template", release, str(HELM / chart), "--namespace", namespace, "--values", "-")
    return helm(*arguments, values=values)


def helm(*arguments: str, values: Mapping[str, Any]) -> "subprocess.CompletedProcess[str]":
    """Any helm command that needs no cluster, with `values` on its standard input."""
    return subprocess.run(
        ["helm", *arguments], input=json.dumps(values), capture_output=True, text=True, timeout=60, check=False
    )


def parsed(rendered: str) -> Iterator[Manifest]:
    yield from (one for one in yaml.safe_load_all(rendered) if one)


def pod_specs(manifest: Manifest) -> Iterator[tuple[dict[str, str], Manifest]]:
    """Labels and spec of the pods that an object makes."""
    if manifest["kind"] == "Pod":
        yield manifest["metadata"].get("labels", {}), manifest["spec"]
    elif manifest["kind"] == "CronJob":
        yield from pod_specs(manifest["spec"]["jobTemplate"] | {"kind": "Job"})
    elif "template" in manifest.get("spec", {}):
        template = manifest["spec"]["template"]
        yield template["metadata"]["labels"], template["spec"]
