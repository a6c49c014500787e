"""A fresh installation: nodes enrolled by token, what pods may not do, what a person sees."""

import json

import kube
import pytest
from kube_site import CLOUD, EDGE, SPACES, Site

pytestmark = kube.requires_cluster
KINDS = "edgemodels,modelversions,edgefleets,edgenodes,modelrollouts,trainingruns"
# Working set in MiB after the start; far above what was seen, to find a pod that grows.
MEMORY_MB = {"gateway": 200, "controller": 200, "curator": 250, "dashboard": 200, "teacher": 250, "edge": 150}


def test_every_node_enrolled_with_its_token_and_got_its_labels(site: Site) -> None:
    nodes = site.nodes()
    assert sorted(nodes) == site.edges
    assert all(one.spec["labels"] == {"site": "test"} and one.spec["approvedKey"] for one in nodes.values())
    (token,) = site.store.list("JoinToken")
    assert sorted(use["name"] for use in token.status["nodes"]) == site.edges


def test_the_cloud_namespaces_admit_only_restricted_pods(site: Site) -> None:
    for space in (CLOUD, f"{CLOUD}-training"):
        labels = kube.get("namespace", space)["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_an_agent_holds_no_credential_of_the_cluster(site: Site) -> None:
    pod = site.agent_pod(site.edges[0])["metadata"]["name"]
    assert "serviceaccount" not in kube.execute(EDGE, pod, "sh", "-c", "find /var/run/secrets /run/secrets; true")


@pytest.mark.parametrize(("release", "namespace"), [("skerry", CLOUD), ("edge", EDGE)])
def test_helm_test_before_there_is_a_model(site: Site, release: str, namespace: str) -> None:
    assert "Succeeded" in kube.helm("test", release, "-n", namespace, "--logs")


def test_memory_of_each_pod(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    rows = []
    for node in (site.cloud, *site.edges):
        for pod in json.loads(kube.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary"))["pods"]:
            if pod["podRef"]["namespace"] in SPACES and "memory" in pod:
                rows.append((pod["podRef"]["name"], node, pod["memory"]["workingSetBytes"] / 2**20))
    with capsys.disabled():
        print("\n" + "\n".join(f"  {name:<40} {node:<8} {megabytes:6.1f} MiB" for name, node, megabytes in rows))  # noqa: T201
    assert len(rows) >= 7 + len(site.edges)
    for name, _, megabytes in rows:
        assert megabytes < MEMORY_MB.get(name.split("-")[0 if name.startswith("edge-") else 1], 100), name
