"""Removes datasets that another has taken the place of, and the parts that only they named.

A dataset stays while it is the newest of its model, or pinned: by EdgeModel.spec.datasetDigest, by a TrainingRun, or by
the manifest of a ModelVersion; for `keep_s` after it ceased to be any of these (as this process saw it); and for ever
when nothing in it was captured, since then a person imported it. Works in the thread that publishes, so that no part is
taken from a dataset in the making.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from skerry.adapters import blobs as blob_store
from skerry.adapters import dataset_store
from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.objects.protocol import Object, Objects
from skerry.adapters.telemetry import logs
from skerry.core import contract, digests, manifest

MAX_AT_ONCE = 200  # datasets in one go, so that nothing else waits long

_log = logs.logger("curator")


@dataclass(frozen=True, slots=True)
class _Dataset:
    """What matters of a dataset here: the parts that were captured, and all of them."""

    captured: frozenset[str]
    parts: frozenset[str]


class DatasetRetention:
    """`monotonic` gives seconds."""

    def __init__(self, objects: Objects, blobs: Blobs, monotonic: Callable[[], float], keep_s: float) -> None:
        self._objects, self._blobs, self._monotonic, self._keep_s = objects, blobs, monotonic, keep_s
        self._free_since_s: dict[tuple[str, str], float] = {}  # (model, dataset)
        self._datasets: dict[str, _Dataset] = {}  # by dataset; a dataset never changes
        self._trained_on: dict[str, str] = {}  # dataset, by digest of a version

    def sweep(self, model: str, newest: str, held: Iterable[str]) -> int:
        """Remove what is due, and say how many datasets that were. `held` are parts that the next dataset may name.

        Raises UnavailableError, and IntegrityError or InputError when it cannot be told what is pinned: then nothing
        goes.
        """
        stored = {f"sha256:{path.rpartition('/')[2]}" for path in self._blobs.list(contract.datasets_folder(model))}
        pinned = {newest} | self._pins(model)
        due = self._due(model, stored - pinned)
        if not due:
            return 0
        kept = set(held).union(*(self._read(model, digest).parts for digest in stored - due))
        swept = 0
        for digest in sorted(due)[:MAX_AT_ONCE]:
            swept += self._remove(model, digest, kept)
        if swept:
            _log.info("datasets_swept", model=model, datasets=swept, kept=len(stored) - swept)
        return swept

    def _due(self, model: str, free: set[str]) -> set[str]:
        """Those of `free` that have been so for long enough."""
        now_s = self._monotonic()
        since = {digest: self._free_since_s.get((model, digest), now_s) for digest in free}
        others = {key: at_s for key, at_s in self._free_since_s.items() if key[0] != model}
        self._free_since_s = others | {(model, digest): at_s for digest, at_s in since.items()}
        return {digest for digest, at_s in since.items() if now_s - at_s >= self._keep_s}

    def _pins(self, model: str) -> set[str]:
        mine: list[Mapping[str, object]] = [
            resource.spec for resource in self._objects.list("TrainingRun") if resource.spec.get("model") == model
        ]
        mine += [resource.spec for resource in self._objects.list("EdgeModel") if resource.name == model]
        versions = [version for version in self._objects.list("ModelVersion") if version.spec.get("model") == model]
        return {str(spec.get("datasetDigest")) for spec in mine} | {self._dataset_of(version) for version in versions}

    def _dataset_of(self, version: Object) -> str:
        """What a version was trained on. The manifest of an imported one is not ours, nor is its dataset."""
        digest = str(version.spec.get("digest"))
        if version.spec.get("source") == "Imported":
            return ""
        if digest not in self._trained_on:
            self._trained_on[digest] = manifest.from_json(
                blob_store.fetch(self._blobs, digest, manifest.MAX_BYTES)
            ).dataset
        return self._trained_on[digest]

    def _read(self, model: str, digest: str) -> _Dataset:
        if digest not in self._datasets:
            parts = dataset_store.read_manifest(self._blobs, model, digest).parts
            captured = frozenset(part.digest for part in parts if part.origin == "captured")
            self._datasets[digest] = _Dataset(captured, frozenset(part.digest for part in parts))
        return self._datasets[digest]

    def _remove(self, model: str, digest: str, kept: set[str]) -> bool:
        """Its parts first: a sweep that is broken off leaves a manifest, which is found again, and no stray parts."""
        dataset = self._read(model, digest)
        if not dataset.captured:
            return False
        for part in dataset.captured - kept:
            self._blobs.delete(digests.blob_path(part))
        self._blobs.delete(contract.dataset_path(model, digest))
        self._datasets.pop(digest)
        return True
