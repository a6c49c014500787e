"""Conditions inside a status as JSON: read and set, in the words of `core.conditions`."""

from collections.abc import Mapping
from typing import Any

from skerry.adapters.objects.protocol import Json
from skerry.core import conditions

Status = Mapping[str, Any]


def with_condition(status: Status, kind: str, value: str, reason: str, message: str, now_ms: int) -> Json:
    """`status` with that condition set; equal to `status` when it says so already."""
    before = conditions.from_json(status.get("conditions"))
    after = conditions.put(before, kind, value, reason, message, now_ms=now_ms)
    return {**status, "conditions": conditions.to_json(after)}


def is_true(status: Status, kind: str) -> bool:
    return conditions.is_true(conditions.from_json(status.get("conditions")), kind)


def has(status: Status, kind: str, value: str, reason: str, message: str | None = None) -> bool:
    """Whether the condition says just that; any message when none is given."""
    condition = conditions.find(conditions.from_json(status.get("conditions")), kind)
    return (
        condition is not None
        and (condition.status, condition.reason) == (value, reason)
        and (message is None or condition.message == message)
    )


def is_terminal(status: Status) -> bool:
    """Runs and rollouts are over when `Succeeded` is True or False."""
    condition = conditions.find(conditions.from_json(status.get("conditions")), "Succeeded")
    return condition is not None and condition.status != conditions.UNKNOWN
