"""What the chart learns from the cluster it is installed into: where the API server is, so that no more is open; and
whether the fleet `all` is somebody else's."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import charts
import network_matrix
import pytest
from apiserver_process import ApiServer, kubeconfig, requires_apiserver

pytestmark = [charts.requires_helm, requires_apiserver]

SERVICE = "10.0.0.1"  # of the real API server of these tests


def _slice(*addresses: str) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "kubernetes", "namespace": "default"},
        "addressType": "IPv6" if ":" in addresses[0] else "IPv4",
        "endpoints": [{"addresses": [one]} for one in addresses],
        "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}],
    }


@pytest.fixture
def behind(cluster: ApiServer, request: pytest.FixtureRequest) -> Iterator[tuple[str, ...]]:
    """Addresses of the control plane, as an API server that does not run on loopback writes them down itself."""
    addresses: tuple[str, ...] = request.param
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(_slice(*addresses)))
    yield addresses
    cluster.kubectl("-n", "default", "delete", "endpointslice", "kubernetes")


def render(access: Path, values: Mapping[str, Any]) -> "subprocess.CompletedProcess[str]":
    """As `helm upgrade` renders it into this cluster, which others use, too: an install would refuse what they made."""
    return charts.helm(
        "template", "skerry", str(charts.HELM / "skerry"), "--namespace", "skerry", "--values", "-",
        "--dry-run=server", "--is-upgrade", "--kubeconfig", str(access), values=values,
    )  # fmt: skip


def rendered(cluster: ApiServer, values: Mapping[str, Any] | None = None) -> list[charts.Manifest]:
    done = render(cluster.kubeconfig, values or {})
    assert done.returncode == 0, done.stderr
    return [one for one in charts.parsed(done.stdout) if one["kind"] == "NetworkPolicy"]


def rule(policies: list[charts.Manifest]) -> tuple[list[str], list[int]]:
    """(addresses, ports) of the policy for the API server."""
    egress = next(one for one in policies if one["metadata"]["name"] == "skerry-api-server")["spec"]["egress"]
    assert len(egress) == 1
    return [peer["ipBlock"]["cidr"] for peer in egress[0]["to"]], [port["port"] for port in egress[0]["ports"]]


@pytest.mark.parametrize(
    ("behind", "told"),
    [
        pytest.param(("192.0.2.1",), ["192.0.2.1/32"], id="a public address is meant alone"),
        pytest.param(("10.1.2.3", "10.1.2.4"), ["10.1.2.0/24"], id="private ones with their neighbors"),
        pytest.param(("192.168.7.9",), ["192.168.7.0/24"], id="of a site"),
        pytest.param(("172.16.0.9", "172.32.0.9"), ["172.16.0.0/24", "172.32.0.9/32"], id="at the edge of private"),
        pytest.param(("fd00::7",), ["fd00::7/128"], id="IPv6"),
    ],
    indirect=["behind"],
)
def test_the_policy_names_what_the_cluster_says(cluster: ApiServer, behind: tuple[str, ...], told: list[str]) -> None:
    policies = rendered(cluster)
    assert rule(policies) == ([f"{SERVICE}/32", *told], [443, 6443])
    for namespace in ("skerry", "skerry-training"):
        cluster.kubectl("create", "namespace", namespace, check=False)
    written = charts.yaml.safe_dump_all(policies)
    said = cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=written)
    assert said.count("server dry run") == len(policies) and "Warning" not in said


@pytest.mark.parametrize("behind", [("192.0.2.1",)], indirect=True)
def test_nobody_reaches_the_world_any_more_and_else_everything_is_as_before(
    cluster: ApiServer, behind: tuple[str, ...]
) -> None:
    """The matrix of the golden file, less the world's ports of the API server."""
    everybody = network_matrix.world("cloud")
    wide = network_matrix.matrix(
        [one for one in charts.manifests("cloud") if one["kind"] == "NetworkPolicy"], everybody
    )
    narrow = network_matrix.matrix(rendered(cluster), everybody)
    askers = {"gateway", "controller", "curator", "dashboard", "toolbox", "secrets"}
    lost = [line for line in wide if line not in narrow]
    assert {f"{one} -> world TCP 443 6443" for one in askers} <= set(lost)
    assert set(_sources(lost)) == askers
    assert all(set(line.split(" ")[4:]) <= {"443", "6443"} for line in lost), "pods of others listen there, too"
    assert [line for line in narrow if line not in wide] == []
    left = [line for line in narrow if {"443", "6443"} & set(line.split(" ")[4:])]
    assert left == [f"{one} -> api-server TCP 443 6443" for one in _sources(left)] and set(askers) == set(
        _sources(left)
    )


