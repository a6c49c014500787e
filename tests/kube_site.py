"""skerry in a real cluster, as a person installs it: charts, a join token, agents on the nodes labelled edge.

One installation serves many tests. It brings what a cluster without storage lacks (two local volumes, the agents'
folders) and takes all of it away at the end, unless SKERRY_CLUSTER_KEEP is set.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import kube
import kube_cameras
import kube_faults

from skerry.adapters import objects
from skerry.adapters.objects.protocol import Object, Objects
from skerry.core import errors

CHARTS = Path(__file__).parents[1] / "helm"
CLOUD, EDGE, SITE, TEST = "skerry", "skerry-edge", "skerry-site", "skerry-test"
TRAINING = f"{CLOUD}-training"
SPACES = (CLOUD, EDGE, SITE, TRAINING)
AGENTS = "edge-skerry-edge"
TOOLBOX = "deploy/skerry-toolbox"
EDGE_LABEL = "skerry.dev/edge"
FOLDER = "/var/lib/skerry-test"
_OWNED = "install -d -o 10001 -g 10001 -m 2770"
TAG = os.environ.get("TAG", "dev")
AGENT_IMAGE = f"skerry-agent:{TAG}"


_EDGE_VALUES = {
    "image": {"tag": TAG},
    "gateway": f"skerry-gateway.{CLOUD}.svc",
    "teacher": f"skerry-teacher-edge.{CLOUD}.svc",
    "existingSecret": "join",
    "tolerations": [{"operator": "Exists"}],
}


class Site:
    """`cloud` and `edges` are names of nodes; `store` reads and writes custom resources as their operator."""

    def __init__(self) -> None:
        nodes = kube.items("nodes")
        self.edges = sorted(one["metadata"]["name"] for one in nodes if EDGE_LABEL in one["metadata"]["labels"])
        others = sorted(one["metadata"]["name"] for one in nodes if EDGE_LABEL not in one["metadata"]["labels"])
        assert others and len(self.edges) >= 2, f"needs a node and two more labelled {EDGE_LABEL}=true, not {nodes}"
        self.cloud = others[0]
        self.store: Objects = objects.open_objects(f"kubernetes://{CLOUD}")

    # ---- installing

    def install(self) -> None:
        images = [f"skerry-{name}:{TAG}" for name in ("agent", "cloud", "trainer", "valkey")]
        kube_faults.load_images(images, [self.cloud])
        kube_faults.load_images([AGENT_IMAGE], self.edges)
        self._namespaces()
        for node in self.edges:
            self.on_node(node, f"{_OWNED} {FOLDER}/edge")
        self.volume("data", self.cloud, (CLOUD, "skerry-data"), ["ReadWriteMany", "ReadWriteOnce"])
        self.volume("valkey", self.cloud, (CLOUD, "data-skerry-valkey-0"), ["ReadWriteOnce"])
        kube.helm("install", "skerry-crds", str(CHARTS / "skerry-crds"), "-n", CLOUD, "--wait")
        self.cloud_chart("install")
        self.join_secret(EDGE, "--pattern", "*", "--uses", str(len(self.edges)), "--label", "site=test")
        self.edge_chart("install")
        self.waits("every node's enrolment", lambda: len(self.nodes()) == len(self.edges), 60)

    def cloud_chart(self, verb: str, *, wait: bool = True, **changes: Any) -> None:
        """`helm install|upgrade skerry`. `changes` are top-level values."""
        images = {name: {"tag": TAG} for name in ("cloud", "agent", "trainer")}
        values = {
            "images": images,
            "gateway": {"service": {"type": "ClusterIP"}},
            "valkey": {
                "image": {"registry": "", "repository": "skerry-valkey", "tag": TAG},
                "persistence": {"storageClass": "-"},
            },
            # ReadWriteMany in name: all pods that mount it are on one node here, as many gateways as there are.
            "storage": {"volume": {"storageClass": "-", "volumeName": "skerry-data", "accessModes": ["ReadWriteMany"]}},
        }
        _helm(verb, "skerry", "skerry", CLOUD, values | changes, wait=wait)

    def edge_chart(self, verb: str, *, wait: bool = True, **changes: Any) -> None:
        """Joined mode: an agent on every edge node."""
        joined = {"hostPath": f"{FOLDER}/edge", "nodeSelector": {EDGE_LABEL: "true"}}
        values = {"mode": "joined", "joined": joined} | _EDGE_VALUES
        _helm(verb, "edge", "skerry-edge", EDGE, values | changes, wait=wait)

    def site_chart(self, verb: str, node: str, name: str, **changes: Any) -> None:
        """Site mode: one agent called `name`, here on a node of the same cluster."""
        here = {
            "nodeName": name,
            "nodeSelector": {"kubernetes.io/hostname": node},
            "persistence": {"storageClass": "-"},
        }
        _helm(verb, "site", "skerry-edge", SITE, {"mode": "site"} | here | _EDGE_VALUES | changes, wait=True)

    def _namespaces(self) -> None:
        for name, level in ((CLOUD, "restricted"), (EDGE, "privileged"), (SITE, "restricted"), (TEST, "privileged")):
            labels = {"pod-security.kubernetes.io/enforce": level}
            kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})

    def volume(self, name: str, node: str, claim: tuple[str, str], modes: list[str]) -> None:
        """A folder of a node for the `claim` (namespace, name) alone, as an administrator without storage makes it."""
        self.on_node(node, f"{_OWNED} {FOLDER}/{name}")
        here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
        spec = {
            "capacity": {"storage": "20Gi"}, "accessModes": modes, "storageClassName": "",
            "persistentVolumeReclaimPolicy": "Retain", "claimRef": {"namespace": claim[0], "name": claim[1]},
            "local": {"path": f"{FOLDER}/{name}"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        }  # fmt: skip
        metadata = {"name": f"skerry-{name}", "labels": {"skerry-test": "volume"}}
        kube.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec})

    def join_secret(self, namespace: str, *words: str) -> None:
        """A new join token, as `skerry nodes token create` with these options makes it, in the Secret `join`."""
        token = self.skerry("nodes", "token", "create", *words)
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "join", "namespace": namespace}}
        kube.apply(secret | {"stringData": {"token": token.strip().splitlines()[-1]}})

    def on_node(self, node: str, script: str) -> None:
        """Run a shell script as the administrator of a node would: as root, with the folder of the tests."""
        name = f"admin-{node}"
        container = {
            "name": "admin", "image": AGENT_IMAGE, "command": ["sh", "-ec", script],
            "securityContext": {"runAsUser": 0}, "volumeMounts": [{"name": "lib", "mountPath": "/var/lib"}],
        }  # fmt: skip
        spec = {
            "nodeName": node, "restartPolicy": "Never", "containers": [container],
            "tolerations": [{"operator": "Exists"}],
            "volumes": [{"name": "lib", "hostPath": {"path": "/var/lib"}}],
        }  # fmt: skip
        kube.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": TEST}, "spec": spec})

        def ended() -> str:
            phase = str(kube.get("-n", TEST, "pod", name)["status"].get("phase"))
            return phase if phase in ("Succeeded", "Failed") else ""

        phase = kube.wait_until(f"the administrator's work on {node}", ended, 60)
        said = kube.kubectl("-n", TEST, "logs", name, check=False)
        kube.kubectl("-n", TEST, "delete", "pod", name, "--grace-period=0")
        if phase == "Failed":
            raise kube.FailedError(f"{script} on {node} failed: {said}")

    # ---- asking

    def skerry(self, *words: str, stdin: bytes = b"", timeout_s: float = 60) -> str:
        """A `skerry` command in the toolbox."""
        return kube.execute(CLOUD, TOOLBOX, "skerry", *words, stdin=stdin, timeout_s=timeout_s)

    def put(self, name: str, data: bytes) -> str:
        """A file into the toolbox; its path there."""
        kube.execute(CLOUD, TOOLBOX, "sh", "-c", f"cat > /tmp/{name}", stdin=data)
        return f"/tmp/{name}"

    def nodes(self) -> dict[str, Object]:
        return {one.name: one for one in self.store.list("EdgeNode")}

    def is_connected(self, node: str) -> bool:
        found = self.nodes().get(node)
        return bool(found and found.status.get("connected"))

    def serves(self, node: str, model: str) -> int:
        """The version that the node reports; 0 when it has none."""
        found = self.nodes().get(node)
        reports = found.status.get("models", []) if found else []
        return max((int(one["version"]) for one in reports if one["model"] == model and one["digest"]), default=0)

    def rollout(self, name: str) -> Object | None:
        with contextlib.suppress(errors.NotFoundError):
            return self.store.get("ModelRollout", name)
        return None

    def waits(self, what: str, reached: Any, timeout_s: float) -> Any:
        """Poll the cluster; when it does not come, fail with what a person would look at first."""

        def asked() -> Any:
            try:
                return reached()
            except errors.SkerryError as exc:
                raise kube.FailedError(str(exc)) from exc

        return kube.wait_until(what, asked, timeout_s, self._why)

    def succeeded(self, rollout: str, timeout_s: int = 120) -> None:
        """What a person types to wait for a rollout."""
        wait = ("wait", "--for=condition=Succeeded", f"modelrollout/{rollout}", f"--timeout={timeout_s}s")
        try:
            kube.kubectl("-n", CLOUD, *wait, timeout_s=timeout_s + 10)
        except kube.FailedError as exc:
            raise kube.FailedError(f"{exc} {self._why()}") from exc

    def agent_pod(self, node: str) -> dict[str, Any]:
        """The newest agent's pod of a node."""
        field = f"--field-selector=spec.nodeName={node}"
        pods = kube.items("-n", EDGE, "pods", "-l", "app.kubernetes.io/instance=edge", field)
        return max(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def cameras(self, name: str, selector: Mapping[str, str], model: str, images: bytes) -> kube_cameras.Cameras:
        return kube_cameras.Cameras(TEST, name, AGENT_IMAGE, selector, model, images)

    def _why(self) -> str:
        parts = [kube.state_of(SPACES)]
        parts.append(kube.kubectl("-n", CLOUD, "get", "em,mv,ef,en,mr,tr", check=False))
        parts += [kube.kubectl("-n", CLOUD, "logs", f"deploy/skerry-{one}", "--tail=12", check=False)[-3000:]
                  for one in ("controller", "gateway", "curator")]  # fmt: skip
        return "\n".join(parts)

    # ---- leaving

    def uninstall(self) -> None:
        kube.helm("uninstall", "edge", "-n", EDGE, "--wait", "--timeout=90s")
        kube.helm("uninstall", "skerry", "-n", CLOUD, "--wait", "--timeout=90s")

    def purge(self) -> None:
        """Whatever is left, also of an installation that broke off."""
        for release, namespace in (("site", SITE), ("edge", EDGE), ("skerry", CLOUD), ("skerry-crds", CLOUD)):
            kube.run("helm", "uninstall", release, "-n", namespace, "--ignore-not-found", timeout_s=90, check=False)
        kube.kubectl("delete", "crd", "-l", "app.kubernetes.io/part-of=skerry", "--timeout=60s", check=False)
        # First everything that writes there: a folder cannot be removed while a pod fills it.
        kube.kubectl("delete", "namespace", CLOUD, EDGE, SITE, TRAINING, "--ignore-not-found", timeout_s=120)
        if kube.kubectl("get", "namespace", TEST, "--ignore-not-found", "-o", "name"):
            for node in (self.cloud, *self.edges):
                self.on_node(node, f"rm -rf {FOLDER}")
            kube.kubectl("delete", "namespace", TEST, timeout_s=120)
        kube.kubectl("delete", "pv", "-l", "skerry-test=volume")


def _helm(verb: str, release: str, chart: str, namespace: str, values: dict[str, Any], *, wait: bool) -> None:
    waiting = ["--wait", "--timeout=180s"] if wait else []
    kube.helm(verb, release, str(CHARTS / chart), "-n", namespace, "-f", "-", *waiting, stdin=json.dumps(values))


@contextlib.contextmanager
def installed() -> Iterator[Site]:
    """A fresh installation for the length of the block; with SKERRY_CLUSTER_KEEP one that is there, and it stays."""
    site = Site()
    if os.environ.get("SKERRY_CLUSTER_KEEP") and kube.run("helm", "list", "-q", "-n", EDGE).strip() == "edge":
        yield site
        return
    site.purge()
    try:
        site.install()
        yield site
    finally:
        if not os.environ.get("SKERRY_CLUSTER_KEEP"):
            site.purge()
