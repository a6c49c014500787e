"""An EdgeModel from a file: bounded, checked as a whole before anything is written, merged into what is there."""

import json
from pathlib import Path
from typing import Any

from skerry.adapters.objects.protocol import Objects
from skerry.core import errors, merging, specs, writers

_MAX_BYTES = 1 << 20


def read(path: Path) -> tuple[str, dict[str, Any]]:
    """(name, spec). Raises InputError naming file and field."""
    if path.stat().st_size > _MAX_BYTES:
        raise errors.TooLargeError(f"{path} is larger than {_MAX_BYTES} bytes")
    document = _parse(path)
    if not isinstance(document, dict) or not isinstance(document.get("name"), str):
        raise errors.InputError(f"{path} must hold a mapping with `name` and `spec`")
    if unknown := sorted(set(document) - {"name", "spec", "kind"}):
        raise errors.InputError(f"{path}: unknown field {unknown[0]!r}; a model file has `name` and `spec`")
    if document.get("kind", "EdgeModel") != "EdgeModel":
        raise errors.InputError(f"{path} describes a {document['kind']}, not an EdgeModel")
    spec = document.get("spec")
    if not isinstance(spec, dict):
        raise errors.InputError(f"{path}: `spec` must be a mapping")
    return document["name"], spec


def _parse(path: Path) -> Any:
    text = path.read_text(errors="replace")
    if path.suffix.lower() == ".json":
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise errors.InputError(f"{path} is not JSON: {exc}") from exc
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as exc:
        raise errors.InputError(f"{path} is not YAML: {exc}") from exc


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
