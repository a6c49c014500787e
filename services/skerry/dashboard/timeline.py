"""What changed: the transitions that the objects' conditions remember, and when each object appeared, newest first."""

import heapq
from collections.abc import Iterator, Sequence
from datetime import datetime

from skerry.adapters.objects import Object
from skerry.core import conditions, errors
from skerry.core.conditions import Condition
from skerry.core.rollout.status import PROMOTED
from skerry.dashboard.views import Change

LIMIT = 40
_BORN = {
    "EdgeModel": "described",
    "EdgeNode": "enrolled",
    "ModelRollout": "asked for",
    "TrainingRun": "asked for",
}
# Conditions worth telling: what each says when it is True, when False, and whether that is good news.
_TOLD = {
    "Available": ("published", "not available", True, False),
    "Running": ("training began", "", None, None),
    "Succeeded": ("succeeded", "did not succeed", True, False),
    "Paused": ("paused", "", False, None),
    "Accepted": ("", "not accepted", None, False),
    "AnalysisPassed": ("the canary passed its analysis", "the canary did not pass its analysis", True, False),
}


def changes(objects: Sequence[Object]) -> Sequence[Change]:
    """At most LIMIT changes of all objects."""
    found_changes = [change for thing in objects for change in _of(thing)]
    return sorted(found_changes, key=lambda change: (-change.at_ms, change.subject, change.text))[:LIMIT]


def newest(nodes: Sequence[Object]) -> Sequence[Object]:
    """Those of the nodes that may be among the changes told: of a node only its coming is."""
    return heapq.nlargest(LIMIT, nodes, key=lambda thing: (thing.created_unix_ms, thing.name))


def _of(thing: Object) -> Iterator[Change]:
    subject = f"{thing.kind} {thing.name}"
    if thing.kind in _BORN:
        reason = str(thing.spec.get("reason", "")) if thing.kind == "TrainingRun" else ""
        yield Change(thing.created_unix_ms, subject, _with(_BORN[thing.kind], reason), None)
    try:
        listed = conditions.from_json(thing.status.get("conditions"))
    except errors.InputError as exc:
        yield Change(thing.created_unix_ms, subject, f"its conditions cannot be read: {exc}", False)
        return
    for condition in listed:
        if (text_and_tone := _tell(condition)) is not None and (at_ms := _moment(condition.since)) is not None:
            text, good = text_and_tone
            yield Change(at_ms, subject, text, good)


def _tell(condition: Condition) -> tuple[str, bool | None] | None:
    if condition.type == "AnalysisPassed" and condition.reason == PROMOTED:
        return f"overridden: {condition.message}", None
    if condition.type not in _TOLD or condition.status == conditions.UNKNOWN:
        return None
    yes, no, good_yes, good_no = _TOLD[condition.type]
    text = yes if condition.true else no
    good = good_yes if condition.true else good_no
    return (_with(text, condition.message or ("" if good else condition.reason)), good) if text else None


def _with(text: str, reason: str) -> str:
    return f"{text}: {reason}" if reason else text


def _moment(stamp: str) -> int | None:
    """RFC 3339 as Unix milliseconds."""
    try:
        return int(datetime.fromisoformat(stamp).timestamp() * 1000)
    except ValueError:
        return None
