"""What the charts make of their values: snapshots that a person reviews, and rules that hold for every object."""

import difflib
import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import charts
import pytest

from skerry.core import contract
from skerry.gateway import metrics

pytestmark = charts.requires_helm

SNAPSHOTS = Path(__file__).parent / "snapshots"
UPDATE = "SKERRY_UPDATE_SNAPSHOTS"
ALL = list(charts.SETS)
CLUSTER_WIDE = {"Namespace", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ClusterRole"}
HOLDERS = {"Deployment", "StatefulSet", "DaemonSet"}
PREFIXES = HOLDERS | {"CronJob"}  # their names begin those of their pods


@pytest.mark.parametrize("name", ALL)
def test_a_value_set_renders_as_it_was_reviewed(name: str) -> None:
    """The first set of a chart is kept whole, the others as their difference from it. SKERRY_UPDATE_SNAPSHOTS=1
    writes them anew."""
    base = "cloud" if name.startswith("cloud") else "edge-site"
    found = charts.text(name)
    if name != base:
        lines = difflib.unified_diff(charts.text(base).splitlines(), found.splitlines(), base, name, n=1, lineterm="")
        found = "\n".join(line for line in lines if not line.startswith("@@")) + "\n"
    file = SNAPSHOTS / f"{name}.{'yaml' if name == base else 'diff'}"
    if os.environ.get(UPDATE):
        SNAPSHOTS.mkdir(exist_ok=True)
        file.write_text(found)
    assert file.read_text() == found, f"review what changed, then run this again with {UPDATE}=1"


@pytest.mark.parametrize("name", ALL)
def test_no_object_comes_twice_and_every_name_and_label_is_short_enough(name: str) -> None:
    seen = Counter(
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]) for one in charts.manifests(name)
    )
    assert [key for key, count in seen.items() if count > 1] == []
    for one in charts.manifests(name):
        labels = dict(one["metadata"]["labels"])
        for more, _ in charts.pod_specs(one):
            labels |= more
        assert all(len(str(value)) <= 63 for value in labels.values())
        assert len(one["metadata"]["name"]) <= (52 if one["kind"] in PREFIXES else 63)
        assert {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"} <= labels.keys()


def test_the_longest_release_name_still_makes_names_that_kubernetes_takes() -> None:
    release = "a-very-long-name-of-a-release-that-helm-takes-12345x"
    for chart, values in (("skerry", {"certManager": {"enabled": True}}), ("skerry-edge", charts.JOINED)):
        done = charts.template(chart, values, release=release, namespace="n" * 54)
        assert done.returncode == 0, done.stderr
        for one in charts.parsed(done.stdout):
            assert len(one["metadata"]["name"]) <= (52 if one["kind"] in PREFIXES else 63), one["metadata"]["name"]
            assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", one["metadata"]["name"])


@pytest.mark.parametrize("name", ALL)
def test_every_object_lies_in_the_namespace_of_the_release_or_of_training(name: str) -> None:
    chart, values = charts.SETS[name]
    done = charts.template(chart, values, release="elsewhere", namespace="elsewhere")
    own = values.get("training") or {}
    allowed = {"elsewhere", own.get("namespace") or "elsewhere-training"}
    for one in charts.parsed(done.stdout):
        if one["kind"] in CLUSTER_WIDE:
            assert "namespace" not in one["metadata"]
        else:
            assert one["metadata"]["namespace"] in allowed


@pytest.mark.parametrize("name", ALL)
def test_every_container_runs_restricted_with_resources_and_says_where_it_may_write(name: str) -> None:
    for one in charts.manifests(name):
        for _, pod in charts.pod_specs(one):
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            for container in [*pod["containers"], *pod.get("initContainers", [])]:
                context = container["securityContext"]
                assert context["allowPrivilegeEscalation"] is False
                assert context["readOnlyRootFilesystem"] is True
                assert context["capabilities"]["drop"] == ["ALL"]
                if container["name"] != "own-state":
                    assert "add" not in context["capabilities"]
                    assert context.get("runAsUser", pod["securityContext"]["runAsUser"]) == 10001
                assert container["volumeMounts"], "a read-only root needs a place to write"
                if "nulls" not in name:
                    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
                    assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", ALL)
def test_a_token_of_the_api_is_mounted_only_where_the_api_is_asked(name: str) -> None:
    asking = {"gateway", "controller", "curator", "dashboard", "toolbox", "secrets"}
    for one in charts.manifests(name):
        for labels, pod in charts.pod_specs(one):
            assert pod["automountServiceAccountToken"] is (labels["app.kubernetes.io/component"] in asking)
        if one["kind"] == "ServiceAccount":
            assert one["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", ALL)
def test_every_service_selects_pods_that_have_its_ports(name: str) -> None:
    pods = [pair for one in charts.manifests(name) for pair in charts.pod_specs(one)]
    for one in charts.manifests(name):
        if one["kind"] != "Service":
            continue
        selected = [pod for labels, pod in pods if one["spec"]["selector"].items() <= labels.items()]
        assert selected, f"{one['metadata']['name']} selects nobody"
        for port in one["spec"]["ports"]:
            for pod in selected:
                names = {found["name"] for container in pod["containers"] for found in container.get("ports", [])}
                assert port["targetPort"] in names


@pytest.mark.parametrize("name", ALL)
def test_a_server_drains_within_its_grace_and_is_probed_on_a_plain_port(name: str) -> None:
    for one in charts.manifests(name):
        if one["kind"] not in HOLDERS:
            continue
        for labels, pod in charts.pod_specs(one):
            container = pod["containers"][0]
            stop_s = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            given = {found["name"]: found.get("value", "") for found in container["env"]}
            drain_s = float(given.get("SKERRY_GRACE_SECONDS") or given.get("SKERRY_DRAIN_SECONDS") or 0)
            assert pod["terminationGracePeriodSeconds"] >= stop_s + drain_s
            if labels["app.kubernetes.io/component"] in ("toolbox", "valkey"):
                continue
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert container[probe]["httpGet"]["port"] == "health"
            startup = container["startupProbe"]
            assert startup["failureThreshold"] * startup["periodSeconds"] >= 180, "a slow node loads for minutes"


@pytest.mark.parametrize("name", ["cloud", "edge-site", "edge-joined"])
def test_what_must_survive_an_uninstall_is_kept(name: str) -> None:
    for one in charts.manifests(name):
        if one["kind"] == "PersistentVolumeClaim":
            assert one["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        if one["kind"] == "StatefulSet":
            assert one["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Retain"
        assert one["kind"] != "Secret", "secrets are made beside the release"


@pytest.mark.parametrize("name", ["cloud", "edge-site", "edge-joined"])
def test_a_pod_of_helm_test_leaves_nothing_behind(name: str) -> None:
    tests = [one for one in charts.manifests(name) if one["kind"] == "Pod"]
    assert tests
    for one in tests:
        policy = one["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
        assert set(policy.split(",")) == {"before-hook-creation", "hook-succeeded", "hook-failed"}
        assert one["spec"]["activeDeadlineSeconds"] > 0


def test_pods_that_share_a_volume_of_one_node_are_kept_together() -> None:
    pinned = {
        labels["app.kubernetes.io/component"]
        for one in charts.manifests("cloud")
        for labels, pod in charts.pod_specs(one)
        if any(volume.get("persistentVolumeClaim") for volume in pod["volumes"])
    }
    assert pinned == {"gateway", "controller", "curator", "renewal", "teacher", "toolbox"}
    for one in charts.manifests("cloud"):
        for labels, pod in charts.pod_specs(one):
            terms = pod.get("affinity", {}).get("podAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution")
            assert bool(terms) == (labels["app.kubernetes.io/component"] in pinned)
            if terms:
                assert terms[0]["labelSelector"]["matchLabels"].items() <= labels.items(), (
                    "the first pod must fit itself"
                )


@pytest.mark.parametrize("name", [name for name in ALL if name.startswith("cloud")])
def test_what_is_there_more_than_once_is_spread_and_drained_one_at_a_time(name: str) -> None:
    """And what a scaler looks after says no number of its own, or each upgrade would undo the scaler's."""
    found = charts.manifests(name)
    budgets = {one["metadata"]["name"]: one["spec"] for one in found if one["kind"] == "PodDisruptionBudget"}
    scaled = {
        one["spec"]["scaleTargetRef"]["name"]
        for one in found
        if one["kind"] in ("HorizontalPodAutoscaler", "ScaledObject")
    }
    several = set()
    for one in found:
        if one["kind"] != "Deployment":
            continue
        who = one["metadata"]["name"]
        assert ("replicas" in one["spec"]) is (who not in scaled)
        if who not in scaled and one["spec"]["replicas"] == 1:
            continue
        several.add(who)
        selector = one["spec"]["selector"]
        assert budgets[who] == {"maxUnavailable": 1, "selector": selector}
        spread = one["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert {each["topologyKey"] for each in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
        assert all(each["labelSelector"] == selector for each in spread)
    assert budgets.keys() == several and scaled <= several


def test_a_large_fleet_has_two_gateways_and_two_curators() -> None:
    replicas = {
        one["metadata"]["name"]: one["spec"]["replicas"]
        for one in charts.manifests("cloud-large")
        if one["kind"] == "Deployment"
    }
    assert {name for name, count in replicas.items() if count == 2} == {"skerry-gateway", "skerry-curator"}
    done = charts.template("skerry", {**charts.SETS["cloud-large"][1], "gateway": {"replicas": 4}})
    (gateway,) = (
        one
        for one in charts.parsed(done.stdout)
        if (one["kind"], one["metadata"]["name"]) == ("Deployment", "skerry-gateway")
    )
    assert gateway["spec"]["replicas"] == 4, "it is a least number"


def test_labelers_are_scaled_by_the_stream_that_they_read_and_gateways_by_a_metric_that_they_have() -> None:
    found = {one["kind"]: one for one in charts.manifests("cloud-scaled")}
    (trigger,) = found["ScaledObject"]["spec"]["triggers"]
    told = trigger["metadata"]
    assert (told["stream"], told["consumerGroup"]) == (contract.STREAM, contract.CURATORS)
    assert trigger["authenticationRef"]["name"] == found["TriggerAuthentication"]["metadata"]["name"]
    assert found["ScaledObject"]["spec"]["minReplicaCount"] == 1, "there is always one that publishes"
    _, pods = found["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert f"\n{pods['pods']['metric']['name']} " in metrics.Instruments().render().decode()


def test_everything_comes_from_the_mirror_when_there_is_one() -> None:
    for name in ("cloud-all-options", "edge-joined-all-options"):
        for one in charts.manifests(name):
            for _, pod in charts.pod_specs(one):
                assert pod["imagePullSecrets"] == [{"name": "pull"}]
                for container in [*pod["containers"], *pod.get("initContainers", [])]:
                    assert container["image"].startswith("mirror.example:5000/x/")


def test_a_host_port_excludes_surge_and_anything_else_never_stops_the_old_agent_first() -> None:
    updates = {
        name: next(one for one in charts.manifests(name) if one["kind"] == "DaemonSet")["spec"]["updateStrategy"]
        for name in ("edge-joined", "edge-joined-hostport", "edge-joined-all-options")
    }
    assert updates["edge-joined"]["rollingUpdate"] == {"maxSurge": "100%", "maxUnavailable": 0}
    assert updates["edge-joined-all-options"]["rollingUpdate"] == {"maxSurge": 2, "maxUnavailable": 0}
    assert updates["edge-joined-hostport"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 2}


def test_a_first_job_that_cannot_start_is_still_there_when_helm_gives_up() -> None:
    """Helm waits five minutes; a job that is over its deadline has no pod any more that could say why."""
    job = next(
        one for one in charts.manifests("cloud") if one["metadata"]["name"] == "skerry-secrets" and one["kind"] == "Job"
    )
    assert job["spec"]["activeDeadlineSeconds"] >= 2 * 300
    annotations = job["metadata"]["annotations"]
    assert "hook-failed" not in annotations["helm.sh/hook-delete-policy"]
    assert annotations["helm.sh/hook-output-log-policy"] == "hook-failed"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        pytest.param({}, None, id="the pod's own address, as the agent knows it"),
        pytest.param({"clientAccess": "hostPort"}, "$(NODE_IP):8001", id="the node's, with a host port"),
        pytest.param(
            {"clientAccess": "nodePort", "service": {"nodePort": 30801}},
            "$(NODE_IP):30801",
            id="the node's, with a node port",
        ),
        pytest.param({"clientAccess": "nodePort"}, None, id="a node port that the cluster chooses"),
        pytest.param(
            {"clientAccess": "hostPort", "listenAddress": "[::]"}, "[$(NODE_IP)]:8001", id="IPv6 stands in brackets"
        ),
        pytest.param({"clientAccess": "hostPort", "address": "press.example:8001"}, "press.example:8001", id="yours"),
    ],
)
def test_a_node_tells_an_address_that_clients_reach(values: Mapping[str, Any], told: str | None) -> None:
    done = charts.template("skerry-edge", {**charts.EDGE, **values}, release="edge")
    assert done.returncode == 0, done.stderr
    (agent,) = (one for one in charts.parsed(done.stdout) if one["kind"] == "StatefulSet")
    given = {one["name"]: one for one in agent["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert given.get("SKERRY_ADDRESS", {}).get("value") == told
    assert ("NODE_IP" in given) == bool(told and "NODE_IP" in told)
    names = list(given)
    assert "NODE_IP" not in given or names.index("NODE_IP") < names.index("SKERRY_ADDRESS"), "else it is not filled in"


@pytest.mark.parametrize(("chart", "values"), [("skerry", {}), ("skerry-edge", charts.EDGE)])
def test_where_pods_have_ipv6_everybody_is_everybody_there_too(chart: str, values: Mapping[str, Any]) -> None:
    done = charts.template(chart, {**values, "listenAddress": "[::]"})
    assert done.returncode == 0, done.stderr
    blocks = [line.split()[-1].strip('"}') for line in done.stdout.splitlines() if "ipBlock" in line]
    assert blocks
    assert blocks.count("::/0") == blocks.count("0.0.0.0/0")
