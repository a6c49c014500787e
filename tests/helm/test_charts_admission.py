"""The admission policy of joined mode before a real API server: the agent's own pod passes, everything that would
reach further into the node is refused with a word that says what to do."""

import copy
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import charts
import pytest
from apiserver_process import ApiServer, requires_apiserver

pytestmark = [charts.requires_helm, requires_apiserver]

Pod = dict[str, Any]
_ACTIVE_S = 20.0


def _agent_pod(name: str, namespace: str) -> Pod:
    template = next(one for one in charts.manifests(name) if one["kind"] == "DaemonSet")["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "agent", "namespace": namespace}}
    return pod | {"spec": copy.deepcopy(template["spec"])}


def _plain_pod(namespace: str) -> Pod:
    """What the restricted profile lets through."""
    container = {
        "name": "app",
        "image": "app:1",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {"securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}}
    metadata = {"name": "plain", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**spec, "containers": [container]}}


class Door:
    """The namespace of one value set, with its policy in force."""

    def __init__(self, server: ApiServer, name: str, namespace: str) -> None:
        self.server, self.name, self.namespace = server, name, namespace
        server.kubectl("create", "namespace", namespace)
        server.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=privileged")
        values = charts.SETS[name][1]
        rendered = charts.template("skerry-edge", values, release=namespace, namespace=namespace).stdout
        policies = [one for one in charts.parsed(rendered) if one["kind"].startswith("ValidatingAdmissionPolicy")]
        server.kubectl("apply", "-f", "-", stdin=charts.yaml.safe_dump_all(policies))
        end = time.monotonic() + _ACTIVE_S
        while not self.refusal(_changed(_plain_pod(namespace), _host_network)):
            assert time.monotonic() < end, "the policy never came into force"
            time.sleep(0.2)

    def refusal(self, pod: Pod) -> str:
        """What the API server says against a pod; empty when it takes it."""
        said = self.server.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod), check=False)
        return "" if "created (server dry run)" in said else said


@pytest.fixture(scope="module")
def strict(cluster: ApiServer) -> Iterator[Door]:
    yield Door(cluster, "edge-joined", "joined-strict")


@pytest.fixture(scope="module")
def preparing(cluster: ApiServer) -> Iterator[Door]:
    """With the init container that owns the folder, and a host port."""
    yield Door(cluster, "edge-joined-hostport", "joined-preparing")


def _changed(pod: Pod, change: Callable[[Pod], object]) -> Pod:
    made = copy.deepcopy(pod)
    change(made["spec"])
    return made


def _host_network(spec: Pod) -> None:
    spec["hostNetwork"] = True


def _context(spec: Pod) -> dict[str, Any]:
    found: dict[str, Any] = spec["containers"][0].setdefault("securityContext", {})
    return found


def _folder(spec: Pod, path: str, **mount: str) -> None:
    spec.setdefault("volumes", []).append({"name": "more", "hostPath": {"path": path}})
    spec["containers"][0].setdefault("volumeMounts", []).append({"name": "more", "mountPath": "/more", **mount})


def test_the_agents_own_pod_passes_in_every_shape_of_the_chart(strict: Door, preparing: Door) -> None:
    assert strict.refusal(_agent_pod("edge-joined", strict.namespace)) == ""
    assert preparing.refusal(_agent_pod("edge-joined-hostport", preparing.namespace)) == ""
    assert strict.refusal(_plain_pod(strict.namespace)) == ""
    tests = next(one for one in charts.manifests("edge-joined") if one["kind"] == "Pod")
    tests["metadata"]["namespace"] = strict.namespace
    assert strict.refusal(tests) == ""


