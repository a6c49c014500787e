"""Fields of objects and readings as others wrote them, read so that nothing wrong in one hides another."""

import json
from collections.abc import Mapping
from typing import Any


def mapping(value: object) -> Mapping[str, Any]:
    """An object of JSON; anything else is empty."""
    return value if isinstance(value, dict) else {}


def json_of(text: str) -> object:
    """None for what is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def whole(value: object) -> int:
    """A count from outside; anything else is 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def real(value: object) -> float | None:
    """A measurement from outside; None for anything else."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value < 1e12 else None
