"""Soft labels for rows, from the large model behind any Open Inference Protocol v2 server, which answers with logits,
with probabilities or, of a forecaster, with quantiles.

Asked in batches that fit the message limit; an answer that is not one finite number per class and row counts as no
answer. Whether a run can do without is the caller's decision.
"""

import asyncio
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.adapters.oip.remote import RemoteModel
from skerry.core import errors, specs, teacher_terms
from skerry.core.inference import InferRequest
from skerry.core.tensors import Tensor
from skerry.trainer import measures
from skerry.trainer.train import SoftLabeler

BATCH_ROWS = 64
BATCH_BYTES = 8 << 20
TIMEOUT_S = 10.0


def soft_labeler(address: str, model: specs.EdgeModel) -> SoftLabeler:
    """Labels rows [n, …], as callers send them, with the answers [n, width] of `model`'s teacher, of classes their
    probabilities."""

    def label(x: NDArray[Any]) -> NDArray[np.float32]:
        return asyncio.run(_label(address, model, x))

    return label


async def _label(address: str, model: specs.EdgeModel, x: NDArray[Any]) -> NDArray[np.float32]:
    rows = max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, x[:1].nbytes)))
    async with RemoteModel(address) as remote:
        answers = [await _ask(remote, address, model, x[at : at + rows]) for at in range(0, len(x), rows)]
    return np.concatenate(answers) if answers else np.empty((0, model.task.width), dtype=np.float32)


async def _ask(remote: RemoteModel, address: str, model: specs.EdgeModel, x: NDArray[Any]) -> NDArray[np.float32]:
    tensor = Tensor(model.input.name, model.input.datatype, x.shape, x)
    reply = await remote.infer(InferRequest(model.name, (tensor,)), TIMEOUT_S)
    if fault := teacher_terms.fault(model.task, reply.parameters):
        raise errors.UnavailableError(f"the teacher at {address} cannot label {model.name}: {fault}")
    wanted = (len(x), model.task.width)
    logits = next(
        (output.data for output in reply.outputs if output.shape == wanted and output.data.dtype.kind == "f"), None
    )
    if logits is None or not np.isfinite(logits).all():
        raise errors.UnavailableError(
            f"the teacher at {address} gave no finite {list(wanted)} answer for {model.name}: "
            f"does it serve this model, and answer {model.task}?"
        )
    return measures.of(model.task).soft_of(logits)
