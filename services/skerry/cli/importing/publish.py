"""A prepared version is stored, signed with the publisher's key and handed to the controller.

The signature is the publisher's; snapshot and timestamp are the controller's, which checks this signature first.
"""

import contextlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from skerry.adapters import blobs as blob_store
from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.objects.protocol import Object, Objects
from skerry.adapters.trust import keys, repository, store
from skerry.cli import acting, system_file
from skerry.cli.importing.network import PreparedVersion
from skerry.core import compression_report, errors, intents, interface, label_map, manifest, specs
from skerry.core.gates import Verdict
from skerry.trainer import baseline

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Published:
    """`is_new` is False when the very same version was there already."""

    version: Object
    is_new: bool


def publish(
    system: system_file.Description, objects: Objects, prepared: PreparedVersion, verdict: Verdict | None = None
) -> Published:
    """Blobs first, then the signature, then the ModelVersion that names it and the `verdict` on it, if it was judged.
    Repeating it makes no second version.

    Raises InputError (it has another interface than its model; nothing is stored then), RejectedError (the publisher's
    key is not here), UnavailableError (storage), ConflictError (numbers race).
    """
    described, digest = prepared.manifest, prepared.manifest.digest
    opened = blob_store.open_blobs(system.blobs)
    check_interface(objects, opened, described)
    for content in prepared.contents.values():
        blob_store.put(opened, content)
    _ensure_model(objects, prepared)
    if (version := known(objects, described.model, digest)) is not None:
        return Published(version, is_new=False)
    signer = repository.Repository(
        blob_store.open_shared(system.repository), keys.load(Path(system.keys) / keys.PUBLISHER)
    )
    for _ in range(_TRIES):
        number = _next_number(objects, signer, described.model)
        path = signer.add_version(
            store.IMPORTED, described.model, number, digest, prepared.contents, now=datetime.now(UTC)
        )
        spec = {
            "model": described.model,
            "version": number,
            "digest": digest,
            "targetPath": path,
            "source": "Imported",
            "sizeBytes": sum(len(content) for content in prepared.contents.values()),
            "runtime": described.runtime.fields(),
            "compression": compression_report.of_manifest(described, len(described.to_json()), imported=True),
            **({} if verdict is None else {"verdict": verdict.to_json()}),
        }
        with contextlib.suppress(errors.ConflictError):
            name = f"{described.model}-v{number}"
            made = intents.Creation("ModelVersion", name, spec)
            return Published(acting.on(objects).create(made, "import"), is_new=True)
    raise errors.ConflictError(f"others keep taking the next version number of {described.model}: try again")


def edge_model(objects: Objects, name: str) -> specs.EdgeModel | None:
    """Raises InputError naming the field that is wrong."""
    try:
        model = objects.get("EdgeModel", name)
    except errors.NotFoundError:
        return None
    return specs.parse_edge_model(model.name, model.spec)


def stable(objects: Objects, blobs: Blobs, model: str) -> baseline.Baseline | str | None:
    """The version that a new one is compared with; a text: why it cannot be had."""
    name = str(objects.get("EdgeModel", model).status.get("stableVersion", ""))
    version = None
    if name:
        with contextlib.suppress(errors.NotFoundError):
            version = specs.parse_model_version(name, objects.get("ModelVersion", name).spec)
    return baseline.find(blobs, name, version)


def known(objects: Objects, model: str, digest: str) -> Object | None:
    """The version that is this very manifest."""
    versions = (version for version in objects.list("ModelVersion") if version.spec.get("model") == model)
    return next((version for version in versions if version.spec.get("digest") == digest), None)


def check_interface(objects: Objects, blobs: Blobs, version: manifest.Manifest) -> None:
    """A version fits the EdgeModel (which takes over classes that are appended) and the stable version, as the
    controller will ask too. Raises InputError."""
    try:
        model = objects.get("EdgeModel", version.model)
    except errors.NotFoundError:
        return
    described = specs.parse_edge_model(model.name, model.spec)
    if not described.task.change(version.task):  # as it is, or with classes appended
        described = replace(described, task=version.task)
    why = interface.difference(described, version)
    stable = str(model.status.get("stableVersion", ""))
    if not why and stable:
        with contextlib.suppress(errors.NotFoundError):
            digest = str(objects.get("ModelVersion", stable).spec["digest"])
            before = manifest.from_json(blob_store.fetch(blobs, digest, manifest.MAX_BYTES))
            why = interface.change(before, version)
    if why:
        raise errors.InputError(
            f"the network has another interface than EdgeModel {version.model}: {why}; clients rely on it, so give "
            f"{'--labels and ' if version.class_names else ''}inputs as the model has them, or import it under another "
            "--name"
        )


def _next_number(objects: Objects, signer: repository.Repository, model: str) -> int:
    taken = [
        int(version.spec["version"]) for version in objects.list("ModelVersion") if version.spec.get("model") == model
    ]
    counter = int(objects.get("EdgeModel", model).status.get("releaseCounter", 0))
    return 1 + max([counter, signer.highest_version(model), *taken])


def _ensure_model(objects: Objects, prepared: PreparedVersion) -> None:
    """An imported network needs no description by hand: what it takes and says is in its manifest. Classes that it has
    more than the EdgeModel are appended there."""
    described = prepared.manifest
    with contextlib.suppress(errors.NotFoundError):
        names = objects.get("EdgeModel", described.model).spec.get("classNames", [])
        if len(names) < len(described.class_names) and not label_map.fault(names, described.class_names):
            grown = {"classNames": list(described.class_names)}
            patch = intents.Patch("EdgeModel", described.model, grown, {"classNames": names})
            acting.on(objects).change("append classes", "EdgeModel", described.model, lambda _: patch)
        return
    taken = described.inputs[0]
    spec = {
        "task": described.task.name,
        **described.task.to_json(),
        "input": {"name": taken.name, "datatype": taken.datatype, "shape": list(taken.shape)},
        "preprocessing": [step.fields() for step in described.preprocessing],
    }
    with contextlib.suppress(errors.ConflictError):
        acting.on(objects).create(intents.Creation("EdgeModel", described.model, spec))
