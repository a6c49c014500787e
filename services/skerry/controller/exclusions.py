"""Writes down, for each Exclusion, which versions learned from its node: dataset manifests name nodes and counts."""

from collections.abc import Sequence

from skerry.adapters import blobs as blob_store
from skerry.adapters import dataset_store
from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.objects.protocol import Object
from skerry.controller.store import Store
from skerry.core import errors, exclusions, manifest
from skerry.core.datasets import DatasetManifest

MAX_VERSIONS = 1000
MAX_READ = 50  # datasets that one tick reads: the next one goes on


class Exclusions:
    """Remembers the datasets of versions: neither ever changes."""

    def __init__(self, store: Store, blobs: Blobs) -> None:
        self._store, self._blobs = store, blobs
        self._trained_on: dict[str, tuple[str, DatasetManifest] | None] = {}  # by version

    def step(self) -> bool:
        """Look at some more versions, and write what they learned once all are known: True. Raises UnavailableError."""
        found = self._store.list("Exclusion")
        if not found:
            return True
        versions = [one for one in self._store.list("ModelVersion") if one.spec.get("source") == "Trained"]
        unread = [one for one in versions if one.name not in self._trained_on]
        for version in unread[:MAX_READ]:
            self._trained_on[version.name] = self._read(version)
        if len(unread) > MAX_READ:
            return False
        for thing in found:
            self._store.put_status(thing, {**thing.status, **self._status(thing, versions)})
        return True

    def _status(self, thing: Object, versions: Sequence[Object]) -> dict[str, object]:
        node, learned, unknown = str(thing.spec.get("node", "")), [], []
        for version in sorted(versions, key=lambda one: (one.created_unix_ms, one.name)):
            trained_on = self._trained_on[version.name]
            if trained_on is None or (trained_on[1].captured and not trained_on[1].nodes):
                unknown.append(version.name)
            elif (one := exclusions.learned(version.name, *trained_on, node)) is not None:
                learned.append(one.to_json())
        return {"versions": learned[-MAX_VERSIONS:], "unknown": unknown[-MAX_VERSIONS:]}

    def _read(self, version: Object) -> tuple[str, DatasetManifest] | None:
        """The dataset that the version was trained on, None when its files are not there or damaged."""
        try:
            data = blob_store.fetch(self._blobs, str(version.spec.get("digest")), manifest.MAX_BYTES)
            digest = manifest.from_json(data).dataset
            return digest, dataset_store.read_manifest(self._blobs, str(version.spec.get("model")), digest)
        except (errors.InputError, errors.IntegrityError):
            return None
