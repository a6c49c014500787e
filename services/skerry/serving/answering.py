"""What ran becomes replies and metrics: each request of a run is answered by its job's `finish`."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from skerry.core import errors
from skerry.core.inference import InferReply
from skerry.core.tensors import Tensor
from skerry.serving.batch_rules import QueuedRequest, VersionLabel, Whole
from skerry.serving.metrics import ServingMetrics, outcome_of
from skerry.serving.network import Network, NotFiniteError
from skerry.serving.running import Outcome
from skerry.serving.sequence_states import SequenceStates, State

_MAX_FORMS = 64


class Answering:
    """Of one version, on the loop's thread."""

    def __init__(
        self, network: Network, label: VersionLabel, instruments: ServingMetrics, states: SequenceStates | None
    ) -> None:
        self._label, self._instruments, self._states, self._series = label, instruments, states, label.labels
        self._runs = instruments.runs(label.labels)
        self._output_types = tuple((spec.name, spec.datatype) for spec in network.manifest.outputs)
        self._forms: dict[tuple[int, ...], object] = {}

    def deliver(self, batch: list[QueuedRequest], outcomes: list[Outcome], seconds: float, now: float) -> None:
        """A run is over: answer everyone in it."""
        rows, first = sum([work.rows for work in batch]), batch[0]
        answered = 0
        for work, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, errors.SkerryError):
                self.failed(work, outcome)
                continue
            outputs, state = outcome
            if work.whole is not None:
                whole = self._collected(work, work.whole, outputs)
                if whole is None:
                    continue
                outputs = whole
            answered += 1
            self._succeeded(work, outputs, state, now)
        self._runs.ran(seconds, rows, now - seconds - first.queued_s, answered)

    def failed(self, work: QueuedRequest, error: errors.SkerryError) -> None:
        if work.ask is not None and self._states is not None:
            self._states.abandon(work.ask)
        if isinstance(error, NotFiniteError):
            self._instruments.not_finite.add(self._series)
        self.refuse(work, error)

    def refuse(self, work: QueuedRequest, error: errors.SkerryError) -> None:
        if work.whole is not None:
            if work.whole.is_over:
                return
            work.whole.is_over, work.whole.outputs = True, []
        self._instruments.requests.add((*self._series, outcome_of(error)))
        work.job.finish(error)

    def _collected(
        self, work: QueuedRequest, whole: Whole, outputs: Sequence[NDArray[Any]]
    ) -> Sequence[NDArray[Any]] | None:
        """All outputs of a request that ran in pieces, once this was the last."""
        try:
            return None if whole.is_over else whole.add(outputs, work.rows)
        except errors.TooLargeError as exc:
            self.refuse(work, exc)
            return None

    def _succeeded(self, work: QueuedRequest, outputs: Sequence[NDArray[Any]], state: State, now: float) -> None:
        window: object = None
        if work.ask is not None and self._states is not None:
            window = self._states.after(work.ask, state, work.inputs[0][0], now_s=now)
        form: object = None
        if len(outputs) == 1:
            (name, datatype), data = self._output_types[0], outputs[0]
            shape = data.shape
            tensors: tuple[Tensor, ...] = (Tensor(name, datatype, shape, data),)
            form = self._forms.get(shape) or self._new_form(shape)
        else:
            pairs = zip(self._output_types, outputs, strict=True)
            tensors = tuple([Tensor(name, datatype, data.shape, data) for (name, datatype), data in pairs])
        label = self._label
        work.job.finish(InferReply(label.model, label.version, tensors, "", {}, label.digest, form, window))

    def _new_form(self, shape: tuple[int, ...]) -> object:
        """One object for all replies whose only output has this shape."""
        if len(self._forms) >= _MAX_FORMS:
            self._forms.clear()
        form = self._forms[shape] = object()
        return form
