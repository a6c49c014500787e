"""The privacy of a model (EdgeModel.spec.privacy), and the floor that a node has of its own, read with distrust."""

from collections.abc import Mapping
from typing import Any

from skerry.core import errors, names, privacy, redaction
from skerry.core.specs.reader import Reader, read

OTHERS = "*"  # in a floor: models that it does not name
MAX_FLOOR_MODELS = 1000


def parse_privacy(spec: Mapping[str, Any], owner: str = "given") -> privacy.Privacy:
    """EdgeModel.spec.privacy alone, as nodes receive it. Raises InputError."""
    return read("EdgeModel", owner, "spec.privacy", spec, privacy_fields)


def parse_floor(document: object, origin: str) -> privacy.Floor:
    """A node's own floor: an entry as EdgeModel.spec.privacy for each model by name, and "*" for all others. Raises
    InputError that names `origin`."""
    if not isinstance(document, Mapping) or not document or len(document) > MAX_FLOOR_MODELS:
        raise errors.InputError(
            f"{origin} must be an object of 1..{MAX_FLOOR_MODELS} entries, each the name of a model or {OTHERS!r}"
        )
    entries = {}
    for name, entry in document.items():
        if not isinstance(name, str):
            raise errors.InputError(f"{origin}: {name!r:.80} must be a text: write the name of the model in quotes")
        if name != OTHERS:
            names.check("EdgeModel", name)
        entries[name] = read(origin, name, "entry", entry, privacy_fields)
    others = entries.pop(OTHERS, privacy.OPEN)
    return privacy.Floor(entries, others)


def privacy_fields(reader: Reader) -> privacy.Privacy:
    """Both `keep` and `leave` must be said: a policy that names one alone could be read in two ways."""
    return privacy.Privacy(
        privacy.Keep(reader.text("keep", None, among=privacy.KEEP)),
        privacy.Leave(reader.text("leave", None, among=privacy.LEAVE)),
        reader.each("redact", _step, limit=redaction.MAX_STEPS),
    )


def _step(reader: Reader) -> redaction.Step:
    match reader.text("op", None, among=("mask", "crop", "zero", "round")):
        case "mask":
            return redaction.Mask(_box(reader))
        case "crop":
            return redaction.Crop(_box(reader))
        case "zero":
            features = reader.integers("features", None)
            if not 1 <= len(features) <= redaction.MAX_FEATURES:
                raise reader.fault("features", f"must name 1..{redaction.MAX_FEATURES} entries of the last axis")
            return redaction.Zero(tuple(sorted(set(features))))
        case _:
            return redaction.Round(reader.number("to", None, redaction.MIN_ROUND, redaction.MAX_ROUND))


def _box(reader: Reader) -> redaction.Bounds:
    axes = reader.items("box", None, redaction.MAX_AXES)
    if not axes or not all(_is_span(axis) for axis in axes):
        raise reader.fault(
            "box", f"must be 1..{redaction.MAX_AXES} pairs [start, stop] of whole numbers with start < stop"
        )
    return tuple((int(start), int(stop)) for start, stop in axes)


def _is_span(axis: object) -> bool:
    if not isinstance(axis, list | tuple) or len(axis) != 2:
        return False
    whole = all(isinstance(at, int) and not isinstance(at, bool) for at in axis)
    return whole and 0 <= axis[0] < axis[1] <= 2**31
