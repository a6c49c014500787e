"""Answers whose truth is still to come, and what their truths have said of their sources: in memory, bounded. What
follows from a residual is decided in `core.residuals`.

Where more wait than fit, a part must still live until its truth comes: those go whose truth should have come a horizon
ago, else the new one is not kept. A source that holds much gives way to one that holds little.

Only captured answers are kept: a truth of another one is told NOT_CAPTURED. A process that ends forgets them; truths of
its answers are still recorded, and say nothing of their source.
"""

import collections
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from skerry.agent.capture.captured_row import CapturedRow
from skerry.agent.warning_watch import WarningWatch
from skerry.core import residuals, series_stamp
from skerry.core.inference import Parameter
from skerry.core.manifest import Manifest
from skerry.core.residuals import Moment, Newest, Residual
from skerry.core.tasks import Forecast, Task, Truth, forecast

_ENTRY_BYTES = 1100  # beside its texts and numbers
_CHAR_BYTES = 4  # at most
_LARGE_SHARE = 8  # a source that holds more than one in so many of all bytes is large
_SWEEP_MS = 1000  # one look at all that wait, at most so often

_Key = tuple[str, str, str]  # of an answer: its model, request's id and name


class _Awaited(NamedTuple):
    digest: str
    series: str
    answered: Moment
    ends_ms: int  # by the node's clock: a horizon after the truth was due
    outputs: bytes  # float32
    task: Task
    size_bytes: int


@dataclass(slots=True)
class _Held:
    """What waits of one source, by age."""

    keys: dict[_Key, None] = field(default_factory=dict)
    size_bytes: int = 0


class ResidualMemory:
    """Used on the loop's thread. `clock()` is monotonic seconds; `count(model, digest, residual)` is told by how much a
    version was off, `watch` of which series. `knows_sources`: is anything known of any? Where nothing is, an answer
    costs nothing more. `not_awaited`: answers for which there was no room."""

    def __init__(
        self,
        clock: Callable[[], float],
        count: Callable[[str, str, Residual], None],
        watch: WarningWatch,
        *,
        max_bytes: int = 8 << 20,
        max_sources: int = 4_096,
    ) -> None:
        self.knows_sources = False
        self.not_awaited = 0
        self._clock, self._count, self._watch = clock, count, watch
        self._max_bytes, self._max_sources = max_bytes, max_sources
        self._awaited: dict[_Key, _Awaited] = {}
        self._held: dict[tuple[str, str], _Held] = {}  # by source
        self._large: set[tuple[str, str]] = set()
        self._next_sweep_ms = 0
        self._names: dict[tuple[str, str], list[str]] = {}  # of the answers to a request's id
        self._bytes = 0
        self._sources: collections.OrderedDict[tuple[str, str], Newest] = collections.OrderedDict()

    @property
    def awaited(self) -> int:
        """Answers whose truth is still to come."""
        return len(self._awaited)

    def remember(self, row: CapturedRow, task: Task) -> None:
        """A captured answer whose truth comes later, with what its version answered; where there is room."""
        key = row.model, row.request_id, row.answer
        self._forget(key)
        outputs = _as_kept(row.local_logits)
        texts = len(row.request_id) + len(row.stamp.series)
        size = _ENTRY_BYTES + len(outputs) + _CHAR_BYTES * texts
        source, answered = (row.model, row.stamp.series), self._moment(row.stamp)
        if not self._make_room(source, size):
            self.not_awaited += 1
            return
        ends_ms = answered.node_ms + 2 * task.horizon_ms
        self._awaited[key] = _Awaited(row.digest, row.stamp.series, answered, ends_ms, outputs, task, size)
        self._names.setdefault(key[:2], []).append(row.answer)
        self._bytes += size
        held = self._held.setdefault(source, _Held())
        held.keys[key] = None
        held.size_bytes += size
        if held.size_bytes > self._share_bytes:
            self._large.add(source)

    def settle(self, model: str, request_id: str, answer: str | None, truth: Truth, task_digest: str) -> None:
        """The truth of an answer: the first counts. Nothing where the answer is not known (any more), or is one of
        another task than the truth, which counts in what `task_digest` means. Without `answer`, the name that its token
        tells, the request's id alone must tell which it was."""
        names = self._names.get((model, request_id), ())
        name = answer if answer is not None else names[0] if len(names) == 1 else None
        awaited = None if name is None else self._forget((model, request_id, name))
        if awaited is None or awaited.task.digest != task_digest:
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
        if self._watch.watches:
            unit = awaited.task.unit if isinstance(awaited.task, Forecast) else ""
            at_ms = awaited.answered.series_ms
            self._watch.settled(model, awaited.digest, awaited.series, residual, at_ms, unit)

    def confidence(self, digest: str, manifest: Manifest, parameters: Mapping[str, Parameter]) -> float:
        """At most how sure an answer of this version is to a request with these parameters, asked for now."""
        stamp = series_stamp.of(parameters)
        known = self._sources.get((manifest.model, stamp.series))
        if known is None:
            return 1.0
        calibration, task = manifest.confidence, manifest.task
        return residuals.confidence(
            known,
            digest,
            self._moment(stamp),
            bound=calibration.bound,
            threshold=calibration.threshold,
            horizon_ms=task.horizon_ms,
            step_ms=task.step_ms,
        )

    def _moment(self, stamp: series_stamp.Stamp) -> Moment:
        return Moment(self._now_ms(), stamp.unix_ms)

    def _now_ms(self) -> int:
        return int(1000 * self._clock())

    @property
    def _share_bytes(self) -> int:
        return self._max_bytes // _LARGE_SHARE

    def _make_room(self, source: tuple[str, str], size: int) -> bool:
        """Is there room for so much more of that source? Large sources lose their newest: their oldest will settle."""
        if self._bytes + size > self._max_bytes:
            self._drop_overdue()
        while self._bytes + size > self._max_bytes:
            held = self._held.get(source)
            if not self._large or (held.size_bytes if held is not None else 0) + size > self._share_bytes:
                return False
            largest = max(self._large, key=lambda one: self._held[one].size_bytes)
            self._forget(next(reversed(self._held[largest].keys)))
            self.not_awaited += 1
        return True

    def _drop_overdue(self) -> None:
        now_ms = self._now_ms()
        if now_ms < self._next_sweep_ms:
            return
        self._next_sweep_ms = now_ms + _SWEEP_MS
        for key in [key for key, awaited in self._awaited.items() if awaited.ends_ms < now_ms]:
            self._forget(key)

    def _forget(self, key: _Key) -> _Awaited | None:
        awaited = self._awaited.pop(key, None)
        if awaited is None:
            return None
        self._bytes -= awaited.size_bytes
        names = self._names[key[:2]]
        names.remove(key[2])
        if not names:
            del self._names[key[:2]]
        source = key[0], awaited.series
        held = self._held[source]
        del held.keys[key]
        held.size_bytes -= awaited.size_bytes
        if held.size_bytes <= self._share_bytes:
            self._large.discard(source)
        if not held.keys:
            del self._held[source]
        return awaited


def _as_kept(outputs: Sequence[float]) -> bytes:
    """float32, as truths are kept; of a wider network a number beyond it becomes the largest one, and stays finite."""
    values = np.asarray(outputs, dtype=np.float64)
    np.clip(values, -forecast.MAX_VALUE, forecast.MAX_VALUE, out=values, where=np.isfinite(values))
    return values.astype(np.float32).tobytes()
