"""A controller on a real API server, with agents and a trainer that do what they should."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apiserver_process import ApiServer
from controlling import World

from skerry.adapters import objects
from skerry.adapters.objects.kubernetes import KubernetesObjects
from skerry.controller.view import KINDS


class Cluster(World):
    """A world whose objects lie behind the proxy. Agents and people reach the API server by a way of their own."""

    def __init__(self, tmp: Path, server: ApiServer, namespace: str, nodes: int = 2) -> None:
        self.server, self.namespace = server, namespace
        store = objects.open_objects(f"kubernetes://{namespace}")
        assert isinstance(store, KubernetesObjects)
        super().__init__(tmp, nodes, store, time.time_ns() // 1_000_000)
        store.changes(0, timeout_s=0, kinds=KINDS)  # as the leader's loop does: reads come from watches from here on

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        return self.server.kubectl("-n", self.namespace, *arguments, check=check)

    def patch(self, name: str, **spec: Any) -> None:
        self.kubectl("patch", "mr", name, "--type=merge", "-p", json.dumps({"spec": spec}))
        self.settle()

    def settle(self) -> None:
        """The watches have told what others wrote."""
        wanted = {kind: {one.name: one.resource_version for one in self._listed(kind)} for kind in KINDS}
        end = time.monotonic() + 20
        while {kind: {one.name: one.resource_version for one in self.objects.list(kind)} for kind in KINDS} != wanted:
            assert time.monotonic() < end, "the watches do not come to what is"
            time.sleep(0.01)

    def _listed(self, kind: str) -> list[Any]:
        path = self.objects._api.get(objects.resources.path(self.namespace, kind))
        return [objects.resources.parse(kind, one) for one in path["items"]]

    def state(self, rollout: str) -> dict[str, Any]:
        """Its status; empty while there is none."""
        found = [one for one in self.objects.list("ModelRollout") if one.name == rollout]
        return dict(found[0].status) if found else {}

    def phase(self, name: str) -> str:
        return str(self.state(name).get("phase"))

    def until(self, done: Callable[[], bool], ticks: int = 60) -> None:
        for _ in range(ticks):
            if done():
                return
            self.run(1)
            self.settle()
        raise AssertionError("the controller does not get there")


def columns(text: str) -> dict[str, str]:
    """The one row of `kubectl get -o wide`, by column; empty columns are left out."""
    head, row = text.splitlines()[:2]
    starts = [index for index, letter in enumerate(head) if letter != " " and (index == 0 or head[index - 1] == " ")]
    ends = [*starts[1:], max(len(head), len(row))]
    cut = {head[a:b].strip(): row[a:b].strip() for a, b in zip(starts, ends, strict=True)}
    return {name: value for name, value in cut.items() if value}
