"""Counts for the rollout's verdict: how often a version's answer was bad, of exploration answers.

Counted once, by the label that `core.truth_delay.becomes_evidence` names; a crash in between loses a few counts and
never doubles one. While the server is away the counts wait here.
"""

from collections import Counter

from skerry.adapters.fleetstate.protocol import FleetState
from skerry.core import contract, errors, evidence_counters, truth_delay, uploads
from skerry.curator import examples
from skerry.curator.label_task import LabelTask

_MAX_WAITING = 10_000


class EvidenceCounts:
    """Counts that are not yet in `fleetstate`."""

    def __init__(self, fleetstate: FleetState) -> None:
        self._fleetstate = fleetstate
        self._answers: Counter[str] = Counter()
        self._bad: Counter[str] = Counter()
        self._ttl_s: dict[str, float] = {}

    def count(self, task: LabelTask, captured: examples.Captured, bad: bool | None, *, now_ms: int) -> None:
        """Hard examples do not count: they were chosen because they are hard. Nor does an answer of which nobody can
        say whether it is `bad` (None), or one whose time cannot be, or is so long ago that no counter of then is
        kept."""
        if not captured.exploration or bad is None:
            return
        delay = truth_delay.of(task.answers)
        if uploads.is_clock_off(captured.answered_unix_ms, since_ms=now_ms - delay.lifetime_ms, now_ms=now_ms):
            return
        try:
            counters = evidence_counters.counters_of(
                task.model, captured.version_digest, captured.node, captured.answered_unix_ms, delay
            )
        except errors.InputError:
            return  # the answer names no version: nothing can be judged by it
        if counters[0] in self._answers or len(self._answers) < _MAX_WAITING:
            for counter in counters:
                self._answers[counter] += 1
                self._bad[counter] += bad
                self._ttl_s[counter] = delay.lifetime_ms / 1000

    @property
    def waiting(self) -> int:
        """Counters that wait to be handed over."""
        return len(self._answers)

    def flush(self) -> None:
        """Hand over what waits. Raises UnavailableError; what was not handed over stays."""
        for counter in list(self._answers):
            amounts = {contract.ANSWERS: self._answers[counter], contract.BAD_ANSWERS: self._bad[counter]}
            self._fleetstate.add(counter, amounts, ttl_s=self._ttl_s[counter])
            del self._answers[counter], self._bad[counter], self._ttl_s[counter]
