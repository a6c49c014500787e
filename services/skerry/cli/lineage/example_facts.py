"""One example and its label as facts. What is damaged is told by `--verify`; here it is as if it were not there."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.message import DecodeError

from skerry.adapters.blobs.protocol import Blobs
from skerry.core import contract, digests, errors, lineage
from skerry.core.specs import task
from skerry.core.specs.reader import Reader
from skerry.core.tasks import Task
from skerry.curator import labels
from skerry.proto import fleet_pb2


def read(blobs: Blobs, model: str, name: str, spec: Mapping[str, Any]) -> lineage.Example:
    """`name` is a digest, `spec` that of the EdgeModel, empty if there is none."""
    hex_name = digests.hex_of(name)
    data = _read(blobs, contract.example_path(model, hex_name), contract.MAX_EXAMPLE_BYTES)
    label = _label(_read(blobs, contract.label_path(model, hex_name), labels.MAX_LABEL_BYTES), _task(spec))
    example = _parsed(data)
    if example is None:
        return lineage.Example(name, model, is_stored=False, label=label)
    return lineage.Example(
        name=name,
        model=model,
        node=example.node,
        request_id=example.request_id,
        answered_unix_ms=example.answered_unix_ms,
        answered_by=example.digest,
        label=label,
    )


def _read(blobs: Blobs, path: str, max_bytes: int) -> bytes | None:
    try:
        return blobs.read(path, max_bytes=max_bytes)
    except (errors.NotFoundError, errors.TooLargeError):
        return None


def _parsed(data: bytes | None) -> fleet_pb2.Example | None:
    try:
        return None if data is None else fleet_pb2.Example.FromString(data)
    except DecodeError:
        return None


def _task(spec: Mapping[str, Any]) -> Task | None:
    fields = {key: spec[key] for key in ("task", "classNames", "forecast") if key in spec}
    try:
        return Reader("EdgeModel", "lineage", fields).parsed(lambda reader: task.task(reader, "Classification"))
    except errors.InputError:
        return None


def _label(data: bytes | None, answers: Task | None) -> lineage.Label | None:
    """The label with all that it took the place of; None when there is none that can be read."""
    try:
        first, *replaced = _chain(json.loads(data or b""), answers)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return lineage.Label(first.text, first.source, first.by, first.at_unix_ms, tuple(replaced))


def _chain(document: Mapping[str, Any], answers: Task | None) -> Iterator[lineage.Label]:
    """The newest first: a label, the truths that it corrected, what lies below."""
    text = _text(document, answers)
    yield lineage.Label(text, str(document["source"]), str(document["by"]), int(document["atUnixMs"]))
    for one in document.get("corrected", [])[: labels.MAX_CORRECTED]:
        yield from _chain(one, answers)
    if below := document.get("superseded"):
        yield from _chain(below, answers)


def _text(document: Mapping[str, Any], answers: Task | None) -> str:
    """The class by its name where the label map is known, else by its number and the map's digest."""
    if values := document.get("values"):
        return ", ".join(f"{float(value):g}" for value in values)
    index, given = int(document["label"]), str(document.get("labelMap", ""))
    names = answers.class_names if answers is not None else ()
    is_known = answers is not None and (not given or answers.meanings(given) is not None)
    if is_known and 0 <= index < len(names):
        return names[index]
    return f"class {index}" + (f" of label map {given[:19]}" if given else "")
