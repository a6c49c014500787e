"""Values that are wrong are refused before anything is rendered, by a message that names the place."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import charts
import pytest

pytestmark = charts.requires_helm

S3 = {"kind": "s3", "s3": {"blobs": "s3://b/x", "repository": "s3://b/y"}}


def _values(path: str, value: Any) -> dict[str, Any]:
    """`a.b.c` and a value as nested values."""
    made: Any = value
    for name in reversed(path.split(".")):
        made = {name: made}
    return dict(made)


CLOUD: list[tuple[str, Any, str]] = [
    # typos
    ("gatway.replicas", 2, "additional properties 'gatway' not allowed"),
    ("gateway.replica", 2, "at '/gateway': additional properties 'replica' not allowed"),
    ("storage.volume.storageClassName", "x", "at '/storage/volume': additional properties 'storageClassName'"),
    ("networkPolicy.enable", False, "at '/networkPolicy': additional properties 'enable'"),
    ("existingSecrets.keysroot", "x", "at '/existingSecrets': additional properties 'keysroot'"),
    ("global.regsitry", "x", "global.regsitry is not known here: registry, imagePullSecrets"),
    ("defaultFleet.enable", False, "at '/defaultFleet': additional properties 'enable'"),
    ("valkey.resources.limit", {}, "at '/valkey/resources': additional properties 'limit'"),
    ("tolerations", [{"keys": "a"}], "at '/tolerations/0': additional properties 'keys'"),
    ("extraEnv", [{"name": "A", "val": "1"}], "at '/extraEnv/0': additional properties 'val'"),
    # wrong types, and numbers that are texts
    ("gateway.replicas", "2", "at '/gateway/replicas': got string, want integer"),
    ("gateway.replicas", 1.5, "at '/gateway/replicas'"),
    ("gateway.replicas", 0, "at '/gateway/replicas': minimum: got 0, want 1"),
    ("dashboard.ingress.path", "skerry/", "at '/dashboard/ingress/path'"),
    ("dashboard.ingress.host", "https://factory.example", "at '/dashboard/ingress/host'"),
    ("dashboard.enabled", "yes", "at '/dashboard/enabled': got string, want boolean"),
    ("images.cloud.tag", 2, "at '/images/cloud/tag': got number"),
    ("images.cloud.digest", "latest", "at '/images/cloud/digest'"),
    ("images.pullPolicy", "Sometimes", "at '/images/pullPolicy': value must be one of 'Always', 'IfNotPresent'"),
    ("nodeSelector", {"a": 1}, "at '/nodeSelector/a': got number, want string"),
    ("hosts", "gw.example", "at '/hosts': got string, want null or array"),
    ("gateway.resources.limits.memory", "lots", "at '/gateway/resources/limits/memory'"),
    ("storage.kind", "nfs", "at '/storage/kind': value must be one of 'volume', 's3'"),
    ("storage.volume.size", "20", "at '/storage/volume/size'"),
    ("redis.url", "http://redis", "at '/redis/url'"),
    ("networkPolicy.apiServer.cidrs", ["10.0.0.1"], "at '/networkPolicy/apiServer/cidrs/0'"),
    ("networkPolicy.metricsFrom", [{}], "at '/networkPolicy/metricsFrom/0'"),
    ("gateway.service.type", "Ingress", "at '/gateway/service/type': value must be one of"),
    ("teacher.address", "triton", "at '/teacher/address'"),
    ("logLevel", "LOUD", "at '/logLevel'"),
    ("listenAddress", "127.0.0.1", "at '/listenAddress': value must be one of '0.0.0.0', '[::]'"),
    # nulls of what nothing can stand in for
    ("gateway", None, "missing property 'gateway'"),
    ("gateway.replicas", None, "at '/gateway': missing property 'replicas'"),
    ("images.cloud.repository", None, "at '/images/cloud': missing property 'repository'"),
    ("storage.kind", None, "at '/storage': missing property 'kind'"),
    # what does not go together
    ("storage", {"kind": "s3"}, "at '/storage/s3/blobs': minLength"),
    ("gateway.replicas", 2, "at '/storage/volume/accessModes/0': value must be 'ReadWriteMany'"),
    ("gateway.autoscaling.enabled", True, "at '/storage/volume/accessModes/0': value must be 'ReadWriteMany'"),
    ("curator.replicas", 2, "at '/storage/volume/accessModes/0': value must be 'ReadWriteMany'"),
    ("curator.autoscaling.enabled", True, "at '/storage/volume/accessModes/0': value must be 'ReadWriteMany'"),
    ("size", "large", "at '/storage/volume/accessModes/0': value must be 'ReadWriteMany'"),
    ("size", "huge", "at '/size': value must be one of 'small', 'large'"),
    ("curator.autoscaling.by", "Queue", "at '/curator/autoscaling/by': value must be one of 'CPU', 'Lag'"),
    ("curator.autoscaling.keda.address", "redis://redis:6379", "at '/curator/autoscaling/keda/address'"),
    ("valkey.enabled", False, "give your own server by redis.url or redis.existingSecret.name"),
    ("existingSecrets.trust", "mine", "keys and metadata of the model repository belong together"),
    ("existingSecrets.issuer", "mine", "give existingSecrets.gatewayTls too"),
    ("training.namespace", "n" * 64, "at '/training/namespace'"),
]  # fmt: skip
EDGE: list[tuple[str, Any, str]] = [
    ("gateway", "", "gateway is not set"),
    ("gateway", "https://gw.example", "at '/gateway'"),
    ("gateway", "gw.example:8443", "at '/gateway'"),
    ("gateway", None, "missing property 'gateway'"),
    ("existingSecret", "", "a node joins with a token"),
    ("existingSecret", None, "a node joins with a token"),
    ("token", "secret", "at '/token'"),
    ("mode", "cluster", "at '/mode': value must be one of 'site', 'joined'"),
    ("clientAccess", "ingress", "at '/clientAccess': value must be one of"),
    ("global.imagePullSecret", ["x"], "global.imagePullSecret is not known here: registry, imagePullSecrets"),
    ("clientaccess", "none", "additional properties 'clientaccess' not allowed"),
    ("ports.fleet", "8443", "at '/ports/fleet': got string, want integer"),
    ("ports.fleet", 70000, "at '/ports/fleet': maximum"),
    ("ports.fleet", None, "at '/ports': missing property 'fleet'"),
    ("joined.hostPath", "/", "at '/joined/hostPath'"),
    ("joined.hostPath", "/var/../etc", "at '/joined/hostPath'"),
    ("joined.maxSurge", 0, "at '/joined/maxSurge'"),
    ("joined.maxSurge", "0%", "at '/joined/maxSurge'"),
    ("joined.nodeSelector", {}, ""),
    ("agent.graceSeconds", "20", "at '/agent/graceSeconds': got string, want integer"),
    ("image.tag", 1, "at '/image/tag': got number"),
    ("nodeName", "a b", "at '/nodeName'"),
]


@pytest.mark.parametrize(("path", "value", "says"), CLOUD, ids=[f"{row[0]}={row[1]}" for row in CLOUD])
def test_wrong_values_of_the_cloud_are_refused_by_name(path: str, value: Any, says: str) -> None:
    done = charts.template("skerry", _values(path, value))
    assert done.returncode != 0, "it was rendered"
    assert says in done.stderr


@pytest.mark.parametrize(("path", "value", "says"), EDGE, ids=[f"{row[0]}={row[1]}" for row in EDGE])
def test_wrong_values_of_an_edge_are_refused_by_name(path: str, value: Any, says: str) -> None:
    done = charts.template("skerry-edge", {**charts.EDGE, **_values(path, value)})
    if not says:
        # Helm merges an empty map with the chart's own: the default label stays.
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode != 0, "it was rendered"
    assert says in done.stderr


def test_a_name_of_its_own_is_for_site_mode() -> None:
    done = charts.template("skerry-edge", {**charts.JOINED, "nodeName": "press-7"})
    assert done.returncode != 0
    assert "nodeName is for site mode" in done.stderr


def test_where_the_stream_lies_on_your_own_server_keda_must_be_told_where() -> None:
    values = {
        "storage": S3,
        "redis": {"url": "redis://r:6379/0"},
        "curator": {"autoscaling": {"enabled": True, "by": "Lag"}},
    }
    done = charts.template("skerry", values)
    assert done.returncode != 0
    assert "say where KEDA finds it by curator.autoscaling.keda.address" in done.stderr


@pytest.mark.parametrize(
    "values",
    [
        {"storage": S3, "gateway": {"replicas": 3}},
        {"storage": S3, "gateway": {"autoscaling": {"enabled": True}}},
        {"storage": {"volume": {"accessModes": ["ReadWriteMany"]}}, "gateway": {"replicas": 2}},
    ],
    ids=["object storage", "object storage, scaled", "a volume of many nodes"],
)
def test_several_gateways_go_with(values: Mapping[str, Any]) -> None:
    done = charts.template("skerry", values)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("chart", ["skerry", "skerry-edge", "skerry-crds"])
def test_a_chart_has_nothing_for_lint_to_warn_of(chart: str) -> None:
    values = charts.EDGE if chart == "skerry-edge" else {}
    done = charts.helm("lint", "--strict", str(charts.HELM / chart), "--values", "-", values=values)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


def test_the_chart_of_resources_has_no_values() -> None:
    done = charts.template("skerry-crds", {"replicas": 1})
    assert done.returncode != 0
    assert "additional properties 'replicas' not allowed" in done.stderr


def test_a_label_that_helm_kept_as_null_is_left_out_of_the_selector() -> None:
    """`--set joined.nodeSelector.x=null` and later `--reuse-values`: Helm then hands the null on."""
    values = {**charts.JOINED, "joined": {"nodeSelector": {"skerry.dev/edge": None, "hall": "3"}}}
    done = charts.template("skerry-edge", values)
    assert done.returncode == 0, done.stderr
    agent = next(one for one in charts.parsed(done.stdout) if one["kind"] == "DaemonSet")
    assert agent["spec"]["template"]["spec"]["nodeSelector"] == {"hall": "3"}


@pytest.mark.parametrize(("chart", "values"), [("skerry", {}), ("skerry-edge", charts.EDGE)])
def test_a_chart_inside_another_leaves_the_other_its_global_values(
    chart: str, values: Mapping[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "around" / "charts").mkdir(parents=True)
    (tmp_path / "around" / "Chart.yaml").write_text("{apiVersion: v2, name: around, version: 1.0.0}")
    shutil.copytree(charts.HELM / chart, tmp_path / "around" / "charts" / chart)
    given = {"global": {"storageClass": "fast", "registry": "mirror.example"}, chart: values}
    done = charts.helm("template", "r", str(tmp_path / "around"), "--values", "-", values=given)
    assert done.returncode == 0, done.stderr
    assert "mirror.example/skerry-agent" in done.stdout
