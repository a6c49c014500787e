"""A prepared version is stored, signed with the publisher's key and handed to the controller.

The signature is the publisher's; snapshot and timestamp are the controller's, which checks this signature first.
"""

import contextlib
from datetime import UTC, datetime
from pathlib import Path

from skerry.adapters import blobs as blob_store
from skerry.adapters.objects.protocol import Object, Objects
from skerry.adapters.trust import keys, repository, store
from skerry.cli import system_file
from skerry.cli.importing.network import PreparedVersion
from skerry.core import errors, writers

_TRIES = 5


def publish(system: system_file.Description, objects: Objects, made: PreparedVersion) -> Object:
    """Blobs first, then the signature, then the ModelVersion that names it. Repeating it makes no second version.

    Raises RejectedError (the publisher's key is not here), UnavailableError (storage), ConflictError (numbers race).
    """
    described, digest = made.manifest, made.manifest.digest
    opened = blob_store.open_blobs(system.blobs)
    for content in made.contents.values():
        blob_store.put(opened, content)
    _ensure_model(objects, made)
    for known in objects.list("ModelVersion"):
        if known.spec.get("model") == described.model and known.spec.get("digest") == digest:
            return known
    signer = repository.Repository(
        blob_store.open_shared(system.repository), keys.load(Path(system.keys) / keys.PUBLISHER)
    )
    for _ in range(_TRIES):
        number = _next_number(objects, signer, described.model)
        path = signer.add_version(store.IMPORTED, described.model, number, digest, made.contents, now=datetime.now(UTC))
        spec = {
            "model": described.model,
            "version": number,
            "digest": digest,
            "targetPath": path,
            "source": "Imported",
            "sizeBytes": sum(len(content) for content in made.contents.values()),
            "runtime": described.runtime.fields(),
        }
        with contextlib.suppress(errors.ConflictError):
            return objects.create("ModelVersion", f"{described.model}-v{number}", spec, manager=writers.OPERATOR)
    raise errors.ConflictError(f"others keep taking the next version number of {described.model}: try again")


def _next_number(objects: Objects, signer: repository.Repository, model: str) -> int:
    taken = [int(one.spec["version"]) for one in objects.list("ModelVersion") if one.spec.get("model") == model]
    counter = int(objects.get("EdgeModel", model).status.get("releaseCounter", 0))
    return 1 + max([counter, signer.highest_version(model), *taken])


def _ensure_model(objects: Objects, made: PreparedVersion) -> None:
    """An imported network needs no description by hand: what it takes and says is in its manifest."""
    described = made.manifest
    with contextlib.suppress(errors.NotFoundError):
        objects.get("EdgeModel", described.model)
        return
    taken = described.inputs[0]
    spec = {
        "classNames": list(described.class_names),
        "input": {"name": taken.name, "datatype": taken.datatype, "shape": list(taken.shape)},
        "preprocessing": [step.fields() for step in described.preprocessing],
    }
    with contextlib.suppress(errors.ConflictError):
        objects.create("EdgeModel", described.model, spec, manager=writers.OPERATOR)
