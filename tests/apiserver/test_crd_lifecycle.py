"""The definitions over time: upgraded under objects that are there, taken away with them when somebody purges."""

import json
from collections.abc import Iterator
from pathlib import Path

import custom_resources
import pytest
from apiserver_process import ApiServer, apply_crds, requires_apiserver

from skerry.adapters import objects
from skerry.adapters.objects import Objects, resources
from skerry.adapters.objects.kubernetes import KubernetesObjects
from skerry.core import rollout, specs, writers

pytestmark = requires_apiserver
PREVIOUS = Path(__file__).parent / "previous"


@pytest.fixture
def store(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Objects]:
    """The definitions of today are there again afterwards."""
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig))
    made = objects.open_objects(f"kubernetes://{server.namespace()}")
    assert isinstance(made, KubernetesObjects)
    yield made
    made.close()
    apply_crds(server, custom_resources.CRDS)


def test_objects_outlive_an_upgrade_unchanged_and_can_be_written_on(server: ApiServer, store: Objects) -> None:
    """What the newer schema adds must not begin another attempt of a rollout that is under way, nor refuse a status."""
    apply_crds(server, PREVIOUS)
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": custom_resources.documents(PREVIOUS / "examples")})
    namespace = store.create("EdgeFleet", "old", {"maxUnavailable": 2}, manager=writers.OPERATOR) and _namespace(store)
    server.kubectl("apply", "-n", namespace, "-f", "-", stdin=text)
    made = store.create("ModelRollout", "old", {"model": "m", "version": "m-v1"}, manager=writers.OPERATOR)
    before = specs.parse_rollout("old", made.spec)
    status = rollout.to_json(rollout.Status(attempt=1, spec_hash=before.fingerprint, epoch=4))
    store.patch("ModelRollout", "old", manager=writers.CONTROLLER, status=status)
    old = {kind: [(one.name, one.status) for one in store.list(kind)] for kind in resources.PLURALS}

    apply_crds(server, custom_resources.CRDS)

    after = store.get("ModelRollout", "old")
    assert specs.parse_rollout("old", after.spec) == before
    assert after.status == status
    assert {kind: [(one.name, one.status) for one in store.list(kind)] for kind in resources.PLURALS} == old
    store.patch("ModelRollout", "old", manager=writers.CONTROLLER, status={"epoch": 5})
    store.patch("ModelRollout", "old", manager=writers.OPERATOR, spec={"paused": True})
    for kind in resources.PLURALS:
        for one in store.list(kind):
            custom_resources.PARSERS[kind](one.name, one.spec)


def _namespace(store: Objects) -> str:
    return str(store._api.namespace)  # type: ignore[attr-defined]


def test_nothing_holds_an_object_back_that_is_deleted(server: ApiServer, store: Objects) -> None:
    """No finalizer anywhere: a purge works while no controller is there, and everything can be installed again."""
    namespace = _namespace(store)
    text = json.dumps(
        {"apiVersion": "v1", "kind": "List", "items": custom_resources.documents(custom_resources.EXAMPLES)}
    )
    server.kubectl("apply", "-n", namespace, "-f", "-", stdin=text)
    found = json.loads(server.kubectl("get", "skerry", "-n", namespace, "-o", "json"))["items"]
    assert len(found) == len(custom_resources.documents(custom_resources.EXAMPLES))
    assert not any("finalizers" in one["metadata"] for one in found)
    server.kubectl("delete", "crd", "-l", "app.kubernetes.io/part-of=skerry", "--timeout=30s")
    apply_crds(server, custom_resources.CRDS)
    server.kubectl("apply", "-n", namespace, "-f", "-", stdin=text)
