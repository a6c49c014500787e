"""Who reaches whom: every pod of the charts, strangers, DNS, the API server and the world, at every port that anybody
has, as one golden matrix; and a policy whose deletion changes nothing is one too many."""

import copy
import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import charts
import network_policies
import pytest
from network_policies import Endpoint

from skerry.controller.jobs import command, manifest

pytestmark = charts.requires_helm

GOLDEN = Path(__file__).parent / "network.golden"
UPDATE = "SKERRY_UPDATE_SNAPSHOTS"
SETS = ["cloud", "cloud-s3", "cloud-own-redis", "cloud-own-everything", "cloud-all-options", "edge-site", "edge-joined", "edge-joined-all-options"]  # noqa: E501  # fmt: skip

OUTSIDE = [
    Endpoint("world", "203.0.113.9"),
    Endpoint("api-server", "192.0.2.1"),
]
_OTHERS = {"world", "api-server", "dns", "stranger", "stranger-beside", "scraper", "gateway-of-cloud"}
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
    made["dns"] = ("kube-system", {"k8s-app": "kube-dns"}, {})
    pods = [_pod(who, 10 + number, *found) for number, (who, found) in enumerate(made.items())]
    return [*pods, *OUTSIDE]


def matrix(policies: Sequence[Mapping[str, Any]], endpoints: Sequence[Endpoint]) -> list[str]:
    """One line per allowed flow, `source -> destination port`; `*` where a source may go to any port."""
    lines = []
    for source in endpoints:
        for destination in endpoints:
            if source is destination or {source.name, destination.name} <= _OTHERS:
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


@functools.cache
def _policies(name: str) -> list[charts.Manifest]:
    """Not to be changed."""
    return [one for one in charts.manifests(name) if one["kind"] == "NetworkPolicy"]


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    return {name: matrix(_policies(name), world(name)) for name in SETS}


def test_who_reaches_whom_is_what_is_written_down(found: dict[str, list[str]]) -> None:
    """SKERRY_UPDATE_SNAPSHOTS=1 writes it anew."""
    text = "\n".join(f"# {name}\n" + "\n".join(lines) + "\n" for name, lines in found.items())
    if os.environ.get(UPDATE):
        GOLDEN.write_text(text)
    assert GOLDEN.read_text() == text


MUTANTS = [(name, policy["metadata"]["name"]) for name in SETS for policy in _policies(name)]


@pytest.mark.parametrize(("name", "policy"), MUTANTS, ids=[" without ".join(pair) for pair in MUTANTS])
def test_every_policy_matters(found: dict[str, list[str]], name: str, policy: str) -> None:
    left = [one for one in _policies(name) if one["metadata"]["name"] != policy]
    assert matrix(left, world(name)) != found[name]


RULES = [
    (name, one["metadata"]["name"], key, number)
    for name in SETS
    for one in _policies(name)
    for key in ("ingress", "egress")
    for number in range(len(one["spec"].get(key) or []))
]


@pytest.mark.parametrize(("name", "policy", "key", "number"), RULES, ids=[f"{n} {p} {k} {i}" for n, p, k, i in RULES])
def test_every_rule_of_a_policy_matters(
    found: dict[str, list[str]], name: str, policy: str, key: str, number: int
) -> None:
    left = copy.deepcopy(_policies(name))
    for one in left:
        if one["metadata"]["name"] == policy:
            one["spec"][key] = [rule for at, rule in enumerate(one["spec"][key]) if at != number]
    assert matrix(left, world(name)) != found[name]


@pytest.mark.parametrize("name", SETS)
def test_nobody_reaches_further_than_he_must(found: dict[str, list[str]], name: str) -> None:
    """What holds whatever the golden file says."""
    flows = {tuple(line.split(" ")[:3:2]): line.split(" ")[3:] for line in found[name]}
    own = {one.name for one in world(name) if one.namespace == charts.namespace(name)} - {"stranger-beside"}
    for stranger in ("stranger", "stranger-beside", "stranger-in-training"):
        reached = {who for (source, who) in flows if source == stranger and who in own}
        assert reached <= {"gateway", "teacher", "agent"}, f"{stranger} reaches {reached}"
    for source, destination in flows:
        if destination == "valkey":
            assert source in {"gateway", "controller", "curator", "dashboard", "toolbox"}
        if source in {"agent", "teacher", "valkey", "job", "worker", "test"}:
            assert (source, "api-server") not in flows or "6443" not in flows[source, "api-server"]
        if source in {"job", "worker"}:
            assert destination in {"gateway", "teacher", "dns", "job", "worker"} or name == "cloud-own-everything"
        if destination == "agent":
            assert "8002" not in flows[source, destination] or source == "scraper"
