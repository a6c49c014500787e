"""An EdgeModel from a file: bounded, checked as a whole before anything is written, merged into what is there."""

from pathlib import Path
from typing import Any

from skerry.adapters.objects import resources
from skerry.adapters.objects.protocol import Objects
from skerry.cli import text_file
from skerry.core import class_labels, errors, merging, specs, writers

_MAX_BYTES = 1 << 20


def read(path: Path) -> tuple[str, dict[str, Any]]:
    """(name, spec). Raises InputError naming file and field."""
    read_document = text_file.read_json if path.suffix.lower() == ".json" else text_file.read_yaml
    document = _plain(read_document(path, max_bytes=_MAX_BYTES), path)
    if not isinstance(document, dict) or not isinstance(document.get("name"), str):
        raise errors.InputError(f"{path} must hold a mapping with `name` and `spec`, or a resource for kubectl")
    if unknown := sorted(set(document) - {"name", "spec", "kind"}):
        raise errors.InputError(f"{path}: unknown field {unknown[0]!r}; a model file has `name` and `spec`")
    if document.get("kind", "EdgeModel") != "EdgeModel":
        raise errors.InputError(f"{path} describes a {document['kind']}, not an EdgeModel")
    spec = document.get("spec")
    if not isinstance(spec, dict):
        raise errors.InputError(f"{path}: `spec` must be a mapping")
    names = spec.get("classNames")
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        spec = spec | {"classNames": list(class_labels.check_names(names, f"{path}: spec.classNames"))}
    return document["name"], spec


def _plain(document: Any, path: Path) -> Any:
    """A resource as `kubectl apply` takes it, in the form of a model file. Raises InputError for what would be lost."""
    if not isinstance(document, dict) or "apiVersion" not in document:
        return document
    version = f"{resources.GROUP}/{resources.VERSION}"
    if document["apiVersion"] != version:
        raise errors.InputError(f"{path}: apiVersion must be {version}, not {document['apiVersion']!r:.80}")
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or set(metadata) != {"name"}:
        raise errors.InputError(f"{path}: metadata must hold `name` alone; there is no namespace and no label here")
    rest = {key: value for key, value in document.items() if key not in ("apiVersion", "metadata")}
    return {"name": metadata["name"], **rest}


def apply(store: Objects, name: str, spec: dict[str, Any]) -> str:
    """Write it; returns "created", "changed" or "unchanged". Raises InputError when the whole would not be right."""
    try:
        known = store.get("EdgeModel", name)
    except errors.NotFoundError:
        specs.parse_edge_model(name, merging.merge({}, spec))
        store.create("EdgeModel", name, merging.merge({}, spec), manager=writers.OPERATOR)
        return "created"
    specs.parse_edge_model(name, merging.merge(known.spec, spec))
    changed = store.patch(
        "EdgeModel", name, manager=writers.OPERATOR, spec=spec, resource_version=known.resource_version
    )
    return "unchanged" if changed.resource_version == known.resource_version else "changed"