REFUSED: list[tuple[str, Callable[[Pod], object], str]] = [
    ("the whole node", lambda spec: _folder(spec, "/"), "only /var/lib/skerry may be mounted"),
    ("a folder beside", lambda spec: _folder(spec, "/var/lib/skerry2"), "only /var/lib/skerry may be mounted"),
    ("a folder below", lambda spec: _folder(spec, "/var/lib/skerry/../x"), ""),
    ("an nfs share", lambda spec: spec.update(volumes=[{"name": "n", "nfs": {"server": "a", "path": "/"}}]), "only /v"),
    ("the folder of every node", lambda spec: _folder(spec, "/var/lib/skerry"), "mounted by subPathExpr"),
    ("another node's folder", lambda spec: _folder(spec, "/var/lib/skerry", subPath="other"), "mounted by subPathExpr"),
    (
        "a node name of its own choice",
        lambda spec: (
            _folder(spec, "/var/lib/skerry", subPathExpr="$(SKERRY_NODE)"),
            spec["containers"][0].update(env=[{"name": "SKERRY_NODE", "value": "other"}]),
        ),
        "mounted by subPathExpr",
    ),
    ("the network of the node", _host_network, "hostNetwork"),
    ("the processes of the node", lambda spec: spec.update(hostPID=True), "hostPID"),
    ("the memory of the node", lambda spec: spec.update(hostIPC=True), "hostIPC"),
    ("a port of the node", lambda spec: spec["containers"][0].update(ports=[{"containerPort": 1, "hostPort": 9}]), "host ports are not"),  # noqa: E501
    ("a privileged container", lambda spec: _context(spec).update(privileged=True, allowPrivilegeEscalation=True), "privileged containers"),  # noqa: E501
    ("escalation", lambda spec: _context(spec).update(allowPrivilegeEscalation=True), "allowPrivilegeEscalation"),
    ("escalation that is not spoken of", lambda spec: _context(spec).pop("allowPrivilegeEscalation"), "allowPrivilegeEscalation"),  # noqa: E501
    ("capabilities kept", lambda spec: _context(spec).pop("capabilities"), "drop ALL capabilities"),
    ("a capability added", lambda spec: _context(spec)["capabilities"].update(add=["SYS_ADMIN"]), "drop ALL capabilities"),  # noqa: E501
    ("a user that is not said", lambda spec: spec["securityContext"].pop("runAsNonRoot"), "non-root"),
    ("root by its own word", lambda spec: _context(spec).update(runAsNonRoot=False), "non-root"),
    ("user 0 of the pod", lambda spec: spec["securityContext"].update(runAsUser=0), "user 0"),
    ("user 0 of the container", lambda spec: _context(spec).update(runAsUser=0), "user 0"),
    ("no seccomp", lambda spec: spec["securityContext"].pop("seccompProfile"), "seccomp"),
    ("seccomp off", lambda spec: _context(spec).update(seccompProfile={"type": "Unconfined"}), "seccomp"),
    ("all of /proc", lambda spec: (_context(spec).update(procMount="Unmasked"), spec.update(hostUsers=False)), "procMount"),  # noqa: E501
    ("AppArmor off", lambda spec: _context(spec).update(appArmorProfile={"type": "Unconfined"}), "AppArmor"),
    ("an SELinux type", lambda spec: spec["securityContext"].update(seLinuxOptions={"type": "spc_t"}), "SELinux"),
    ("an SELinux user", lambda spec: _context(spec).update(seLinuxOptions={"user": "system_u"}), "SELinux"),
    ("a sysctl", lambda spec: spec["securityContext"].update(sysctls=[{"name": "kernel.msgmax", "value": "1"}]), "sysctls"),  # noqa: E501
    ("an init container that is root", lambda spec: spec.update(initContainers=[{**spec["containers"][0], "name": "i", "securityContext": {**_context(spec), "runAsUser": 0}}]), "user 0"),  # noqa: E501
    ("an init container with privilege", lambda spec: spec.update(initContainers=[{**spec["containers"][0], "name": "i", "securityContext": {"privileged": True}}]), "privileged"),  # noqa: E501
]  # fmt: skip


@pytest.mark.parametrize(("change", "says"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_reaches_further_into_the_node_is_refused(
    strict: Door, change: Callable[[Pod], object], says: str
) -> None:
    said = strict.refusal(_changed(_plain_pod(strict.namespace), change))
    assert said, "it was let in"
    assert says in said


def _own(spec: Pod) -> dict[str, Any]:
    found: dict[str, Any] = spec["initContainers"][0]
    return found


MISUSED: list[tuple[str, Callable[[Pod], object]]] = [
    ("another command", lambda spec: _own(spec).update(command=["sh", "-c", "true"])),
    ("further arguments", lambda spec: _own(spec).update(args=["-R", "/"])),
    ("another image", lambda spec: _own(spec).update(image="evil:1")),
    ("an image whose name begins alike", lambda spec: _own(spec).update(image="skerry-agent-evil:1")),
    ("another name", lambda spec: _own(spec).update(name="other")),
    ("one more capability", lambda spec: _own(spec)["securityContext"]["capabilities"]["add"].append("SYS_ADMIN")),
    ("a root to write to", lambda spec: _own(spec)["securityContext"].update(readOnlyRootFilesystem=False)),
    ("seccomp off", lambda spec: _own(spec)["securityContext"].update(seccompProfile={"type": "Unconfined"})),
    ("the whole folder", lambda spec: _own(spec)["volumeMounts"][0].pop("subPathExpr")),
    ("another volume", lambda spec: _own(spec)["volumeMounts"].append({"name": "tmp", "mountPath": "/tmp"})),
    ("an environment", lambda spec: _own(spec)["env"].append({"name": "LD_PRELOAD", "value": "/tmp/x"})),
    ("a port of the node besides the agent's", lambda spec: spec["containers"][0]["ports"][1].update(hostPort=8002)),
]  # fmt: skip


@pytest.mark.parametrize("change", [row[1] for row in MISUSED], ids=[row[0] for row in MISUSED])
def test_the_container_that_owns_the_folder_can_do_nothing_else(
    preparing: Door, change: Callable[[Pod], object]
) -> None:
    assert preparing.refusal(_changed(_agent_pod("edge-joined-hostport", preparing.namespace), change))


def test_the_container_that_owns_the_folder_is_refused_where_it_was_not_asked_for(strict: Door) -> None:
    pod = _agent_pod("edge-joined-hostport", strict.namespace)
    for container in pod["spec"]["containers"]:
        for port in container["ports"]:
            port.pop("hostPort", None)
    assert "user 0" in strict.refusal(pod) or "capabilities" in strict.refusal(pod)


def test_other_namespaces_are_left_alone(cluster: ApiServer, strict: Door) -> None:
    cluster.kubectl("create", "namespace", "joined-elsewhere")
    assert strict.refusal(_changed(_plain_pod("joined-elsewhere"), _host_network)) == ""
