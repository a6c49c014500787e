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


class Exclusions:
    """Remembers the datasets of versions: neither ever changes."""

    def __init__(self, store: Store, blobs: Blobs) -> None:
        self._store, self._blobs = store, blobs
        self._trained_on: dict[str, tuple[str, DatasetManifest] | None] = {}  # by version

    def step(self) -> None:
        """Raises UnavailableError (storage)."""
        found = self._store.list("Exclusion")
        if not found:
            return
        versions = [one for one in self._store.list("ModelVersion") if one.spec.get("source") == "Trained"]
        for thing in found:
            self._store.put_status(thing, {**thing.status, **self._status(thing, versions)})

    def _status(self, thing: Object, versions: Sequence[Object]) -> dict[str, object]:
        node, learned, unknown = str(thing.spec.get("node", "")), [], []
        for version in sorted(versions, key=lambda one: (one.created_unix_ms, one.name)):
            trained_on = self._dataset_of(version)
            if trained_on is None or (trained_on[1].captured and not trained_on[1].nodes):
                unknown.append(version.name)
            elif (one := exclusions.learned(version.name, *trained_on, node)) is not None:
                learned.append(one.to_json())
        return {"versions": learned[-MAX_VERSIONS:], "unknown": unknown[-MAX_VERSIONS:]}

    def _dataset_of(self, version: Object) -> tuple[str, DatasetManifest] | None:
        """The dataset that the version was trained on, None when its files are not there or damaged."""
        if version.name not in self._trained_on:
            try:
                data = blob_store.fetch(self._blobs, str(version.spec.get("digest")), manifest.MAX_BYTES)
                digest = manifest.from_json(data).dataset
                read = dataset_store.read_manifest(self._blobs, str(version.spec.get("model")), digest)
                self._trained_on[version.name] = digest, read
            except (errors.InputError, errors.IntegrityError):
                self._trained_on[version.name] = None
        return self._trained_on[version.name]
