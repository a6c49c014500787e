"""What is worth an event: a condition that turned, and the steps of a rollout. Pure; who tells it is the caller."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skerry.core import conditions, errors, rollout

# Of a rollout its own steps are told (`core.rollout.conditions`); of its conditions only the one that no step tells of.
_TOLD_OF_ROLLOUTS = ("Accepted",)
_TROUBLE_WHEN_FALSE = ("Accepted", "Available", "Ready", "Succeeded", "TrustFresh", "LabelsCurrent")
_NEWS_WHEN_MENDED = ("TrustFresh", "LabelsCurrent")  # that it is well from the beginning is none
_ROUTINE = ("NoVersion", "Retired", "NotReady", "NoTeacher")
_TROUBLE = ("Invalid", "NodeFailed", "NodeSetAside", "Paused", "RolledBack", "RollbackIncomplete", "RollingBack")
_MAX_ALIKE = 5


@dataclass(frozen=True, slots=True)
class Announcement:
    reason: str
    message: str
    warning: bool


def of_conditions(kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Sequence[Announcement]:
    """One for every condition whose status or reason is another than before; what is not known yet is no news, and of
    what has ended only how."""
    old = {condition.type: (condition.status, condition.reason) for condition in _conditions(before)}
    new = [condition for condition in _conditions(after) if condition.status != conditions.UNKNOWN]
    fresh = [condition for condition in new if old.get(condition.type) != (condition.status, condition.reason)]
    fresh = [
        condition
        for condition in fresh
        if condition.type in old or not condition.true or condition.type not in _NEWS_WHEN_MENDED
    ]
    if kind == "ModelRollout":
        fresh = [
            condition
            for condition in fresh
            if condition.type in _TOLD_OF_ROLLOUTS and (condition.type in old or not condition.true)
        ]
    ended = [condition for condition in fresh if condition.type == "Succeeded"]
    return [_announced(condition) for condition in ended or fresh]


def _announced(condition: conditions.Condition) -> Announcement:
    trouble = (
        condition.status == conditions.FALSE
        and condition.type in _TROUBLE_WHEN_FALSE
        and condition.reason not in _ROUTINE
    )
    return Announcement(
        condition.reason or condition.type,
        f"{condition.type} is {condition.status}: {condition.message}".rstrip(": "),
        trouble,
    )


def of_rollout(events: Sequence[rollout.Event]) -> Iterator[Announcement]:
    """The steps of a rollout; many alike (a site that went dark) are told as one."""
    alike: dict[str, list[rollout.Event]] = {}
    for event in events:
        alike.setdefault(event.reason, []).append(event)
    for reason, similar in alike.items():
        if len(similar) <= _MAX_ALIKE:
            yield from (Announcement(reason, event.message, reason in _TROUBLE) for event in similar)
        else:
            others = ", ".join(event.node for event in similar[1:] if event.node)
            text = f"{similar[0].message}; and {len(similar) - 1} more: {others}"
            yield Announcement(reason, text, reason in _TROUBLE)


def _conditions(status: Mapping[str, Any]) -> conditions.Conditions:
    try:
        return conditions.from_json(status.get("conditions"))
    except errors.InputError:
        return ()