def _sources(lines: list[str]) -> list[str]:
    return [line.split(" ")[0] for line in lines]


@pytest.mark.parametrize("behind", [("192.0.2.1",)], indirect=True)
def test_what_was_given_is_what_counts(cluster: ApiServer, behind: tuple[str, ...]) -> None:
    given = {"networkPolicy": {"apiServer": {"cidrs": ["198.51.100.0/24"], "ports": [8443]}}}
    assert rule(rendered(cluster, given)) == (["198.51.100.0/24"], [8443])


def test_without_a_cluster_or_its_addresses_every_address_is_meant(cluster: ApiServer) -> None:
    """`helm template`, and an API server that tells no address."""
    open_to_all = (["0.0.0.0/0"], [443, 6443])
    assert rule([one for one in charts.manifests("cloud") if one["kind"] == "NetworkPolicy"]) == open_to_all
    assert rule(rendered(cluster)) == open_to_all


def test_who_may_not_look_is_told_and_says_the_addresses_himself(cluster: ApiServer, tmp_path: Path) -> None:
    """Somebody who installs into his namespace and may read no other."""
    cluster.kubectl("create", "namespace", "skerry", check=False)
    cluster.kubectl("-n", "skerry", "create", "serviceaccount", "installer")
    cluster.kubectl(
        "-n", "skerry", "create", "rolebinding", "installer", "--clusterrole=skerry-view",
        "--serviceaccount=skerry:installer",
    )  # fmt: skip
    file = tmp_path / "kubeconfig"
    file.write_text(kubeconfig(cluster.url, cluster.ca_file, cluster.token("skerry", "installer")))
    refused = render(file, {})
    assert refused.returncode and 'services "kubernetes" is forbidden' in refused.stderr
    allowed = render(file, {"networkPolicy": {"apiServer": {"cidrs": ["192.0.2.1/32"]}}})
    assert allowed.returncode == 0, allowed.stderr


@pytest.fixture
def fleet(cluster: ApiServer, request: pytest.FixtureRequest) -> Iterator[None]:
    """The EdgeFleet `all` with these annotations; None: there is none."""
    cluster.kubectl("create", "namespace", "skerry", check=False)
    annotations: dict[str, str] | None = request.param
    if annotations is not None:
        metadata = {"name": "all", "namespace": "skerry", "annotations": annotations}
        made = {"apiVersion": "skerry.dev/v1alpha1", "kind": "EdgeFleet", "metadata": metadata, "spec": {}}
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(made))
    yield
    cluster.kubectl("-n", "skerry", "delete", "edgefleet", "all", "--ignore-not-found")


def _of(name: str, namespace: str) -> dict[str, str]:
    return {"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": namespace}


@pytest.mark.parametrize(
    ("fleet", "made"),
    [
        pytest.param(None, True, id="none is there"),
        pytest.param(_of("skerry", "skerry"), True, id="an earlier revision of this release made it"),
        pytest.param({}, False, id="somebody made it by hand"),
        pytest.param(_of("skerry", "other"), False, id="a release of another namespace made it"),
        pytest.param(_of("cloud", "skerry"), False, id="another release made it"),
    ],
    indirect=["fleet"],
)
def test_the_fleet_of_every_node_is_made_unless_somebody_else_made_one(
    cluster: ApiServer, fleet: None, made: bool
) -> None:
    done = render(cluster.kubeconfig, {})
    assert done.returncode == 0, done.stderr
    fleets = [one for one in charts.parsed(done.stdout) if one["kind"] == "EdgeFleet"]
    assert [one["metadata"]["name"] for one in fleets] == (["all"] if made else [])
    for one in fleets:  # no field of it is the chart's, so that an upgrade takes back nothing that you changed
        assert one["spec"] == {}
        assert one["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


@pytest.mark.parametrize("fleet", [None], indirect=True)
def test_who_wants_no_fleet_gets_none(cluster: ApiServer, fleet: None) -> None:
    done = render(cluster.kubeconfig, {"defaultFleet": {"enabled": False}})
    assert done.returncode == 0, done.stderr
    assert not [one for one in charts.parsed(done.stdout) if one["kind"] == "EdgeFleet"]
