"""Reads what a lineage is joined from. Objects are few and read whole; of datasets the manifest, one at a time, and of
their parts no more than the column of ids, by range."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from skerry.adapters import blobs as blob_store
from skerry.adapters import dataset_store
from skerry.adapters.blobs import ranged_file
from skerry.adapters.blobs.protocol import SharedBlobs
from skerry.adapters.objects.protocol import Object, Objects
from skerry.cli.lineage import example_facts
from skerry.core import contract, dataset_parts, digests, errors, lineage, manifest, npz
from skerry.core.datasets import DatasetManifest, Part

_ENDED = ("True", "False")


@dataclass
class Reading:
    """One system's facts, each read when it is asked for and then kept. `damaged`: (what, why) of datasets and parts
    that are stored and cannot be read; a part that is not there at all is told there too."""

    objects: Objects
    blobs: SharedBlobs
    damaged: dict[str, str] = field(default_factory=dict)
    _manifests: dict[tuple[str, str], DatasetManifest | None] = field(default_factory=dict)

    @cached_property
    def runs(self) -> tuple[lineage.Run, ...]:
        return tuple(_run(thing) for thing in self.objects.list("TrainingRun"))

    @cached_property
    def versions(self) -> tuple[lineage.Version, ...]:
        return tuple(self._version(thing) for thing in self.objects.list("ModelVersion"))

    @cached_property
    def nodes(self) -> tuple[lineage.Node, ...]:
        return tuple(_node(thing) for thing in self.objects.list("EdgeNode"))

    @cached_property
    def specs(self) -> Mapping[str, Mapping[str, Any]]:
        """EdgeModel.spec by name."""
        return {thing.name: thing.spec for thing in self.objects.list("EdgeModel")}

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Every name that anything is stored under, also of an EdgeModel that was deleted."""
        return tuple(sorted({*self.specs, *(run.model for run in self.runs), *(one.model for one in self.versions)}))

    def stored_datasets(self, model: str) -> list[str]:
        """Digests, in order."""
        return [f"sha256:{path.rpartition('/')[2]}" for path in self.blobs.list(contract.datasets_folder(model))]

    def dataset(self, model: str, digest: str) -> lineage.Dataset | None:
        """None when it is not stored, or damaged."""
        read = self.manifest(model, digest)
        return None if read is None else _dataset(digest, read)

    def manifest(self, model: str, digest: str) -> DatasetManifest | None:
        if (model, digest) not in self._manifests:
            try:
                self._manifests[model, digest] = dataset_store.read_manifest(self.blobs, model, digest)
            except errors.NotFoundError:
                self._manifests[model, digest] = None
            except (errors.IntegrityError, errors.InputError) as exc:
                self._manifests[model, digest] = None
                self.damaged[f"manifest of dataset {digest}"] = str(exc)
        return self._manifests[model, digest]

    def ids(self, part: Part, model: str) -> Iterator[str]:
        """The ids of a part's rows, in order. Raises NotFoundError, IntegrityError."""
        path = digests.blob_path(part.digest)
        with ranged_file.opened(self.blobs, path) as file:
            arrays = npz.read(
                file,
                f"dataset part {part.digest} of {model}",
                npz.Limits(dataset_parts.MAX_PART_BYTES),
                only=("id",),
                error=errors.IntegrityError,
            )
        yield from (name.decode(errors="replace") for name in arrays["id"].tolist())

    def holders(self, model: str, example: str) -> tuple[str, ...]:
        """The stored datasets of the model with a row of this example. Reads each captured part's ids once."""
        holds: dict[str, bool] = {}
        found = []
        for digest in self.stored_datasets(model):
            parts = [part for part in self._parts(model, digest) if part.origin == "captured"]
            for part in parts:
                if part.digest not in holds:
                    holds[part.digest] = self._holds(part, model, example)
            if any(holds[part.digest] for part in parts):
                found.append(digest)
        return tuple(found)

    def captured_ids(self, model: str, digests_of: Iterable[str], count: int) -> dict[str, tuple[str, ...]]:
        """The first `count` captured examples of these datasets, and which of the datasets each was read from."""
        found: dict[str, list[str]] = {}
        for digest in digests_of:
            for part in self._parts(model, digest):
                if len(found) >= count:
                    break
                if part.origin == "captured":
                    for name in self._first(part, model, count - len(found), found):
                        found.setdefault(name, []).append(digest)
        return {name: tuple(holders) for name, holders in found.items()}

    def example(self, model: str, name: str, datasets: tuple[str, ...]) -> lineage.Example:
        """The example `name` (a digest) with its label, whatever of it is stored."""
        read = example_facts.read(self.blobs, model, name, self.specs.get(model, {}))
        return replace(read, datasets=datasets)

    def _first(self, part: Part, model: str, count: int, known: Mapping[str, object]) -> list[str]:
        return [name for name in self._ids(part, model) if name not in known][:count]

    def _holds(self, part: Part, model: str, example: str) -> bool:
        return example in self._ids(part, model)

    def _ids(self, part: Part, model: str) -> list[str]:
        try:
            return list(self.ids(part, model))
        except (errors.IntegrityError, errors.InputError) as exc:
            self.damaged[f"part {part.digest} of a dataset of {model}"] = str(exc)
            return []

    def _parts(self, model: str, digest: str) -> tuple[Part, ...]:
        read = self.manifest(model, digest)
        return () if read is None else read.parts

    def _version(self, thing: Object) -> lineage.Version:
        spec = thing.spec
        digest, source = str(spec.get("digest", "")), str(spec.get("source", "Trained"))
        available = _condition(thing, "Available")
        gone = str(available.get("message", "")) if available.get("status") == "False" else ""
        return lineage.Version(
            name=thing.name,
            model=str(spec.get("model", "")),
            digest=digest,
            source=source,
            run=str(spec.get("run", "")),
            dataset="" if source == "Imported" else self._trained_on(digest),
            gone=gone,
            created_unix_ms=thing.created_unix_ms,
        )

    def _trained_on(self, digest: str) -> str | None:
        try:
            return manifest.from_json(blob_store.fetch(self.blobs, digest, manifest.MAX_BYTES)).dataset
        except (errors.InputError, errors.IntegrityError):  # gone, or damaged: `--verify` tells which
            return None


