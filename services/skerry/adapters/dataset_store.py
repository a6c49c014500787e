"""Datasets in object storage: manifests and parts, read with distrust and written by digest. All services use this."""

from skerry.adapters import blobs as blob_store
from skerry.adapters.blobs.protocol import Blobs
from skerry.core import contract, dataset_parts, datasets, digests, errors
from skerry.core.dataset_parts import Rows
from skerry.core.datasets import DatasetManifest, Origin, Part, Role


def read_manifest(blobs: Blobs, model: str, digest: str) -> DatasetManifest:
    """The manifest of the dataset `digest`. Raises NotFoundError, IntegrityError (damaged), TooLargeError,
    InputError."""
    path = contract.dataset_path(model, digest)
    data = blobs.read(path, max_bytes=datasets.MAX_MANIFEST_BYTES)
    return DatasetManifest.from_json(digests.verify(data, digest, f"dataset {path}"))


def write_manifest(blobs: Blobs, manifest: DatasetManifest) -> str:
    """Store the manifest once its parts are stored; returns the dataset's digest. Raises UnavailableError."""
    data = manifest.to_json()
    digest = digests.sha256(data)
    blobs.write(contract.dataset_path(manifest.model, digest), data)
    return digest


def read_part(blobs: Blobs, manifest: DatasetManifest, part: Part) -> Rows:
    """The rows of a part, checked. Raises as `read_manifest`."""
    data = blob_store.fetch(blobs, part.digest, dataset_parts.MAX_PART_BYTES)
    rows = dataset_parts.unpack(data, manifest, part.label_map)
    if len(rows) != part.samples:
        raise errors.IntegrityError(
            f"dataset part {part.digest} of {manifest.model} has {len(rows)} rows, its manifest says {part.samples}"
        )
    return rows


def write_part(blobs: Blobs, role: Role, origin: Origin, rows: Rows) -> Part:
    """Store the rows; returns the manifest's entry for them. Raises UnavailableError."""
    data = dataset_parts.pack(rows)
    blob_store.put(blobs, data)
    return dataset_parts.describe(role, origin, data, rows)
