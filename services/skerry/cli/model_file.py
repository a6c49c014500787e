"""An EdgeModel from a file: bounded, checked as a whole before anything is written, merged into what is there."""

import json
from pathlib import Path
from typing import Any

from skerry.adapters.acts import Acts
from skerry.adapters.objects import resources
from skerry.adapters.objects.protocol import Objects
from skerry.cli import text_file
from skerry.core import class_labels, class_maps, errors, intents, label_map, merging, specs
from skerry.core.tasks import Classification, Task

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


def _check_classes(name: str, was: Task | None, after: dict[str, Any]) -> None:
    """Raises InputError that shows the entry of classMap that a change of classes to those of the spec `after` needs.
    What is wrong with entries that were given, the spec's reader and the store say."""
    names, entries = after.get("classNames"), after.get("classMap", [])
    if not isinstance(was, Classification) or not isinstance(names, list) or not isinstance(entries, list):
        return
    fault = label_map.fault(was.class_names, [str(one) for one in names])
    if not fault or len(names) < 2 or len(entries) > len(was.former):
        return
    entry, missing = class_maps.draft(was.class_names, [str(one) for one in names])
    lines = [f"- {line}" if not at else f"  {line}" for at, line in enumerate(_entry_lines(entry, missing))]
    kept = f" (after the {len(was.former)} that are there)" if was.former else ""
    raise errors.InputError(
        f"EdgeModel {name}: {fault}. Labels and datasets count in the classes before: say what became of each, by an "
        f"entry at the end of spec.classMap{kept}, as this one once it is right:\nclassMap:\n" + "\n".join(lines)
    )


def _task_of(name: str, spec: dict[str, Any]) -> Task | None:
    """None of a spec that cannot be read: what is applied may be what mends it."""
    try:
        return specs.parse_edge_model(name, spec).task
    except errors.InputError:
        return None


def _entry_lines(entry: class_maps.FormerClasses, missing: tuple[str, ...]) -> list[str]:
    """YAML; what a person must decide stands beside it."""
    quoted = [json.dumps(one, ensure_ascii=False) for one in entry.names]
    gone = ", ".join(json.dumps(one, ensure_ascii=False) for one in missing)
    to = "to: {}  # old: new, for what was renamed or merged; every other name keeps its meaning, also in another order"
    removed = f"removed: [{gone}]  # their rows are left out; what was renamed belongs under to instead"
    return [f"from: [{', '.join(quoted)}]", to, removed if missing else "removed: []"]


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


def apply(store: Objects, acts: Acts, name: str, spec: dict[str, Any]) -> str:
    """Write it; returns "created", "changed" or "unchanged". Raises InputError when the whole would not be right."""
    try:
        before = store.get("EdgeModel", name).spec
    except errors.NotFoundError:
        specs.parse_edge_model(name, merging.merge({}, spec))
        acts.create(intents.Creation("EdgeModel", name, merging.merge({}, spec)))
        return "created"
    if merging.merge(before, spec) == before:
        return "unchanged"

    def intent(known: intents.Known) -> intents.Patch:
        after = merging.merge(known.spec, spec)
        _check_classes(name, _task_of(name, dict(known.spec)), after)
        specs.parse_edge_model(name, after)
        return intents.Patch("EdgeModel", name, spec, {key: known.spec.get(key) for key in spec})

    acts.change("apply", "EdgeModel", name, intent)
    return "changed"
