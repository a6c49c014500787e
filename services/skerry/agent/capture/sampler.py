"""Which rows of an answered request go to the capture queue, and how: `core.sampling` chooses, this cuts them out.

Only numbers are kept, and only rows that a training run could use. Nothing here waits: the queue takes or refuses.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from skerry.adapters.telemetry import logs
from skerry.agent.capture import capture_queue, captured_row
from skerry.core import datasets, feedback, offload, redaction, sampling, series_stamp, subjects, tensors
from skerry.core.inference import InferRequest, Parameter
from skerry.core.tasks import Task
from skerry.serving.windows import Window

MAX_REQUEST_ID_CHARS = 200
_COPIED_LATER_BYTES = 64 << 10  # a larger row is copied in the spool's thread, not in the way of other requests

log = logs.logger("agent.sampler")


@dataclass(slots=True)  # a value; not frozen, because that triples the cost of making one
class AnsweredRequest:
    """One request as it was answered. `digest`, `outputs` [rows, width] and `confidences` are of the local answer.
    `chosen`: why it is kept, where that was decided before (a step of a sequence, whose request is its window)."""

    request: InferRequest
    digest: str
    outputs: NDArray[Any]
    confidences: Sequence[float]
    threshold: float
    decision: offload.Decision
    task: Task
    chosen: sampling.Kind | None = None


class Names(Protocol):
    """Gives captured answers their names: the answer's own, and a token by which its caller may tell the truth of it
    later (empty: tokens are not taken here)."""

    def name(self, model: str, request_id: str) -> tuple[str, str]: ...


class Sampled(NamedTuple):
    """What is left of the cap, and what the caller of an answer that was captured is told: its token, and what was
    taken out of its rows before they were."""

    left: offload.TokenBucket
    told: Mapping[str, Parameter] = {}


class Sample(Protocol):
    def __call__(
        self, answer: AnsweredRequest, policy: sampling.CapturePolicy, cap: offload.TokenBucket, now_s: float
    ) -> Sampled:
        """Offer the chosen rows, as far as the cap allows; `now_s` is the loop's."""
        ...

    def choose_window(
        self,
        window: Window,
        steps: int,
        confidence: float,
        threshold: float,
        policy: sampling.CapturePolicy,
        *,
        may_overlap: bool,
    ) -> sampling.Kind | None:
        """Why the window is kept that ends with these new `steps`, or None. Once for each answer, in their order."""
        ...


