"""Counts for the rollout's verdict: how often a version's answer was bad, of exploration answers.

Counted once, by the label that `core.truth_delay.becomes_evidence` names; a crash in between loses a few counts and
never doubles one. While the server is away the counts wait here. A rollout may compare since a moment that is heard of
a little later: the answers since then, as far as they are remembered, are counted for it when it is.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from skerry.adapters.fleetstate.protocol import FleetState
from skerry.core import contract, errors, evidence_counters, truth_delay, uploads
from skerry.core.contract import Counted
from skerry.core.truth_delay import TruthDelay
from skerry.curator import examples
from skerry.curator.label_task import LabelTask

_MAX_WAITING = 100_000  # fields of counters
_MAX_RECENT = 10_000
_MAX_COMPARISONS = 1_000  # that are remembered


class _Answer(NamedTuple):
    model: str
    digest: str
    node: str
    at_ms: int
    bad: bool
    delay: TruthDelay


class EvidenceCounts:
    """Counts that are not yet in `fleetstate`. `name` is this process's own among curators."""

    def __init__(self, fleetstate: FleetState, name: str) -> None:
        self._fleetstate, self._newest = fleetstate, contract.newest_field(name)
        self._amounts: dict[str, Counter[str]] = {}
        self._newest_ms: dict[str, int] = {}
        self._ttl_s: dict[str, float] = {}
        self._waiting = 0
        self._comparisons: Mapping[str, frozenset[int]] = {}
        self._known: dict[tuple[str, int], None] = {}
        self._recent: deque[_Answer] = deque(maxlen=_MAX_RECENT)

    def follow(self, comparisons: Mapping[str, frozenset[int]]) -> None:
        """Since when versions are compared now, by model."""
        self._comparisons = comparisons
        for model, moments in comparisons.items():
            if new := {since_ms for since_ms in moments if (model, since_ms) not in self._known}:
                self._known.update(dict.fromkeys((model, since_ms) for since_ms in new))
                for answer in self._recent:
                    if answer.model == model:
                        self._add(answer, evidence_counters.compared(*_where(answer), new, answer.delay))
        while len(self._known) > _MAX_COMPARISONS:
            del self._known[next(iter(self._known))]

    def count(self, task: LabelTask, captured: examples.Captured, bad: bool | None, *, now_ms: int) -> None:
        """Hard examples do not count: they were chosen because they are hard. Nor does an answer of which nobody can
        say whether it is `bad` (None), or one whose time cannot be, or is so long ago that no counter of then is
        kept."""
        if not captured.exploration or bad is None:
            return
        delay = truth_delay.of(task.answers)
        if uploads.is_clock_off(captured.answered_unix_ms, since_ms=now_ms - delay.lifetime_ms, now_ms=now_ms):
            return
        answer = _Answer(task.model, captured.version_digest, captured.node, captured.answered_unix_ms, bad, delay)
        comparisons = self._comparisons.get(task.model, frozenset())
        try:
            counters = list(evidence_counters.counters_of(*_where(answer), comparisons, delay))
        except errors.InputError:
            return  # the answer names no version: nothing can be judged by it
        self._add(answer, counters)
        self._recent.append(answer)

    @property
    def waiting(self) -> int:
        """Counters that wait to be handed over."""
        return len(self._amounts)

    def flush(self) -> None:
        """Hand over what waits. Raises UnavailableError; what was not handed over stays."""
        for counter in list(self._amounts):
            newest = {self._newest: self._newest_ms[counter]}
            self._fleetstate.add(counter, self._amounts[counter], ttl_s=self._ttl_s[counter], latest=newest)
            self._waiting -= len(self._amounts[counter])
            del self._amounts[counter], self._newest_ms[counter], self._ttl_s[counter]

    def _add(self, answer: _Answer, counters: Iterable[evidence_counters.Counter]) -> None:
        for counter in counters:
            amounts = self._amounts.get(counter.key, Counter())
            if answer.node not in amounts and self._waiting >= _MAX_WAITING:
                continue
            before = len(amounts)
            amounts[answer.node] += 1
            if answer.bad:
                amounts[contract.bad_field(answer.node)] += 1
            self._waiting += len(amounts) - before
            self._amounts[counter.key] = amounts
            self._newest_ms[counter.key] = max(answer.at_ms, self._newest_ms.get(counter.key, 0))
            self._ttl_s[counter.key] = counter.lifetime_ms / 1000


def _where(answer: _Answer) -> tuple[Counted, str, str, int]:
    return Counted.ANSWERS, answer.model, answer.digest, answer.at_ms