def _run(thing: Object) -> lineage.Run:
    done, running = _condition(thing, "Succeeded"), _condition(thing, "Running")
    told = done if done.get("status") in _ENDED else running
    return lineage.Run(
        name=thing.name,
        model=str(thing.spec.get("model", "")),
        dataset=str(thing.spec.get("datasetDigest", "")),
        why=str(thing.spec.get("reason", "")),
        state=str(told.get("reason", "Pending")),
        message=str(told.get("message", "")),
        created_unix_ms=thing.created_unix_ms,
    )


def _node(thing: Object) -> lineage.Node:
    reports = thing.status.get("models", [])
    listed = [report for report in reports if isinstance(report, dict)] if isinstance(reports, list) else []
    runs = {str(report.get("model", "")): str(report["digest"]) for report in listed if report.get("digest")}
    seen = thing.status.get("lastSeenUnixMs", 0)
    return lineage.Node(thing.name, runs, seen if isinstance(seen, int) else 0)


def _dataset(digest: str, read: DatasetManifest) -> lineage.Dataset:
    captured = sum(part.samples for part in read.parts if part.origin == "captured")
    nodes = {node: (rows.train, rows.holdout) for node, rows in read.nodes.items() if rows.train or rows.holdout}
    return lineage.Dataset(
        name=digest,
        model=read.model,
        created_unix_ms=read.created_unix_ms,
        train=read.samples("train"),
        holdout=read.samples("holdout"),
        captured=captured,
        parents=read.parents,
        nodes=nodes,
        nameless=max(0, captured - sum(map(sum, nodes.values()))),
    )


def _condition(thing: Object, kind: str) -> Mapping[str, Any]:
    listed = thing.status.get("conditions", [])
    return next((one for one in listed if isinstance(one, dict) and one.get("type") == kind), {})
