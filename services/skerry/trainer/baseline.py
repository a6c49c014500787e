"""The stable version that a candidate must not be worse than: its manifest and model file, by digest from the blobs."""

from dataclasses import dataclass

from skerry.adapters import blobs as blob_store
from skerry.adapters.blobs.protocol import Blobs
from skerry.core import errors, manifest, specs
from skerry.core.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Baseline:
    name: str
    digest: str
    manifest: Manifest
    model: bytes


def find(blobs: Blobs, name: str, version: specs.ModelVersion | None) -> Baseline | str | None:
    """The ModelVersion `name`; None for an empty name. When it or its files cannot be had, a text that says why: a
    version that nothing was compared with must not pass for want of a comparison."""
    if not name:
        return None
    if version is None:
        return f"there is no ModelVersion {name} to compare with"
    try:
        data = blob_store.fetch(blobs, version.digest, manifest.MAX_BYTES)
        document = manifest.from_json(data)
        file = document.files["model"]
        return Baseline(name, version.digest, document, blob_store.fetch(blobs, file.digest, file.size_bytes))
    except (errors.InputError, errors.IntegrityError) as exc:
        return f"the files of the stable version {name} cannot be read: {exc}"
