"""Answers whose truth is still to come, and what their truths have said of their sources: in memory, bounded, the
oldest out first. What follows from a residual is decided in `core.residuals`.

Only captured answers are kept: a truth of another one is told NOT_CAPTURED. A process that ends forgets them; truths of
its answers are still recorded, and say nothing of their source.
"""

import collections
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from skerry.agent.capture.capture_queue import CapturedRow
from skerry.core import residuals, series_stamp
from skerry.core.inference import Parameter
from skerry.core.manifest import Manifest
from skerry.core.residuals import Moment, Newest, Residual
from skerry.core.tasks import Task, Truth

_ENTRY_BYTES = 900  # beside its texts and numbers
_CHAR_BYTES = 4  # at most


class _Awaited(NamedTuple):
    digest: str
    series: str
    answered: Moment
    outputs: bytes  # float32
    task: Task
    size_bytes: int


class ResidualMemory:
    """Used on the loop's thread. `clock()` is monotonic seconds; `count(model, digest, residual)` is told by how much a
    version was off. `knows_sources`: is anything known of any? Where nothing is, an answer costs nothing more."""

    def __init__(
        self,
        clock: Callable[[], float],
        count: Callable[[str, str, Residual], None],
        *,
        max_answers: int = 10_000,
        max_bytes: int = 8 << 20,
        max_sources: int = 4_096,
    ) -> None:
        self.knows_sources = False
        self._clock, self._count = clock, count
        self._max_answers, self._max_bytes, self._max_sources = max_answers, max_bytes, max_sources
        self._awaited: collections.OrderedDict[tuple[str, str, str], _Awaited] = collections.OrderedDict()
        self._names: dict[tuple[str, str], list[str]] = {}  # of the answers to a request's id
        self._bytes = 0
        self._sources: collections.OrderedDict[tuple[str, str], Newest] = collections.OrderedDict()

    @property
    def awaited(self) -> int:
        """Answers whose truth is still to come."""
        return len(self._awaited)

    def remember(self, row: CapturedRow, task: Task) -> None:
        """A captured answer whose truth comes later, with what its version answered."""
        key = row.model, row.request_id, row.answer
        self._forget(key)
        outputs = np.asarray(row.local_logits, dtype=np.float32).tobytes()
        texts = len(row.request_id) + len(row.stamp.series)
        size = _ENTRY_BYTES + len(outputs) + _CHAR_BYTES * texts
        answered = self._moment(row.stamp)
        self._awaited[key] = _Awaited(row.digest, row.stamp.series, answered, outputs, task, size)
        self._names.setdefault(key[:2], []).append(row.answer)
        self._bytes += size
        while len(self._awaited) > self._max_answers or self._bytes > self._max_bytes:
            self._forget(next(iter(self._awaited)))

    def settle(self, model: str, request_id: str, answer: str | None, truth: Truth) -> None:
        """The truth of an answer, which can be one: the first counts. Nothing where the answer is not known (any more).
        Without `answer`, the name that its token tells, the request's id alone must tell which it was."""
        names = self._names.get((model, request_id), ())
        name = answer if answer is not None else names[0] if len(names) == 1 else None
        awaited = None if name is None else self._forget((model, request_id, name))
        if awaited is None:
            return
        residual = awaited.task.residual(np.frombuffer(awaited.outputs, dtype=np.float32), truth)
        if residual is None:
            return
        source = model, awaited.series
        told = Newest(awaited.digest, residual.error, awaited.answered)
        self._sources[source] = residuals.newest(self._sources.pop(source, None), told)
        if len(self._sources) > self._max_sources:
            self._sources.popitem(last=False)
        self.knows_sources = True
        self._count(model, awaited.digest, residual)

    def confidence(self, digest: str, manifest: Manifest, parameters: Mapping[str, Parameter]) -> float:
        """At most how sure an answer of this version is to a request with these parameters, asked for now."""
        stamp = series_stamp.of(parameters)
        known = self._sources.get((manifest.model, stamp.series))
        if known is None:
            return 1.0
        calibration, horizon_ms = manifest.confidence, manifest.task.horizon_ms
        return residuals.confidence(
            known,
            digest,
            self._moment(stamp),
            bound=calibration.bound,
            threshold=calibration.threshold,
            horizon_ms=horizon_ms,
        )

    def _moment(self, stamp: series_stamp.Stamp) -> Moment:
        return Moment(int(1000 * self._clock()), stamp.unix_ms)

    def _forget(self, key: tuple[str, str, str]) -> _Awaited | None:
        awaited = self._awaited.pop(key, None)
        if awaited is not None:
            self._bytes -= awaited.size_bytes
            names = self._names[key[:2]]
            names.remove(key[2])
            if not names:
                del self._names[key[:2]]
        return awaited
