"""Which examples a model keeps no longer."""

import pytest

from skerry.core.example_retention import KeepExamples, Stored, due

DAY_MS = 86_400_000
STORED = [Stored("c", 10, 30 * DAY_MS), Stored("a", 10, 10 * DAY_MS), Stored("b", 10, 20 * DAY_MS)]


@pytest.mark.parametrize(
    ("keep", "gone"),
    [
        (KeepExamples(), []),
        (KeepExamples(days=15), ["a"]),
        (KeepExamples(days=1), ["a", "b"]),
        (KeepExamples(max_bytes=30), []),
        (KeepExamples(max_bytes=29), ["a"]),
        (KeepExamples(max_bytes=5), ["a", "b", "c"]),
        (KeepExamples(days=15, max_bytes=10), ["a", "b"]),
    ],
    ids=["no bound", "too old", "all but today's", "just enough room", "the oldest makes room", "none fits", "both"],
)
def test_the_oldest_go(keep: KeepExamples, gone: list[str]) -> None:
    assert due(STORED, keep, 30 * DAY_MS) == gone
