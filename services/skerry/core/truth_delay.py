"""How long the truth of an answer takes, and what follows for the verdict on a version: which labels are evidence, how
far back answers count, when evidence is old, and when waiting for it ends.

A class can be told at once, by a teacher or by a person. What a forecast should have been is known when its horizon has
passed, and its answers come once a step, not many a second: a verdict takes days, and everything that it waits for
lasts as long. What lives where is `core.evidence_counters`.
"""

from dataclasses import dataclass

import numpy as np

from skerry.core.tasks import Task, Truth

STALE_SAMPLE_MS = 900_000  # the newest answer of an arm must not have been due longer ago
_MISSED_STEPS = 2  # an answer a step, and one that fails to come is no silence yet
_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_DAY_MS = 24 * _HOUR_MS
_LONGEST_COMPARISON_MS = 30 * _DAY_MS  # a wave may wait so long (`core.specs.strategy.MAX_SECONDS`)


@dataclass(frozen=True, slots=True)
class TruthDelay:
    """`horizon_ms`: from an answer until its truth is due; `step_ms`: between two answers of one series. Both 0: the
    truth can be told at once."""

    horizon_ms: int = 0
    step_ms: int = 0

    @property
    def is_late(self) -> bool:
        """Does only time tell the truth?"""
        return self.step_ms > 0

    @property
    def window_ms(self) -> int:
        """Older answers do not count."""
        return self.horizon_ms + _LONGEST_COMPARISON_MS if self.is_late else 6 * _HOUR_MS

    @property
    def lifetime_ms(self) -> int:
        """Of a counter, from the last truth that it counted."""
        return self.window_ms + _DAY_MS if self.is_late else _DAY_MS

    @property
    def max_age_ms(self) -> int:
        """Since an arm's newest answer: longer than that it is silent."""
        return self.horizon_ms + _MISSED_STEPS * self.step_ms + STALE_SAMPLE_MS

    @property
    def overlap(self) -> int:
        """So many answers of one series in a row wait for their truth at a time, and err together."""
        return max(1, self.horizon_ms // self.step_ms) if self.is_late else 1

    def patience_ms(self, samples: int) -> int:
        """What one node that answers once a step needs until the truth of so many of its answers is due; no longer than
        answers count."""
        return min(self.window_ms, self.horizon_ms + samples * self.step_ms) if self.is_late else 0

    def told(self) -> str:
        """For people: after how long the truth is due; empty: at once."""
        if self.horizon_ms < _MINUTE_MS:
            return f"{self.horizon_ms // 1000} s" if self.horizon_ms else ""
        hours, minutes = divmod(self.horizon_ms // _MINUTE_MS, 60)
        return " ".join(f"{count} {unit}" for count, unit in ((hours, "h"), (minutes, "min")) if count)


AT_ONCE = TruthDelay()


def of(task: Task) -> TruthDelay:
    return TruthDelay(task.horizon_ms, task.step_ms)


def becomes_evidence(task: Task, *, had_label: bool, had_truth: bool, has_truth: bool) -> bool:
    """Is this label the one by which the answer counts? `had_…`: before it came. Each answer counts once at most: by
    its first label, or, where only time tells the truth, by its first truth, also when a teacher was asked before."""
    if task.waits_for_truth:
        return has_truth and not had_truth
    return not had_label


def is_bad(task: Task, answer: tuple[float, ...] | None, truth: Truth, bound: float) -> bool | None:
    """Was the answer to one row bad? None: nobody can say, for it was none, or no bound of a forecast's error is
    known (0)."""
    if answer is None or (task.waits_for_truth and not bound):
        return None
    return bool(task.is_bad(np.array([answer]), np.array([truth]), bound)[0])
