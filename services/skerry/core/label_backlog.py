"""How far a model's labels are behind what its nodes captured, as a condition for people: how many examples wait, since
when, and what they wait for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from skerry.core import conditions

CONDITION = "LabelsCurrent"
BEHIND_MS = 5 * 60_000  # a healthy teacher has answered long before
FAILING_MS = 60_000  # a teacher that was restarted answers again before
ANSWERING, FAILING, MISSING = "Answering", "Failing", "Missing"  # how the teacher stands

TOLD = frozenset({"SetAside", "Refused"})  # reasons that a person should know of although nothing is behind
# Why examples and truths are refused, by the word that the curator counts them by: what is wrong, and what can be done.
HINTS = {
    "damaged": "what is stored is not what the node sent: look at the object storage",
    "malformed": "they are no examples: some node runs another program, or a much newer one",
    "otherModel": "they are of another model than the place where they lie",
    "wrongInput": "their input is not spec.input of the EdgeModel: was it changed since they were captured?",
    "notFinite": "they hold NaN or infinity: look at what the callers send",
    "noSeries": "requests name no skerry_series and skerry_time",
    "tooLarge": "they are larger than an example may be",
    "truthDamaged": "their truth cannot be read: look at the object storage",
    "truthOtherLabelMap": "their truth counts in classes, or a unit, that the model never had",
    "truthOutOfRange": "their truth is none that the model could answer: look at who sends it",
}

_STEPS_MS = tuple(minutes * 60_000 for minutes in (1, 5, 10, 30, 60, 120, 360, 720, 1440, 2880, 10_080, 43_200))
_MAX_TROUBLE_CHARS = 300


@dataclass(frozen=True, slots=True)
class Backlog:
    """`waiting` examples without a label, the oldest of them stored at `oldest_unix_ms` (0: none, or not known);
    `trouble` is what the teacher failed with last; `set_aside` counts by reason, `refused` too: captured examples that
    cannot be learned from. `untold`: forecasts whose truth nobody has told yet."""

    waiting: int = 0
    oldest_unix_ms: int = 0
    teacher: str = ANSWERING
    trouble: str = ""
    set_aside: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    untold: int = 0

    def to_json(self) -> dict[str, Any]:
        """Fields of the curator's reading."""
        return {
            "waiting": self.waiting,
            "oldestUnixMs": self.oldest_unix_ms,
            "teacher": self.teacher,
            "trouble": self.trouble[:_MAX_TROUBLE_CHARS],
            "setAside": dict(self.set_aside),
            "refused": dict(self.refused),
            "untold": self.untold,
        }


def from_json(reading: Mapping[str, Any]) -> Backlog | None:
    """None for a reading that says nothing of it: it is an earlier release's, or damaged. The release before said
    nothing of what is refused and untold."""
    waiting, oldest_unix_ms = reading.get("waiting"), reading.get("oldestUnixMs")
    teacher, trouble, set_aside = reading.get("teacher"), reading.get("trouble"), reading.get("setAside")
    if type(waiting) is not int or type(oldest_unix_ms) is not int or not isinstance(set_aside, dict):
        return None
    if not isinstance(teacher, str) or not isinstance(trouble, str):
        return None
    untold = reading.get("untold", 0)
    refused = _counts(reading.get("refused"))
    return Backlog(
        waiting, oldest_unix_ms, teacher, trouble, _counts(set_aside), refused, untold if type(untold) is int else 0
    )


def _counts(value: object) -> Mapping[str, int]:
    if not isinstance(value, dict):
        return {}
    return {str(key): count for key, count in value.items() if type(count) is int and count > 0}


@dataclass(frozen=True, slots=True)
class Standing:
    """What the condition LabelsCurrent says. Its numbers are coarse, so that it changes seldom."""

    status: str
    reason: str
    message: str


SILENT = Standing(conditions.UNKNOWN, "CuratorSilent", "no curator tells how far labels are")


def judge(model: str, backlog: Backlog, *, now_ms: int) -> Standing:
    """False while examples wait for a teacher that does not exist or fails, or have waited for long."""
    aside = sum(backlog.set_aside.values())
    more = f"; {aside} set aside: `skerry labels aside`" if aside else ""
    for refused, count in sorted(backlog.refused.items()):
        more += f"; {about(count)} cannot be learned from ({HINTS.get(refused, refused)})"
    age_ms = now_ms - backlog.oldest_unix_ms if backlog.oldest_unix_ms else 0
    patience_ms = {MISSING: 0, FAILING: FAILING_MS}.get(backlog.teacher, BEHIND_MS)
    if not backlog.waiting or age_ms < patience_ms:
        reason = "SetAside" if aside else "Refused" if backlog.refused else "Current"
        return Standing(conditions.TRUE, reason, f"no example waits for long{more}")
    waiting = f"{about(backlog.waiting)} examples wait{_since(age_ms)}"
    if backlog.teacher == MISSING:
        text = f"{waiting}: the teacher has no model {model}, ground truth alone labels them; `skerry teach {model}`"
        return Standing(conditions.FALSE, "NoTeacher", text + more)
    if backlog.teacher == FAILING:
        return Standing(conditions.FALSE, "TeacherFailing", f"{waiting}: {backlog.trouble[:_MAX_TROUBLE_CHARS]}{more}")
    return Standing(conditions.FALSE, "Behind", f"{waiting}: more comes in than the teacher labels{more}")


def about(count: int) -> str:
    """A count of which the first digit is right: 7 is 7, 5,431 is at least 5,000."""
    power: int = 10 ** (len(str(count)) - 1)
    return str(count) if power == 1 else f"at least {count // power * power:,}"


def _since(age_ms: int) -> str:
    passed = max((step for step in _STEPS_MS if step <= age_ms), default=0)
    if not passed:
        return ""
    minutes = passed // 60_000
    for size, unit in ((1440, "day"), (60, "hour"), (1, "minute")):
        if minutes >= size:
            return f", the oldest for over {minutes // size} {unit}{'s' * (minutes // size > 1)}"
    return ""
