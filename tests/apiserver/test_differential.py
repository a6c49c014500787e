"""The same story told to the local object store and to a real API server: the objects come out equal."""

import functools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import custom_resources
import pytest
from apiserver_process import ApiServer, requires_apiserver
from controlled_model import MODEL, WAVES
from controlling import World

from skerry.adapters import objects
from skerry.adapters.objects.kubernetes import KubernetesObjects
from skerry.controller.view import KINDS
from skerry.core import errors, writers

pytestmark = requires_apiserver
Deed = Callable[[World], object]


def rollout(name: str, version: int, **spec: Any) -> Deed:
    made = {"model": MODEL, "version": f"{MODEL}-v{version}", "waves": WAVES, **spec}
    return lambda world: world.objects.create("ModelRollout", name, made, manager=writers.OPERATOR)


def patch(kind: str, name: str, **spec: Any) -> Deed:
    return lambda world: world.objects.patch(kind, name, manager=writers.OPERATOR, spec=spec)


def bad(version: int) -> Deed:
    def mark(world: World) -> None:
        world.bad.add(str(world.get("ModelVersion", f"{MODEL}-v{version}").spec["digest"]))

    return mark


STORIES: dict[str, list[tuple[Deed, int]]] = {
    "two versions one after the other": [
        (lambda world: world.import_version(1), 15),
        (lambda world: world.import_version(2), 15),
    ],
    "paused, resumed, taken back, tried again": [
        (lambda world: world.import_version(1), 15),
        (lambda world: world.import_version(2), 4),
        (patch("ModelRollout", f"{MODEL}-v2-auto", paused=True), 3),
        (patch("ModelRollout", f"{MODEL}-v2-auto", paused=False), 1),
        (patch("ModelRollout", f"{MODEL}-v2-auto", desired="Abort"), 8),
        (patch("ModelRollout", f"{MODEL}-v2-auto", desired="Proceed", retryToken="again"), 15),
    ],
    "a bad version is rolled back": [
        (lambda world: world.import_version(1), 15),
        (lambda world: world.import_version(2), 1),
        (bad(2), 25),
    ],
    "a run by hand, a version, a cordoned node": [
        (lambda world: world.ask_run("by-hand"), 20),
        (patch("EdgeNode", "edge-2", cordoned=True), 1),
        (lambda world: world.import_version(7), 15),
    ],
    "what cannot be": [
        (lambda world: world.edit_model(rollout={"automatic": False}), 1),
        (lambda world: world.import_version(2), 2),
        (rollout("nowhere", 2, fleet="nowhere"), 2),
        (patch("ModelRollout", "nowhere", desired="Abort"), 2),
        (rollout("missing", 9), 2),
        (patch("ModelRollout", "missing", desired="Abort"), 2),
        (rollout("right", 2), 15),
    ],
}


@pytest.fixture
def stores(server: ApiServer, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig))
    cluster = objects.open_objects(f"kubernetes://{namespace}")
    assert isinstance(cluster, KubernetesObjects)
    yield [objects.open_objects(f"sqlite://{tmp_path}/objects.db"), cluster]
    cluster.close()


@pytest.mark.parametrize("story", STORIES)
def test_both_stores_tell_the_same_story(story: str, stores: list[Any], tmp_path: Path) -> None:
    now_ms, ends = time.time_ns() // 1_000_000, []
    for number, store in enumerate(stores):
        (tmp_path / str(number)).mkdir()
        world = World(tmp_path / str(number), 2, store, now_ms)
        for deed, ticks in STORIES[story]:
            deed(world)
            world.run(ticks)
        ends.append({kind: [_seen(kind, one) for one in store.list(kind)] for kind in KINDS})
    assert ends[0] == ends[1]
    assert ends[0]["ModelVersion"]


def _seen(kind: str, thing: objects.Object) -> dict[str, Any]:
    """All but what each store counts for itself. The API server fills in defaults: so do we."""
    spec = json.loads(json.dumps(thing.spec))
    for path, field in custom_resources.leaves(custom_resources.schema(kind)):
        parent = functools.reduce(lambda at, step: at.get(step, {}), path[:-1], spec) if "default" in field else None
        if parent is spec or parent:
            parent.setdefault(path[-1], field["default"])
    status = {key: value for key, value in thing.status.items() if key != "observedGeneration"}
    return {"name": thing.name, "spec": spec, "status": status}


def test_both_stores_refuse_alike(stores: list[Any]) -> None:
    """Whoever may not write, writes late, or names what is not there hears the same from both."""
    digest = "sha256:" + "1" * 64
    version = {"model": MODEL, "version": 1, "digest": digest, "targetPath": "imported/x/1"}
    deeds: list[Callable[[Any], object]] = [
        lambda store: store.create("EdgeFleet", "all", {}, manager=writers.OPERATOR),
        lambda store: store.create("EdgeFleet", "all", {}, manager=writers.OPERATOR),
        lambda store: store.patch("EdgeFleet", "all", manager=writers.OPERATOR, status={"nodes": 1}),
        lambda store: store.patch("EdgeFleet", "all", manager=writers.OPERATOR, spec={}, resource_version=999_999_999),
        lambda store: store.patch("EdgeFleet", "none", manager=writers.OPERATOR, spec={"selector": {}}),
        lambda store: store.create("EdgeNode", "n", {}, manager=writers.OPERATOR),
        lambda store: store.create("EdgeFleet", "Not-A-Name", {}, manager=writers.OPERATOR),
        lambda store: store.create("ModelVersion", "v", version, manager=writers.OPERATOR),
        lambda store: store.patch("ModelVersion", "v", manager=writers.CONTROLLER, spec={"version": 2}),
        lambda store: store.delete("EdgeFleet", "none"),
        lambda store: store.get("EdgeFleet", "none"),
    ]
    assert [_said(stores[0], deed) for deed in deeds] == [_said(stores[1], deed) for deed in deeds]
    assert [_said(store, deeds[1])[0] for store in stores] == ["ConflictError"] * 2


def _said(store: Any, deed: Callable[[Any], object]) -> tuple[str, str]:
    try:
        deed(store)
    except errors.SkerryError as exc:
        return type(exc).__name__, "" if isinstance(exc, errors.ConflictError) else str(exc)
    return "", ""
