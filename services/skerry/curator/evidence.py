"""Counts for the rollout's verdict: how often a version disagreed with the label on exploration answers.

Counted once, when an example is labelled first; a crash in between loses a few counts and never doubles one. While the
server is away the counts wait here.
"""

from collections import Counter

from skerry.adapters.fleetstate.protocol import FleetState
from skerry.core import contract, errors, uploads
from skerry.curator import examples

TTL_S = 86_400.0
_MAX_WAITING = 10_000


def counter(model: str, digest: str, node: str, answered_unix_ms: int) -> str:
    """The key of the counter that an answer belongs to."""
    return contract.evidence_counter(model, digest, node, contract.evidence_bucket(answered_unix_ms))


class EvidenceCounts:
    """Counts that are not yet in `fleetstate`."""

    def __init__(self, fleetstate: FleetState) -> None:
        self._fleetstate = fleetstate
        self._answers: Counter[str] = Counter()
        self._bad: Counter[str] = Counter()

    def count(self, model: str, captured: examples.Captured, label: int, *, now_ms: int) -> None:
        """Hard examples do not count: they were chosen because they are hard. Nor does an answer without a class, or
        one whose time cannot be, or is so long ago that no counter of then is kept."""
        if not captured.exploration or captured.local_class is None:
            return
        if uploads.is_clock_off(captured.answered_unix_ms, since_ms=now_ms - int(1000 * TTL_S), now_ms=now_ms):
            return
        try:
            key = counter(model, captured.version_digest, captured.node, captured.answered_unix_ms)
        except errors.InputError:
            return  # the answer names no version: nothing can be judged by it
        if key in self._answers or len(self._answers) < _MAX_WAITING:
            self._answers[key] += 1
            self._bad[key] += captured.local_class != label

    @property
    def waiting(self) -> int:
        """Counters that wait to be handed over."""
        return len(self._answers)

    def flush(self) -> None:
        """Hand over what waits. Raises UnavailableError; what was not handed over stays."""
        for key in list(self._answers):
            self._fleetstate.add(
                key, {contract.ANSWERS: self._answers[key], contract.BAD_ANSWERS: self._bad[key]}, ttl_s=TTL_S
            )
            del self._answers[key], self._bad[key]