class Sampler:
    """A `Sample`. `draw()` gives uniform numbers in [0, 1), `clock()` wall time in Unix ms. `remember` is told of
    captured rows whose truth is due later."""

    def __init__(
        self,
        queue: capture_queue.CaptureQueue,
        draw: Callable[[], float],
        clock: Callable[[], int],
        names: Names,
        remember: Callable[[captured_row.CapturedRow, Task], None],
        subject_key: bytes = b"",
    ) -> None:
        self._queue, self._draw, self._clock, self._names = queue, draw, clock, names
        self._remember, self._subject_key, self._has_told = remember, subject_key, False

    def __call__(
        self, answer: AnsweredRequest, policy: sampling.CapturePolicy, cap: offload.TokenBucket, now_s: float
    ) -> Sampled:
        name, token, is_kept = "", "", False
        for row, sure in enumerate(answer.confidences):
            kind = answer.chosen or sampling.choose(
                confidence=sure, threshold=answer.threshold, policy=policy, u=self._draw()
            )
            if kind is None:
                continue
            left = cap.take(1, now_s)
            if left is None or not self._may_keep(answer.request, policy):
                break
            cap = left
            if not name and is_nameable(answer.request.id):
                name, token = self._names.name(answer.request.model, answer.request.id)
            cut = self._cut(answer, row, sure, kind, name, policy)
            if self._queue.offer(cut):
                is_kept = True
                if name and answer.task.horizon_ms:
                    self._remember(cut, answer.task)
        return Sampled(cap, _told(token, policy)) if is_kept else Sampled(cap)

    def _may_keep(self, request: InferRequest, policy: sampling.CapturePolicy) -> bool:
        """Only what can be learned from, and redacted as it must be; of a named subject nothing that could not be
        erased by its name."""
        if not _is_usable(request) or redaction.fault(policy.redact, request.inputs):
            return False
        if self._subject_key or not subjects.of(request.parameters):
            return True
        if not self._has_told:
            log.warning("subject_not_kept", message=f"{subjects.SUBJECT} needs SKERRY_SUBJECT_KEY: it is not captured")
        self._has_told = True
        return False

    def choose_window(
        self,
        window: Window,
        steps: int,
        confidence: float,
        threshold: float,
        policy: sampling.CapturePolicy,
        *,
        may_overlap: bool,
    ) -> sampling.Kind | None:
        kind, window.stretch = sampling.choose_window(
            window.stretch or sampling.Stretch(self._draw()),
            steps,
            window.size,
            confidence=confidence,
            threshold=threshold,
            policy=policy,
            next_u=self._draw(),
            may_overlap=may_overlap,
        )
        return kind

    def _cut(
        self,
        answer: AnsweredRequest,
        row: int,
        sure: float,
        kind: sampling.Kind,
        name: str,
        policy: sampling.CapturePolicy,
    ) -> captured_row.CapturedRow:
        request, subject = answer.request, subjects.of(answer.request.parameters)
        inputs = request.inputs if policy.has_row else ()
        return captured_row.CapturedRow(
            model=request.model,
            request_id=request_id(request.id, row, len(answer.confidences)),
            digest=answer.digest,
            kind=kind,
            inputs=tuple(cut_row(tensor, row, policy.redact) for tensor in inputs),
            local_logits=tuple(float(logit) for logit in answer.outputs[row]),
            confidence=sure,
            route=answer.decision.route.value,
            reason=answer.decision.reason.value,
            answered_unix_ms=self._clock(),
            label_map=answer.task.digest,
            stamp=series_stamp.of(request.parameters),
            subject=subjects.hashed(subject, self._subject_key) if subject else "",
            answer=name,
            redacted=tuple(map(str, policy.redact)) if inputs else (),
        )


def request_id(given: str, row: int, rows: int) -> str:
    """The id by which a late truth names a row: the caller's, with `#<row>` when the request had several. Empty when
    there is none, or one too long to keep."""
    if not is_nameable(given):
        return ""
    return given if rows == 1 else f"{given}#{row}"


def is_nameable(request_id: str) -> bool:
    """Can a late truth name a request by this id?"""
    return 0 < len(request_id) <= MAX_REQUEST_ID_CHARS


def _is_usable(request: InferRequest) -> bool:
    """A dataset holds one input of finite numbers: anything else would be sent, and refused by the cloud."""
    return len(request.inputs) == 1 and all(
        tensor.datatype in datasets.DTYPES and tensors.is_finite(tensor.data) for tensor in request.inputs
    )


def _told(token: str, policy: sampling.CapturePolicy) -> Mapping[str, Parameter]:
    told: dict[str, Parameter] = {feedback.PARAMETER: token} if token else {}
    if policy.redact and policy.has_row:
        told[redaction.PARAMETER] = redaction.told(policy.redact)
    return told


def cut_row(tensor: tensors.Tensor, row: int, redact: redaction.Steps) -> captured_row.CapturedTensor:
    """One row, redacted; a large one is not copied yet where nothing else lies in the request's memory."""
    data = tensor.data[row]
    for step in redact:
        data = step.apply(data[np.newaxis])[0]
    cut = tensors.Tensor(tensor.name, tensor.datatype, data.shape, data)
    is_whole = len(tensor.data) == 1 and not redact  # else a view would hold more than its own row
    raw = tensors.raw_view(cut) if is_whole and data.nbytes >= _COPIED_LATER_BYTES else tensors.to_raw(cut)
    return captured_row.CapturedTensor(tensor.name, tensor.datatype, data.shape, raw)
