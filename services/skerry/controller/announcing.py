"""What is worth an event: a condition that turned, and the steps of a rollout. Pure; who tells it is the caller."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skerry.core import conditions, errors, rollout

# Of a rollout its own steps are told (`core.rollout.conditions`); of its conditions only the one that no step tells of.
_TOLD_OF_ROLLOUTS = ("Accepted",)
_TROUBLE_WHEN_FALSE = ("Accepted", "Available", "Ready", "Succeeded", "TrustFresh")
_NEWS_WHEN_MENDED = ("TrustFresh",)  # that it is well from the beginning is none
_ROUTINE = ("NoVersion", "Retired", "NotReady")
_TROUBLE = ("Invalid", "NodeFailed", "Paused", "RolledBack", "RollbackIncomplete", "RollingBack")
_MAX_ALIKE = 5


@dataclass(frozen=True, slots=True)
class Announcement:
    reason: str
    message: str
    warning: bool


def of_conditions(kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Sequence[Announcement]:
    """One for every condition whose status or reason is another than before; what is not known yet is no news, and of
    what has ended only how."""
    old = {one.type: (one.status, one.reason) for one in _conditions(before)}
    new = [one for one in _conditions(after) if one.status != conditions.UNKNOWN]
    fresh = [one for one in new if old.get(one.type) != (one.status, one.reason)]
    fresh = [one for one in fresh if one.type in old or not one.true or one.type not in _NEWS_WHEN_MENDED]
    if kind == "ModelRollout":
        fresh = [one for one in fresh if one.type in _TOLD_OF_ROLLOUTS and (one.type in old or not one.true)]
    ended = [one for one in fresh if one.type == "Succeeded"]
    return [_announced(one) for one in ended or fresh]


def _announced(one: conditions.Condition) -> Announcement:
    trouble = one.status == conditions.FALSE and one.type in _TROUBLE_WHEN_FALSE and one.reason not in _ROUTINE
    return Announcement(one.reason or one.type, f"{one.type} is {one.status}: {one.message}".rstrip(": "), trouble)


def of_rollout(events: Sequence[rollout.Event]) -> Iterator[Announcement]:
    """The steps of a rollout; many alike (a site that went dark) are told as one."""
    alike: dict[str, list[rollout.Event]] = {}
    for event in events:
        alike.setdefault(event.reason, []).append(event)
    for reason, found in alike.items():
        if len(found) <= _MAX_ALIKE:
            yield from (Announcement(reason, one.message, reason in _TROUBLE) for one in found)
        else:
            others = ", ".join(one.node for one in found[1:] if one.node)
            text = f"{found[0].message}; and {len(found) - 1} more: {others}"
            yield Announcement(reason, text, reason in _TROUBLE)


def _conditions(status: Mapping[str, Any]) -> conditions.Conditions:
    try:
        return conditions.from_json(status.get("conditions"))
    except errors.InputError:
        return ()
