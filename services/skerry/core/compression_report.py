"""What became of a network, as a run reports it and ModelVersion.spec.compression keeps it: read with distrust.

{scheme, int8, int8Share, reason, floatBytes, networkBytes, goldenBytes, manifestBytes, wireBytes, tried: [{scheme,
bytes, accuracy or loss, latency_us, passed, reason}], nodes: [{op, name, bytes, int8}], moreNodes, perClass: {float,
int8}}. `wireBytes` is what a node downloads: network, golden set and manifest. Of versions that no run made, and of
those of earlier releases, the manifest says less (`of_manifest`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from skerry.core.manifest import Manifest

MAX_TRIED, MAX_NODES, MAX_CLASSES = 24, 200, 200
_MAX_TEXT, _MAX_NUMBER = 1000, 1e15
_SIZES = ("floatBytes", "networkBytes", "goldenBytes", "manifestBytes", "wireBytes")
_MEASURES = ("accuracy", "loss")
NOT_KEPT = "what was tried was not kept: the version was made by an earlier release"
IMPORTED = "imported as it was: nothing was tried"


def checked(value: object) -> dict[str, Any] | None:
    """The report of a run as far as it can be read; None when it is none, or of an earlier release."""
    given = _mapping(value)
    if _count(given.get("networkBytes")) is None or not isinstance(given.get("tried"), list):
        return None
    scheme, int8 = given.get("scheme"), given.get("int8")
    per_class, nodes = _mapping(given.get("perClass")), _each(given.get("nodes"), _node)
    return {
        "scheme": _text(scheme) if isinstance(scheme, str) else None,
        "int8": int8 if isinstance(int8, bool) else None,
        "int8Share": _number(given.get("int8Share")),
        "reason": _text(given.get("reason")),
        **{name: _count(given.get(name)) for name in _SIZES},
        "tried": _each(given.get("tried"), _tried)[:MAX_TRIED],
        "nodes": nodes[:MAX_NODES],
        "moreNodes": max(0, len(nodes) - MAX_NODES),
        "perClass": {name: _recalls(per_class.get(name)) for name in ("float", "int8")},
    }


def of_manifest(manifest: Manifest, manifest_bytes: int, *, imported: bool) -> dict[str, Any]:
    """What a version's manifest alone tells. Of an imported network it does not say what its layers compute in."""
    kept, files = manifest.quantization, manifest.files
    known = not imported or bool(kept.int8_nodes or kept.float_nodes)
    layers = [(layer, True) for layer in kept.int8_nodes] + [(layer, False) for layer in kept.float_nodes]
    sizes = {role: file.size_bytes for role, file in files.items()}
    return {
        "scheme": kept.scheme if known else None,
        "int8": bool(kept.int8_nodes) if known else None,
        "int8Share": None,
        "reason": IMPORTED if imported else NOT_KEPT,
        "floatBytes": None,
        "networkBytes": sizes["model"],
        "goldenBytes": sizes.get("golden"),
        "manifestBytes": manifest_bytes,
        "wireBytes": sum(sizes.values()) + manifest_bytes,
        "tried": [],
        "nodes": [
            {"op": layer.op, "name": layer.name, "bytes": layer.bytes, "int8": int8}
            for layer, int8 in layers[:MAX_NODES]
        ],
        "moreNodes": max(0, len(layers) - MAX_NODES),
        "perClass": {"float": None, "int8": None},
    }


def unknown(*, imported: bool) -> dict[str, Any]:
    """Where not even the manifest can be had."""
    return {
        "scheme": None,
        "int8": None,
        "int8Share": None,
        "reason": IMPORTED if imported else NOT_KEPT,
        **dict.fromkeys(_SIZES),
        "tried": [],
        "nodes": [],
        "moreNodes": 0,
        "perClass": {"float": None, "int8": None},
    }


def _tried(given: Mapping[str, Any]) -> dict[str, Any]:
    measured = {name: value for name in _MEASURES if (value := _number(given.get(name))) is not None}
    return {
        "scheme": _text(given.get("scheme")),
        "bytes": _count(given.get("bytes")),
        **measured,
        "latency_us": _number(given.get("latency_us")),
        "passed": given.get("passed") is True,
        "reason": _text(given.get("reason")),
    }


def _node(given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "op": _text(given.get("op"))[:128],
        "name": _text(given.get("name"))[:200],
        "bytes": _count(given.get("bytes")),
        "int8": given.get("int8") is True,
    }


def _recalls(value: object) -> dict[str, float | None] | None:
    if not isinstance(value, Mapping):
        return None
    return {_text(name)[:200]: _number(recall) for name, recall in list(value.items())[:MAX_CLASSES]}


def _each(value: object, read: Callable[[Mapping[str, Any]], dict[str, Any]]) -> list[dict[str, Any]]:
    listed: Sequence[Any] = value if isinstance(value, list) else []
    return [read(entry) for entry in listed if isinstance(entry, Mapping)]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value[:_MAX_TEXT] if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_NUMBER
    return value if good and isinstance(value, int) else None


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value < _MAX_NUMBER else None
