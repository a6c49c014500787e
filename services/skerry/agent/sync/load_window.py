"""What a node counted lately, per model: requests, routes, the confidence histogram and the latency of answers.

A window of whole seconds slides over the counts, so that a reading says how it is now; totals by version rise while the
process lives, so that whoever hears them now and then misses none. Truths of forecasts come late and seldom: of each
version its newest ones are told, whenever they came; of many versions fewer each. Kept in memory only.
"""

import collections
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field

from skerry.agent.sync import input_window
from skerry.core import confidence, contract
from skerry.core.residuals import Residual
from skerry.proto import fleet_pb2

_MAX_LATENCIES = 256  # per second; more are not needed for a percentile
_MAX_VERSIONS = 256  # whose totals are kept; those counted last
_MAX_TRUE_VERSIONS = 512  # whose truths are kept; those told of last: two of each model that a gateway takes
_MAX_TRUTHS = 16_000  # of all versions together


@dataclass(slots=True)
class _Second:
    second: int
    requests: int = 0
    offloaded: int = 0
    degraded: int = 0
    failed: int = 0
    refused: int = 0
    bins: list[int] = field(default_factory=lambda: [0] * confidence.BINS)
    latencies_ms: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _Total:
    requests: int = 0
    failed: int = 0
    refused: int = 0


@dataclass(slots=True)
class _Routed:
    local: int = 0
    offloaded: int = 0
    degraded: int = 0
    failed: int = 0
    refused: int = 0


class LoadWindow:
    """`clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float], *, window_s: int = 10) -> None:
        self._clock, self._window_s = clock, window_s
        self.inputs = input_window.InputWindow(window_s)
        self._models: dict[str, tuple[str, collections.deque[_Second]]] = {}
        self._totals: dict[tuple[str, str], _Total] = {}
        self._truths: dict[tuple[str, str], collections.deque[Residual]] = {}
        self._routed: dict[str, _Routed] = {}

    def answered(
        self,
        model: str,
        digest: str,
        confidences: Iterable[float],
        latency_s: float,
        *,
        offloaded: bool,
        degraded: bool,
    ) -> None:
        """Count one answered request; `confidences` are the local ones of its rows."""
        now = self._second(model, digest)
        now.requests += 1
        self._total(model, digest).requests += 1
        now.offloaded += offloaded
        now.degraded += degraded
        routed = self._routes(model)
        routed.offloaded += offloaded
        routed.degraded += degraded
        routed.local += not (offloaded or degraded)
        for row_confidence in confidences:
            now.bins[min(int(row_confidence * confidence.BINS), confidence.BINS - 1)] += 1
        if len(now.latencies_ms) < _MAX_LATENCIES:
            now.latencies_ms.append(1e3 * latency_s)

    def failed(self, model: str, digest: str) -> None:
        """Count a request that got an error which was not the caller's fault."""
        now = self._second(model, digest)
        now.requests += 1
        now.failed += 1
        self._routes(model).failed += 1
        total = self._total(model, digest)
        total.requests += 1
        total.failed += 1

    def refused(self, model: str, digest: str) -> None:
        """Count a request that was refused as wrong input although it has a form that the node's versions take."""
        now = self._second(model, digest)
        now.requests += 1
        now.refused += 1
        self._routes(model).refused += 1
        total = self._total(model, digest)
        total.requests += 1
        total.refused += 1

    def settled(self, model: str, digest: str, residual: Residual) -> None:
        """A truth came: by how much that version was off."""
        truths = self._truths.pop((model, digest), None) or collections.deque(maxlen=contract.MAX_READING_TRUTHS)
        truths.append(residual)
        self._truths[model, digest] = truths
        while len(self._truths) > _MAX_TRUE_VERSIONS:
            self._truths.pop(next(iter(self._truths)))
        if sum(map(len, self._truths.values())) > _MAX_TRUTHS:
            max(self._truths.values(), key=len).popleft()

    def read(self) -> list[fleet_pb2.Reading]:
        """The newest window of every model that was asked for anything since its version began to serve."""
        return [self._read(model, digest, seconds) for model, (digest, seconds) in self._models.items()]

    def routed(self) -> dict[str, tuple[tuple[str, int], ...]]:
        """By model: requests since the start by what became of them; each is counted once."""
        return {model: tuple(asdict(routed).items()) for model, routed in self._routed.items()}

    def _routes(self, model: str) -> _Routed:
        routed = self._routed.get(model)
        if routed is None:
            routed = self._routed[model if len(self._routed) < _MAX_VERSIONS else "other"] = _Routed()
        return routed

    def _second(self, model: str, digest: str) -> _Second:
        current, seconds = self._models.get(model, ("", collections.deque[_Second]()))
        if current != digest:  # another version: its counts are not those of the one before
            seconds = collections.deque()
            self._models[model] = (digest, seconds)
        second = int(self._clock())
        if not seconds or seconds[-1].second != second:
            seconds.append(_Second(second))
            self._slide(seconds, second)
        return seconds[-1]

    def _total(self, model: str, digest: str) -> _Total:
        total = self._totals.get((model, digest))
        if total is None:
            total = self._totals[model, digest] = _Total()
            while len(self._totals) > _MAX_VERSIONS:
                self._totals.pop(next(iter(self._totals)))
        return total

    def _slide(self, seconds: collections.deque[_Second], now: int) -> None:
        while seconds and seconds[0].second <= now - self._window_s:
            seconds.popleft()

    def _read(self, model: str, digest: str, seconds: collections.deque[_Second]) -> fleet_pb2.Reading:
        self._slide(seconds, int(self._clock()))
        total = self._totals.get((model, digest), _Total())
        truths = self._truths.get((model, digest), ())
        input_rows, input_sums = self.inputs.read(model, digest, self._clock())
        latencies_ms = sorted(latency for second in seconds for latency in second.latencies_ms)
        return fleet_pb2.Reading(
            model=model,
            digest=digest,
            window_s=self._window_s,
            requests=sum(second.requests for second in seconds),
            offloaded=sum(second.offloaded for second in seconds),
            degraded=sum(second.degraded for second in seconds),
            failed=sum(second.failed for second in seconds),
            refused=sum(second.refused for second in seconds),
            requests_total=total.requests,
            failed_total=total.failed,
            refused_total=total.refused,
            confidence_counts=[sum(column) for column in zip(*(second.bins for second in seconds), strict=True)]
            or [0] * confidence.BINS,
            p50_ms=_percentile(latencies_ms, 0.50),
            p99_ms=_percentile(latencies_ms, 0.99),
            truths=len(truths),
            absolute_error=_mean([one.error for one in truths]),
            coverage=_mean([one.covered for one in truths]),
            input_rows=input_rows,
            input_sums=input_sums,
        )


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def _percentile(ordered: list[float], share: float) -> float:
    """The smallest value with at least `share` of all at or below it; 0 without values."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
