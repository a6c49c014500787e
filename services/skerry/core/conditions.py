"""Conditions of custom resources: a list by type, each with status, reason and message, after the Kubernetes API.

`put` keeps `lastTransitionTime` while the status stays the same, and returns an equal list when nothing changes, so
that an unchanged object is never written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from skerry.core import errors

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"


@dataclass(frozen=True, slots=True)
class Condition:
    """`reason` is one CamelCase word for programs, `message` a sentence for people; `since` is RFC 3339 in UTC."""

    type: str
    status: str
    reason: str
    message: str = ""
    since: str = ""

    @property
    def true(self) -> bool:
        return self.status == TRUE


Conditions = tuple[Condition, ...]


def put(conditions: Conditions, kind: str, status: str, reason: str, message: str, *, now_ms: int) -> Conditions:
    """`conditions` with this one, in its old place or at the end."""
    old = find(conditions, kind)
    since = old.since if old is not None and old.status == status else stamp(now_ms)
    new = Condition(kind, status, reason, message, since)
    if old is None:
        return (*conditions, new)
    return tuple(new if condition.type == kind else condition for condition in conditions)


def find(conditions: Conditions, kind: str) -> Condition | None:
    return next((condition for condition in conditions if condition.type == kind), None)


def is_true(conditions: Conditions, kind: str) -> bool:
    condition = find(conditions, kind)
    return condition is not None and condition.true


def stamp(now_ms: int) -> str:
    """Unix milliseconds as RFC 3339 in UTC, to the second."""
    return datetime.fromtimestamp(now_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_json(conditions: Conditions) -> list[dict[str, str]]:
    return [
        {
            "type": condition.type,
            "status": condition.status,
            "reason": condition.reason,
            "message": condition.message,
            "lastTransitionTime": condition.since,
        }
        for condition in conditions
    ]


def from_json(value: Any) -> Conditions:
    """Raises InputError for anything that `to_json` does not write; None is no condition."""
    if value is None:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise errors.InputError(f"conditions must be a list, not {value!r:.80}")
    conditions = []
    for entry in value:
        fields = ("type", "status", "reason", "message", "lastTransitionTime")
        if not isinstance(entry, dict) or not all(isinstance(entry.get(field, ""), str) for field in fields):
            raise errors.InputError(f"a condition must be an object of texts, not {entry!r:.80}")
        condition = Condition(*(entry.get(field, "") for field in fields))
        if not condition.type or condition.status not in (TRUE, FALSE, UNKNOWN):
            raise errors.InputError(
                f"condition {condition.type!r} has status {condition.status!r}: True, False or Unknown is right"
            )
        conditions.append(condition)
    return tuple(conditions)
