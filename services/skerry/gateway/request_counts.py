"""How many requests each version met on a node since its report before, from totals that rise: what a rollout compares.

Pure. Totals are a process's own: with another boot they begin at zero. Of a boot that this gateway hears for the first
time in its middle, the first totals are only where counting begins: another gateway may have counted them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from skerry.core import errors, evidence_counters, truth_delay
from skerry.core.contract import Counted
from skerry.core.evidence_counters import Counter
from skerry.proto import fleet_pb2

MAX_RISE = 10_000_000  # of one report; a node that says more has counted something else
_MAX_VERSIONS = 1024  # of one node whose totals are remembered


@dataclass(frozen=True, slots=True)
class Totals:
    """Requests with one version since its node's process began to serve it, and those of them that failed or were
    refused."""

    requests: int = 0
    bad: int = 0


# By model and digest of the version.
NodeTotals = Mapping[tuple[str, str], Totals]


def read(readings: Iterable[fleet_pb2.Reading]) -> NodeTotals:
    """Raises InputError for totals that cannot be."""
    totals = {}
    for reading in readings:
        bad = reading.failed_total + reading.refused_total
        if min(reading.failed_total, reading.refused_total) < 0 or bad > reading.requests_total:
            raise errors.InputError(
                f"the reading of model {reading.model} says that {bad} of {reading.requests_total} requests failed"
            )
        if reading.requests_total:
            totals[reading.model, reading.digest] = Totals(reading.requests_total, bad)
    return totals


def merge(before: NodeTotals, now: NodeTotals) -> NodeTotals:
    """`now`, with what was known of versions that it does not name: they may serve again."""
    return {**before, **now} if len(before) < _MAX_VERSIONS else now


def rises(before: NodeTotals, now: NodeTotals) -> Iterator[tuple[str, str, Totals]]:
    """(model, digest, what is to be added) of every version whose totals rose."""
    for (model, digest), totals in now.items():
        known = before.get((model, digest), Totals())
        rise = Totals(totals.requests - known.requests, totals.bad - known.bad)
        if 0 < rise.requests <= MAX_RISE and 0 <= rise.bad <= rise.requests:
            yield model, digest, rise


def counters_of(model: str, digest: str, now_ms: int, comparisons: Iterable[int]) -> Sequence[Counter]:
    """What the requests that a version meets now count in; nothing where no version serves: nothing can be judged."""
    try:
        return list(
            evidence_counters.counters_of(Counted.REQUESTS, model, digest, now_ms, comparisons, truth_delay.AT_ONCE)
        )
    except errors.InputError:
        return ()
