"""A local answer on its way through the cascade: what it is, how sure, and what is told of it or asked about it.

Pure. What is done with it, and when, is `cascade`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors, offload, redaction, sampling, teacher_terms
from skerry.core.confidence import Calibration
from skerry.core.inference import InferReply, InferRequest, Parameter
from skerry.core.manifest import Manifest
from skerry.core.tasks import Task
from skerry.core.tensors import Tensor
from skerry.serving.predictor import Job

Confidences = Sequence[float]


@dataclass(slots=True)  # a value; not frozen, because that triples the cost of making one
class Step:
    """`held` steps of a sequence stand behind its answer; `window` [1, held, …] where they are to be asked about or
    kept, and `kind` says why kept."""

    held: int | None = None
    is_full: bool = False
    window: Tensor | None = None
    kind: sampling.Kind | None = None


@dataclass(slots=True)  # a value; not frozen, because that triples the cost of making one
class LocalAnswer:
    """A local answer, how sure its version is of it (`confidences`), and how sure with what is known of the source, too
    (`sure`). `started_s`: when the request came (time.perf_counter)."""

    job: Job
    reply: InferReply
    outputs: NDArray[Any]
    task: Task
    calibration: Calibration
    confidences: Confidences
    sure: Confidences
    started_s: float
    step: Step | None = None


def teachable(local: LocalAnswer) -> InferRequest:
    """The request as it can be asked and learned from by itself: a step of a sequence as its window."""
    request = local.job.request
    if local.step is None or local.step.window is None:
        return request
    return replace(request, inputs=(local.step.window,))


def outputs_of(reply: InferReply, manifest: Manifest | None) -> NDArray[Any] | None:
    """The first output of the manifest when it is a matrix of as many numbers a row as its task has; None otherwise."""
    if manifest is None:
        return None
    for output in reply.outputs:
        if output.name == manifest.outputs[0].name:
            data = output.data
            # A network that was brought may come without the names of its classes.
            fits = data.ndim == 2 and data.dtype.kind == "f" and manifest.task.width in (0, data.shape[1])
            return data if fits and data.size else None
    return None


def as_local(reply: InferReply, local: LocalAnswer, redacted: str = "") -> InferReply:
    """The cloud's answer with the outputs that this model has. Raises UnavailableError when it is none to this request:
    another shape, another label map, or numbers that are not finite. `redacted`: what was taken out of what it was
    asked."""
    if fault := teacher_terms.fault(local.task, reply.parameters):
        raise errors.UnavailableError(f"the cloud's answer for {reply.model} cannot be read: {fault}")
    mine = local.reply.outputs[0]
    first = reply.outputs[0] if reply.outputs else None
    theirs = next((output for output in reply.outputs if output.name == mine.name), first)
    if theirs is None or theirs.shape != local.outputs.shape or not np.isfinite(theirs.data).all():
        shape = "nothing" if theirs is None else str(list(theirs.shape))
        raise errors.UnavailableError(
            f"the cloud answered {shape} for {reply.model}, {list(local.outputs.shape)} finite numbers were expected"
        )
    data = local.task.in_terms_of(theirs.data, local.calibration.outputs)
    renamed = Tensor(mine.name, theirs.datatype, theirs.shape, data)
    told = {name: value for name, value in reply.parameters.items() if name != teacher_terms.PARAMETER}
    if redacted:
        told |= {redaction.PARAMETER: redacted, redaction.ANSWER: True}
    return replace(reply, model=local.reply.model, outputs=(renamed, *local.reply.outputs[1:]), parameters=told)


def parameters(local: LocalAnswer, reply: InferReply, decision: offload.Decision) -> dict[str, Parameter]:
    told: dict[str, Parameter] = {
        "skerry_route": decision.route,
        "skerry_reason": decision.reason,
        "skerry_confidence": f"{min(local.sure):.6f}",
        "skerry_digest": reply.digest,
        "skerry_degraded": decision.degraded,
        "skerry_local_digest": local.reply.digest,
    }
    if len(local.outputs) == 1:
        answered = local.outputs if reply is local.reply else reply.outputs[0].data
        told.update(local.task.told(answered[0], local.outputs[0]))
    if local.step is not None and local.step.held is not None:
        told["skerry_window"] = local.step.held
    return told
