"""Which series of a node's forecasters are warned of now: in memory, bounded. When a residual becomes a warning is
decided in `core.warnings`.

It asks no cloud, and only local forecasts are compared. A process that ends forgets what it had raised: a series that
is still off is warned of again after so many readings as its policy says. A raised warning keeps its place whatever
else comes; a series that is silent for a day is forgotten with it.
"""

import collections
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from skerry.adapters.telemetry import logs
from skerry.core import offload, series_stamp, warnings
from skerry.core.inference import InferRequest, Parameter
from skerry.core.manifest import Manifest
from skerry.core.residuals import Residual
from skerry.core.tasks import Forecast
from skerry.core.warnings import Change, Expected, State, TruthSource, WarnPolicy

log = logs.logger("agent.warnings")

MAX_SERIES, MAX_RAISED = 4_096, 256
SILENT_MS = 86_400_000
_TOLD_PER_S, _TOLD_AT_ONCE = 0.2, 20.0  # changes that are logged

Key = tuple[str, str]  # model, series


@dataclass(frozen=True, slots=True)
class Raised:
    """A warning as it was raised: by the node's clock, and by the series' own (0: not given)."""

    model: str
    series: str
    since_unix_ms: int
    series_unix_ms: int
    digest: str
    text: str


@dataclass(slots=True)
class _Series:
    state: State = warnings.QUIET
    expected: Expected | None = None
    heard_unix_ms: int = 0
    raised: Raised | None = None


class WarningWatch:
    """Used on the loop's thread. `clock()` is wall time in Unix ms. `watches`: is any model warned of? Where none is,
    an answer costs nothing more."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock, self.started_unix_ms = clock, clock()
        self.watches = False
        self.not_kept = 0
        self.totals: collections.Counter[str] = collections.Counter()  # raised, by model
        self.may_leave: Callable[[str], bool] = lambda model: True  # may what is said of a model's rows leave the node?
        self._policies: dict[str, WarnPolicy] = {}
        self._quiet: collections.OrderedDict[Key, _Series] = collections.OrderedDict()
        self._raised: dict[Key, _Series] = {}
        self._budget = offload.TokenBucket.full(_TOLD_PER_S, _TOLD_AT_ONCE, self.started_unix_ms / 1000)

    @property
    def models(self) -> Sequence[str]:
        """Those that are warned of."""
        return list(self._policies)

    def set_policy(self, model: str, policy: WarnPolicy | None) -> None:
        """None: of this model nothing is warned of. By another policy every series begins anew."""
        if self._policies.get(model) == policy:
            return
        for series in (self._quiet, self._raised):
            for key in [key for key in series if key[0] == model]:
                del series[key]
        if policy is None:
            del self._policies[model]
        else:
            self._policies[model] = policy
        self.watches = bool(self._policies)

    def raised(self) -> Sequence[Raised]:
        """What is raised and not over, oldest first."""
        silent_ms = self._clock() - SILENT_MS
        for key in [key for key, series in self._raised.items() if series.heard_unix_ms < silent_ms]:
            del self._raised[key]
        return [series.raised for series in self._raised.values() if series.raised is not None]

    def tellable(self) -> Sequence[Raised]:
        """Of these what the cloud may hear of."""
        return [one for one in self.raised() if self.may_leave(one.model)]

    def answered(self, manifest: Manifest, digest: str, request: InferRequest, outputs: NDArray[Any]) -> None:
        """One local answer, before it is given: what it reads is the truth of the one before it."""
        policy, task = self._policies.get(manifest.model), manifest.task
        if policy is None or policy.truth is not TruthSource.NEXT_READING or not isinstance(task, Forecast):
            return
        rows = request.inputs[0].data
        if len(outputs) != 1 or rows.ndim != 3 or policy.column >= rows.shape[2]:
            return
        stamp, is_stream = series_stamp.of(request.parameters), bool(manifest.state)
        name = _name(request.parameters, stamp.series)
        if not name and not is_stream:
            return  # whose windows these are is not known
        series = self._series((manifest.model, name))
        if request.parameters.get("sequence_start") is True:
            series.expected = None
        first = 0 if is_stream else rows.shape[1] - 1  # of a piece the first step is the next one
        at_ms = stamp.unix_ms - (rows.shape[1] - 1 - first) * task.step_ms if stamp.unix_ms else 0
        off = warnings.residual(
            series.expected, float(rows[0, first, policy.column]), at_ms, task.step_ms, in_order=is_stream
        )
        series.expected = Expected(float(task.medians(outputs)[0, 0]), stamp.unix_ms)
        if request.parameters.get("sequence_end") is True:
            series.expected = None
        if off is not None:
            self._step((manifest.model, name), series, off, policy, digest, at_ms, task.unit)

    def settled(self, model: str, digest: str, series: str, residual: Residual, series_ms: int, unit: str) -> None:
        """A truth came by feedback."""
        policy = self._policies.get(model)
        if policy is not None and policy.truth is TruthSource.FEEDBACK:
            key = model, series
            self._step(key, self._series(key), residual.error, policy, digest, series_ms, unit)

    def _series(self, key: Key) -> _Series:
        """What is known of it; the one that was heard of longest ago gives way."""
        series = self._raised.get(key)
        if series is None:
            series = self._quiet.pop(key, None) or _Series()
            self._quiet[key] = series
            if len(self._quiet) > MAX_SERIES:
                self._quiet.popitem(last=False)
        series.heard_unix_ms = self._clock()
        return series

    def _step(
        self, key: Key, series: _Series, off: float, policy: WarnPolicy, digest: str, series_ms: int, unit: str
    ) -> None:
        series.state, change = warnings.step(series.state, off, policy)
        if change is None:
            return
        text = warnings.text(change, off, policy, unit)
        if change is Change.RAISED:
            self.totals[key[0]] += 1
            if len(self._raised) >= MAX_RAISED and len(self.raised()) >= MAX_RAISED:
                self.not_kept += 1
                series.state = warnings.QUIET  # it may be raised when there is room
                return
            series.raised = Raised(*key, series.heard_unix_ms, series_ms, digest, text)
            self._raised[key] = self._quiet.pop(key, series)
        else:
            self._raised.pop(key, None)
            series.raised = None
            self._quiet[key] = series
        self._log(key, change, digest, series_ms, text)

    def _log(self, key: Key, change: Change, digest: str, series_ms: int, text: str) -> None:
        left = self._budget.take(1, self._clock() / 1000)
        if left is None:
            return
        self._budget = left
        tell = log.warning if change is Change.RAISED else log.info
        event = "warning_raised" if change is Change.RAISED else "warning_over"
        if not self.may_leave(key[0]):
            text = "privacy keeps the numbers on the node: `skerry warnings` shows them there"
        tell(event, model=key[0], series=key[1], series_unix_ms=series_ms, digest=digest, message=text)


def _name(parameters: Mapping[str, Parameter], series: str) -> str:
    return series or str(parameters.get("sequence_id", ""))[: series_stamp.MAX_SERIES_BYTES]
