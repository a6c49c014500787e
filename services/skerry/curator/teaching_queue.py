"""The examples of one model that wait for its teacher, and when it is asked again: every model has its own places, its
own retries and its own back-off, so that none waits for the teacher of another.

What finds no place is not lost: it lies in object storage, and a scan brings it when there is room. Of a model whose
teacher does not exist one example is kept, to ask with; nothing else is.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence

PLACES = 16_384  # names, a few hundred bytes each
_FIRST_RETRY_S, _LAST_RETRY_S = 0.2, 5.0
_MOST_DOUBLINGS = 16
_STRIKES = 3  # failures of the teacher at one example alone, each after it answered about others


@dataclasses.dataclass(frozen=True, slots=True)
class Work:
    """Look at one example (64 hex digits) again: it is new, or a truth about it came."""

    model: str
    name: str
    truth: bool


@dataclasses.dataclass(slots=True)
class _Strikes:
    """`answers`: how many questions the teacher had answered at the last one."""

    count: int = 0
    answers: int = -1


class TeachingQueue:
    """One model's queue; one question at a time. `now_s` is of a monotonic clock."""

    def __init__(self, batch_rows: int, places: int = PLACES) -> None:
        self._batch_rows, self._rows, self._places = batch_rows, batch_rows, places
        self._waiting: dict[Work, None] = {}
        self._asking: dict[Work, None] = {}
        self._alone: set[Work] = set()
        self._strikes: dict[Work, _Strikes] = {}
        self._answers = 0
        self._failures = 0
        self._retry_at_s = float("-inf")
        self.is_missing = False  # the teacher has no model of this name
        self.trouble = ""  # what went wrong when it was asked last, for people; empty: it answered
        self.turned_away = False  # there was no place for some: a scan has to bring them

    def __len__(self) -> int:
        return len(self._waiting) + len(self._asking)

    @property
    def asking(self) -> Sequence[Work]:
        """What the question under way is about, as far as it is not settled."""
        return list(self._asking)

    @property
    def wants_scan(self) -> bool:
        """There is room again for what was turned away."""
        return self.turned_away and not self.is_missing and len(self) <= self._places // 2

    def offer(self, work: Work) -> bool:
        """Take a place; False when there is none."""
        if work in self._waiting or work in self._asking:
            return True
        if len(self) >= (1 if self.is_missing else self._places):
            self.turned_away = True
            return False
        self._waiting[work] = None
        return True

    def is_due(self, now_s: float) -> bool:
        return bool(self._waiting) and not self._asking and now_s >= self._retry_at_s

    def take(self, now_s: float) -> Sequence[Work]:
        """What to ask the teacher about now; nothing while a question is under way or it is too early. What failed
        among others is asked alone: of many rows one may be what the teacher cannot bear."""
        if not self.is_due(now_s):
            return ()
        first, *others = itertools.islice(self._waiting, self._rows)
        together = itertools.takewhile(lambda work: work not in self._alone, others)
        self._asking = dict.fromkeys([first] if first in self._alone else [first, *together])
        for work in self._asking:
            del self._waiting[work]
        return list(self._asking)

    def settled(self, works: Iterable[Work]) -> None:
        """These need the teacher no more: they are labelled, or cannot be."""
        for work in works:
            self._asking.pop(work, None)
            self._alone.discard(work)
            self._strikes.pop(work, None)

    def answered(self, works: Iterable[Work]) -> None:
        """The teacher answered about these."""
        self.settled(works)
        self._answers += 1
        self._failures, self._retry_at_s, self.trouble, self.is_missing = 0, float("-inf"), "", False
        self._rows = min(self._batch_rows, self._rows * 2)

    def failed(self, message: str, now_s: float, *, teacher: bool) -> bool:
        """The question came to nothing: it is put again later, and later. `teacher`: the teacher failed at it, and may
        do better with smaller ones. Returns whether it is the first failure."""
        is_first = self._failures == 0
        self._retry_at_s = now_s + min(_LAST_RETRY_S, _FIRST_RETRY_S * 2**self._failures)
        self._failures = min(self._failures + 1, _MOST_DOUBLINGS)
        self.trouble = message
        if teacher:
            self._rows = max(1, self._rows // 2)
            self._alone.update(self._asking)
            self._count_strike()
        self.give_back()
        return is_first

    def _count_strike(self) -> None:
        """Count a failure at one alone; while the teacher answers nothing at all it says nothing about the example."""
        if len(self._asking) != 1:
            return
        (work,) = self._asking
        strikes = self._strikes.setdefault(work, _Strikes())
        if strikes.answers != self._answers:
            strikes.count, strikes.answers = strikes.count + 1, self._answers

    def hopeless(self) -> Sequence[Work]:
        """What the teacher fails at again and again while it answers about others; it leaves the queue."""
        hopeless = [work for work, strikes in self._strikes.items() if strikes.count >= _STRIKES]
        for work in hopeless:
            self._waiting.pop(work, None)
            self.settled([work])
        return hopeless

    def missing(self, message: str, now_s: float) -> bool:
        """There is no such teacher: one example stays, to ask again with. Returns whether that is news."""
        is_news = not self.is_missing
        self.failed(message, now_s, teacher=False)
        self.is_missing = True
        first, *rest = self._waiting
        self.turned_away |= bool(rest)
        self._waiting = {first: None}
        self._alone.clear()
        self._strikes.clear()
        return is_news

    def give_back(self) -> None:
        """What the question was about waits again, at the end of the queue."""
        self._waiting |= self._asking
        self._asking = {}
