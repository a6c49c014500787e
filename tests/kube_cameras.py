"""Clients inside the cluster that ask all the time: a camera on every edge node, and one that knocks at the gateway.

Each is a pod with `pod_asker.py`; the books are in the pod, so that what happened on a node that was cut off is known
once it is back.
"""

import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kube
import numpy as np
from numpy.typing import NDArray

SCRIPT = Path(__file__).parent / "pod_asker.py"
LABEL = "skerry-test/asker"
Books = list[dict[str, Any]]


def scenes(arrays: Mapping[str, NDArray[np.uint8]]) -> bytes:
    """The cameras' images as npz."""
    held = io.BytesIO()
    np.savez_compressed(held, **arrays)
    return held.getvalue()


def _config(namespace: str, name: str, images: bytes) -> dict[str, Any]:
    data = {"pod_asker.py": SCRIPT.read_bytes(), "images.npz": images}
    return {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace},
        "binaryData": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }  # fmt: skip


def _pod(name: str, image: str, words: list[str]) -> dict[str, Any]:
    """One that asks. It requests CPU: what requests none gets none for seconds while others start on a busy node, and
    its own delay would count as ours."""
    tight = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "asker", "image": image, "command": ["python", "/asker/pod_asker.py", *words],
                "securityContext": tight, "resources": {"requests": {"cpu": "200m", "memory": "64Mi"}},
                "volumeMounts": [{"name": "asker", "mountPath": "/asker"}, {"name": "tmp", "mountPath": "/tmp"}],
            }
        ],
        "volumes": [{"name": "asker", "configMap": {"name": name}}, {"name": "tmp", "emptyDir": {}}],
    }  # fmt: skip


def _set(kind: str, namespace: str, name: str, pod: dict[str, Any]) -> dict[str, Any]:
    labels = {LABEL: name}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


class Cameras:
    """One on each node that `selector` names, all asking one address."""

    def __init__(
        self, namespace: str, name: str, image: str, selector: Mapping[str, str], model: str, images: bytes
    ) -> None:
        self.namespace, self.name, self._images = namespace, name, images
        self._image, self._selector, self._model = image, dict(selector), model

    def roll(self, address: str, rate: float) -> None:
        """Start them. The cluster's DNS is out of reach of a node that is cut off: `address` is no name."""
        pod = _pod(self.name, self._image, ["infer", address, self._model, str(rate)])
        pod |= {"nodeSelector": self._selector, "tolerations": [{"operator": "Exists"}]}
        kube.apply(_config(self.namespace, self.name, self._images), _set("DaemonSet", self.namespace, self.name, pod))
        kube.kubectl("-n", self.namespace, "rollout", "status", f"daemonset/{self.name}", "--timeout=60s", timeout_s=70)

    def show(self, scene: str) -> None:
        for name in self._pods().values():
            kube.execute(
                self.namespace, name, "sh", "-c", f"echo {scene} > /tmp/scene.new && mv /tmp/scene.new /tmp/scene"
            )

    def books(self, node: str, since_s: float, until_s: float | None = None) -> Books:
        """Every request of that node's camera that began in that time (unix seconds)."""
        return _books(self.namespace, self._pods()[node], since_s, until_s)

    def _pods(self) -> dict[str, str]:
        found = kube.items("-n", self.namespace, "pods", "-l", f"{LABEL}={self.name}")
        return {pod["spec"]["nodeName"]: pod["metadata"]["name"] for pod in found}


class Knocker:
    """Knocks at an HTTPS address of the cloud, a new connection each time."""

    def __init__(self, namespace: str, image: str) -> None:
        self.namespace, self._image = namespace, image

    def begin(self, url: str, rate: float, cloud_node: str) -> None:
        pod = _pod("knocker", self._image, ["get", url, str(rate)]) | {"nodeName": cloud_node}
        deployment = _set("Deployment", self.namespace, "knocker", pod)
        kube.apply(_config(self.namespace, "knocker", b""), deployment)
        kube.kubectl("-n", self.namespace, "rollout", "status", "deploy/knocker", "--timeout=60s", timeout_s=70)

    def books(self, since_s: float, until_s: float | None = None) -> Books:
        pod = kube.items("-n", self.namespace, "pods", "-l", f"{LABEL}=knocker")[0]["metadata"]["name"]
        return _books(self.namespace, pod, since_s, until_s)


def _books(namespace: str, pod: str, since_s: float, until_s: float | None) -> Books:
    lines = kube.execute(namespace, pod, "cat", "/tmp/answers.jsonl", timeout_s=30).splitlines()
    every = [json.loads(line) for line in lines if line.endswith("}")]
    return [one for one in every if since_s <= one["at"] and (until_s is None or one["at"] < until_s)]


def lost(books: Books) -> Books:
    return [one for one in books if one["error"]]
