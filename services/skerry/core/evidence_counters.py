"""Which counters an answer is counted in, and which ones say what was answered since a moment.

A counter holds the answers of a bucket of time. Where the truth comes at once, buckets are narrow and few hours count.
Where it comes late, a month of narrow buckets would be read at each look, so every answer is counted twice: in a narrow
bucket and in a wide one, of an hour. What was answered since a moment stands in the narrow buckets up to the next wide
one, and in wide ones from there on: exact to a narrow bucket, and of a node never more than some two thousand counters.
"""

from collections.abc import Callable
from dataclasses import dataclass

from skerry.core import contract
from skerry.core.truth_delay import TruthDelay

MAX_NARROW = 4320  # six hours of answers whose truth comes at once; older ones of a long wave no longer count
_NARROW_IN_WIDE = 720  # an hour
_MAX_WIDE = 1440  # sixty days of hours; for a longer horizon both kinds of buckets are wider


@dataclass(frozen=True, slots=True)
class Span:
    """Buckets [first, stop) of `bucket_ms` each; `key(model, digest, node, bucket)` names a counter."""

    bucket_ms: int
    first: int
    stop: int
    key: Callable[[str, str, str, int], str]


def bucket_widths_ms(delay: TruthDelay) -> tuple[int, int]:
    """(narrow, wide), wide a multiple of narrow. The curator writes by them and the controller reads: one model, one
    delay."""
    longest = contract.EVIDENCE_BUCKET_MS * _NARROW_IN_WIDE * _MAX_WIDE
    narrow = contract.EVIDENCE_BUCKET_MS * max(1, -(-delay.window_ms // longest))
    return narrow, narrow * _NARROW_IN_WIDE


def counters_of(model: str, digest: str, node: str, answered_unix_ms: int, delay: TruthDelay) -> tuple[str, ...]:
    """What an answer is counted in. Raises InputError for what is no digest."""
    narrow, wide = bucket_widths_ms(delay)
    counter = contract.evidence_counter(model, digest, node, answered_unix_ms // narrow)
    if not delay.is_late:
        return (counter,)
    return counter, contract.wide_evidence_counter(model, digest, node, answered_unix_ms // wide)


def spans_since(since_ms: int, now_ms: int, delay: TruthDelay) -> tuple[Span, ...]:
    """Where answers since then were counted. A narrow bucket that began before is left out: it may hold answers from
    before the swap."""
    narrow, wide = bucket_widths_ms(delay)
    first, last = -(-since_ms // narrow), now_ms // narrow
    if not delay.is_late:
        first = max(first, last - MAX_NARROW + 1)
        return (Span(narrow, first, last + 1, contract.evidence_counter),)
    first = max(first, -(-(now_ms - delay.window_ms) // narrow))
    first_wide = -(-first * narrow // wide)
    return (
        Span(narrow, first, min(first_wide * _NARROW_IN_WIDE, last + 1), contract.evidence_counter),
        Span(wide, first_wide, now_ms // wide + 1, contract.wide_evidence_counter),
    )
