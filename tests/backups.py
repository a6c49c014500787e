"""A system with something of everything, to be saved and put back, and what it says before and after."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import manifests
from cli_system import StillSystem

from skerry.adapters import blobs as blob_store
from skerry.adapters import objects
from skerry.adapters.trust import ceremony
from skerry.cli.backup import saving
from skerry.cli.locations import Locations
from skerry.core import manifest, writers


def furnished(still: StillSystem) -> StillSystem:
    contents = {"model.onnx": b"m" * 3000, "golden.npz": b"g" * 100}
    named = {name.partition(".")[0]: manifest.file_of(name, data) for name, data in contents.items()}
    made = manifests.digits(files=named)
    contents["manifest.json"] = made.to_json()
    dataset = b'{"schema": 1}'
    for data in (*contents.values(), b"a run's log"):
        blob_store.put(still.blobs, data)
    still.blobs.write(f"datasets/digits/{manifest.digest_of(dataset).removeprefix('sha256:')}", dataset)
    for path in ("examples/digits/ab", "truths/digits/ab", "labels/digits/ab.json", "runs/one.json"):
        still.blobs.write(path, path.encode())
    signing = ceremony.ensure(
        blob_store.open_shared(still.description.repository), Path(still.description.keys), now=datetime.now(UTC)
    )
    path = signing.add_version("retrained", "digits", 1, made.digest, contents, now=datetime.now(UTC))
    signing.publish(now=datetime.now(UTC))
    (still.folder / "teacher" / "digits" / "1").mkdir(parents=True)
    (still.folder / "teacher" / "digits" / "1" / "model.onnx").write_bytes(b"large")
    store = still.objects
    store.create("EdgeFleet", "all", {"selector": {}}, manager="operator", labels={"site": "x"})
    store.create("EdgeModel", "digits", {"datasetDigest": manifest.digest_of(dataset)}, manager="operator")
    store.patch("EdgeModel", "digits", manager="controller", status={"stableVersion": "digits-v1", "releaseCounter": 1})
    spec = {"model": "digits", "version": 1, "digest": made.digest, "targetPath": path, "source": "Trained"}
    store.create("ModelVersion", "digits-v1", spec, manager="controller")
    available = {"conditions": [{"type": "Available", "status": "True"}]}
    store.patch("ModelVersion", "digits-v1", manager="controller", status=available)
    store.create("ModelRollout", "digits-v1-auto", {"model": "digits", "version": "digits-v1"}, manager="controller")
    store.patch("ModelRollout", "digits-v1-auto", manager="controller", status={"epoch": 7, "state": "Succeeded"})
    store.create("EdgeNode", "edge-1", {"labels": {"line": "3"}}, manager=writers.GATEWAY)
    store.patch("EdgeNode", "edge-1", manager="controller", spec={"assignments": [{"model": "digits"}]})
    store.patch("EdgeNode", "edge-1", manager="gateway", status={"connected": True, "lastSeenUnixMs": 5})
    return still


def empty(folder: Path) -> StillSystem:
    folder.mkdir()
    return StillSystem(folder)


AWAKENED = ("epoch", "connected", "releaseCounter")


def told(store: objects.Objects) -> dict[str, Any]:
    """Everything that the objects say, but for what waking up changes."""
    found = {}
    for kind in saving.KINDS:
        for thing in store.list(kind):
            status = {key: value for key, value in thing.status.items() if key not in AWAKENED}
            found[f"{kind}/{thing.name}"] = (thing.spec, status, thing.labels, thing.created_unix_ms)
    return found


def tree(folder: Path) -> dict[str, bytes]:
    """Files below a folder by name, without locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def is_untouched(folder: Path) -> bool:
    """No object, and no repository that a reader could begin with."""
    store = objects.open_objects(f"sqlite:///{folder}/objects.db")
    return told(store) == {} and not (folder / "repository" / "metadata").exists()


def places_of(still: StillSystem) -> Locations:
    described = still.description
    return Locations(described.objects, described.blobs, described.repository)
