"""Copies of objects: what a caller may change without changing what is kept."""

from dataclasses import replace
from typing import Any

from skerry.adapters.objects.protocol import Object


def of(thing: Object) -> Object:
    return replace(thing, spec=_json(thing.spec), status=_json(thing.status), labels=dict(thing.labels))


def _json(value: Any) -> Any:
    """A copy of JSON; copy.deepcopy takes four times as long."""
    if isinstance(value, dict):
        return {key: _json(inner) for key, inner in value.items()}
    return [_json(inner) for inner in value] if isinstance(value, (list, tuple)) else value
