"""Conditions inside a status as JSON: read and set, in the words of `core.conditions`."""

from collections.abc import Mapping
from typing import Any

from skerry.adapters.objects.protocol import Json
from skerry.core import conditions

Status = Mapping[str, Any]


def with_condition(status: Status, kind: str, value: str, reason: str, message: str, now_ms: int) -> Json:
    """`status` with that condition set; equal to `status` when it says so already."""
    found = conditions.from_json(status.get("conditions"))
    changed = conditions.put(found, kind, value, reason, message, now_ms=now_ms)
    return {**status, "conditions": conditions.to_json(changed)}


def is_true(status: Status, kind: str) -> bool:
    return conditions.is_true(conditions.from_json(status.get("conditions")), kind)


def has(status: Status, kind: str, value: str, reason: str, message: str | None = None) -> bool:
    """Whether the condition says just that; any message when none is given."""
    found = conditions.find(conditions.from_json(status.get("conditions")), kind)
    return (
        found is not None
        and (found.status, found.reason) == (value, reason)
        and (message is None or found.message == message)
    )


def is_terminal(status: Status) -> bool:
    """Runs and rollouts are over when `Succeeded` is True or False."""
    found = conditions.find(conditions.from_json(status.get("conditions")), "Succeeded")
    return found is not None and found.status != conditions.UNKNOWN
