"""A forecaster that was imported before. Its manifest holds measurements of its holdout and the bound of the version
that was stable then, so that a second import would be another manifest: it is known by its file and what is said of
it."""

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path

from skerry.adapters import blobs as blob_store
from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.objects.protocol import Object, Objects
from skerry.cli.importing.wanted import Wanted
from skerry.core import errors, manifest, specs
from skerry.core.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Earlier:
    """A version, and what it was made of."""

    version: Object
    manifest: Manifest


def find(objects: Objects, blobs: Blobs, path: Path, said: Wanted, threshold: float | None) -> Earlier | None:
    """The imported version of the file at `path` with the same task, input and steps, and with the output and threshold
    that are asked for by name (empty, None: whatever it has). Of several the stable one, else the newest; a version
    whose manifest cannot be read is none. Raises UnavailableError (storage)."""
    versions = [thing for thing in objects.list("ModelVersion") if thing.spec.get("model") == said.model]
    known = [one for thing in versions if (one := _read(blobs, thing)) and _is_said(one.manifest, said, threshold)]
    size = path.stat().st_size
    alike = [one for one in known if one.manifest.files["model"].size_bytes == size]
    digest = _digest(path) if alike else ""
    found = [one for one in alike if one.manifest.files["model"].digest == digest]
    stable = objects.get("EdgeModel", said.model).status.get("stableVersion", "") if found else ""
    return max(found, key=lambda one: (one.version.name == stable, one.version.spec["version"]), default=None)


def _read(blobs: Blobs, thing: Object) -> Earlier | None:
    with contextlib.suppress(errors.InputError, errors.IntegrityError):
        version = specs.parse_model_version(thing.name, thing.spec)
        if version.source != "Imported":
            return None
        return Earlier(thing, manifest.from_json(blob_store.fetch(blobs, version.digest, manifest.MAX_BYTES)))
    return None


def _is_said(document: Manifest, said: Wanted, threshold: float | None) -> bool:
    return (
        (document.task, document.inputs, document.preprocessing) == (said.task, (said.row,), said.steps)
        and said.output in ("", document.outputs[0].name)
        and threshold in (None, document.confidence.threshold)
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
