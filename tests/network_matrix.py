"""Everybody around a value set of the charts, and who of them reaches whom by its NetworkPolicies."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import charts
import network_policies
from network_policies import Endpoint

from skerry.controller.jobs import command, manifest

OUTSIDE = [
    Endpoint("world", "203.0.113.9"),
    Endpoint("api-server", "192.0.2.1"),
]
OTHERS = {"world", "api-server", "dns", "stranger", "stranger-beside", "scraper", "keda", "gateway-of-cloud"}
PORTS = {
    **dict.fromkeys(("world", "api-server"), (443, 6443, 6379, 6380, 8001, 8080, 8443, 8444, 8445, 8446, 8447, 22)),
    "dns": (53, 8080),
    "stranger": (80, 8001, 8080, 6443),
    "scraper": (9090,),
    "gateway-of-cloud": (8080, 8443, 8444, 8445, 8446),
}


def _pod(name: str, number: int, namespace: str, labels: Mapping[str, str], ports: Mapping[str, int]) -> Endpoint:
    named = {"kubernetes.io/metadata.name": namespace}
    return Endpoint(name, f"10.244.0.{number}", namespace, labels, named, ports)


@functools.cache
def world(name: str) -> list[Endpoint]:
    """Everybody around a value set: its own pods by component, a training job, strangers here and elsewhere."""
    namespace = charts.namespace(name)
    made: dict[str, tuple[str, Mapping[str, str], Mapping[str, int]]] = {}
    for one in charts.manifests(name):
        for labels, pod in charts.pod_specs(one):
            ports = {
                port["name"]: port["containerPort"] for each in pod["containers"] for port in each.get("ports", [])
            }
            made[labels["app.kubernetes.io/component"]] = (namespace, labels, ports)
    if name.startswith("cloud"):
        training = (charts.SETS[name][1].get("training") or {}).get("namespace") or "skerry-training"
        made["job"] = made["worker"] = (training, manifest.OURS, {"rendezvous": command.PORT})
        made["stranger-in-training"] = (training, {}, {})
    else:
        labels = {"app.kubernetes.io/name": "skerry", "app.kubernetes.io/component": "gateway"}
        made["gateway-of-cloud"] = ("skerry", labels, {})
    made["stranger-beside"] = (namespace, {"app": "other"}, {})
    made["stranger"] = ("elsewhere", {"app": "other"}, {})
    made["scraper"] = ("monitoring", {"app": "prometheus"}, {})
    if any(one["kind"] == "ScaledObject" for one in charts.manifests(name)):
        made["keda"] = ("keda", {"app": "keda-operator"}, {})
    made["dns"] = ("kube-system", {"k8s-app": "kube-dns"}, {})
    pods = [_pod(who, 10 + number, *found) for number, (who, found) in enumerate(made.items())]
    return [*pods, *OUTSIDE]


def matrix(policies: Sequence[Mapping[str, Any]], endpoints: Sequence[Endpoint]) -> list[str]:
    """One line per allowed flow, `source -> destination port`; `*` where a source may go to any port."""
    lines = []
    for source in endpoints:
        for destination in endpoints:
            if source is destination or {source.name, destination.name} <= OTHERS:
                continue
            ports = [*destination.ports.values(), *PORTS.get(destination.name, ()), 1]
            for protocol in ("TCP", "UDP"):
                open_ports = [
                    port
                    for port in sorted(set(ports))
                    if network_policies.allows(policies, source, destination, port, protocol)
                ]
                if open_ports:
                    told = "*" if 1 in open_ports else " ".join(map(str, open_ports))
                    lines.append(f"{source.name} -> {destination.name} {protocol} {told}")
    return lines
