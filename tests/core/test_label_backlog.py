"""When a person is told that labels are behind, and that telling it changes seldom."""

import re
from pathlib import Path

import pytest

import skerry
from skerry.core import label_backlog
from skerry.core.label_backlog import Backlog

NOW = 1_790_000_000_000
MINUTE = 60_000


def judged(backlog: Backlog) -> tuple[str, str, str]:
    standing = label_backlog.judge("digits", backlog, now_ms=NOW)
    return standing.status, standing.reason, standing.message


OLD, YOUNG = NOW - 45 * MINUTE, NOW - 20_000
ROWS = {
    "nothing waits": (Backlog(), "True", "Current", "no example waits for long"),
    "a few wait for a moment": (Backlog(7, YOUNG), "True", "Current", "no example waits for long"),
    "a teacher that answers and is too slow": (
        Backlog(5431, OLD),
        "False",
        "Behind",
        "at least 5,000 examples wait, the oldest for over 30 minutes: more comes in than the teacher labels",
    ),
    "a teacher that fails": (
        Backlog(64, OLD, label_backlog.FAILING, "t:1 did not answer in 10 s"),
        "False",
        "TeacherFailing",
        "at least 60 examples wait, the oldest for over 30 minutes: t:1 did not answer in 10 s",
    ),
    "a teacher that fails while nothing waits": (
        Backlog(0, 0, label_backlog.FAILING, "it is away"),
        "True",
        "Current",
        "no example waits for long",
    ),
    "a teacher that was restarted": (
        Backlog(64, YOUNG, label_backlog.FAILING, "it is away"),
        "True",
        "Current",
        "no example waits for long",
    ),
    "no teacher, and nobody looked since when": (
        Backlog(20, 0, label_backlog.MISSING),
        "False",
        "NoTeacher",
        "at least 20 examples wait: the teacher has no model digits, ground truth alone labels them; "
        "`skerry teach digits`",
    ),
    "no teacher": (
        Backlog(3, NOW - 3 * 24 * 60 * MINUTE, label_backlog.MISSING, "no model digits"),
        "False",
        "NoTeacher",
        "3 examples wait, the oldest for over 2 days: the teacher has no model digits, ground truth alone labels them; "
        "`skerry teach digits`",
    ),
    "forecasts of requests that name no series": (
        Backlog(0, 0, refused={"noSeries": 25, "truthOutOfRange": 1}, untold=12),
        "True",
        "Refused",
        "no example waits for long; at least 20 cannot be learned from (requests name no skerry_series and skerry_time)"
        "; 1 cannot be learned from (their truth is none that the model could answer: look at who sends it)",
    ),
    "some are set aside": (
        Backlog(0, 0, set_aside={"ReaderDied": 2, "TeacherFailed": 1}),
        "True",
        "SetAside",
        "no example waits for long; 3 set aside: `skerry labels aside`",
    ),
}


@pytest.mark.parametrize(("backlog", "status", "reason", "message"), ROWS.values(), ids=ROWS.keys())
def test_what_the_condition_says(backlog: Backlog, status: str, reason: str, message: str) -> None:
    assert judged(backlog) == (status, reason, message)


def test_a_backlog_that_grows_for_a_day_changes_its_message_a_few_times() -> None:
    messages = {
        judged(Backlog(1000 + second, NOW - second * 1000, label_backlog.MISSING))[2] for second in range(60, 86_400, 7)
    }
    assert len(messages) <= 24


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (7, "7"), (10, "at least 10"), (99, "at least 90"), (5431, "at least 5,000")]
)
def test_about(count: int, text: str) -> None:
    assert label_backlog.about(count) == text


def test_a_backlog_is_read_as_it_was_told() -> None:
    told = Backlog(5, OLD, label_backlog.FAILING, "x" * 300, {"ReaderDied": 2}, {"noSeries": 3}, 7)
    assert label_backlog.from_json({"labeled": 3, **told.to_json()}) == told


def test_counts_that_count_nothing_are_no_reason_for_anything() -> None:
    reading = Backlog().to_json() | {"refused": {"noSeries": 0, "other": -3}, "setAside": {"ReaderDied": -1}}
    told = label_backlog.from_json(reading)
    assert told == Backlog() and judged(told) == ("True", "Current", "no example waits for long")


def test_a_backlog_of_the_release_before_is_read_without_what_it_did_not_tell() -> None:
    before = {key: value for key, value in Backlog(5).to_json().items() if key not in ("refused", "untold")}
    assert label_backlog.from_json(before) == Backlog(5)


@pytest.mark.parametrize(
    "reading",
    [{}, {"labeled": 3}, Backlog().to_json() | {"waiting": "5"}, Backlog().to_json() | {"setAside": [1]}],
    ids=["empty", "of an earlier release", "no count", "no counts by reason"],
)
def test_a_reading_that_says_nothing_of_it_is_none(reading: dict[str, object]) -> None:
    assert label_backlog.from_json(reading) is None


def test_every_reason_for_which_the_curator_refuses_is_explained_in_words() -> None:
    """Before: of noSeries alone."""
    words = set[str]()
    for file in (Path(skerry.__file__).parent / "curator").glob("*.py"):
        words |= set(re.findall(r"(?:Refused\(|_refuse\(state, [^,]+, )\"([a-zA-Z]+)\"", file.read_text()))
    assert words == set(label_backlog.HINTS)
