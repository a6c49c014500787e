"""What the network behind an int8 version, before it was quantized, answers on the same rows. It serves nobody: the
trainer keeps it beside the proposal, and it is asked here, through the serving path."""

import json
from collections.abc import Sequence

import numpy as np

from examples.client import Answer
from examples.spans import Asked
from examples.stack import Stack
from skerry.adapters import blobs as blob_store
from skerry.adapters.blobs.protocol import Blobs
from skerry.core import contract, errors, manifest, specs
from skerry.core.tasks import Forecast
from skerry.trainer import propose
from skerry.trainer.shipped import Shipped

_MAX_PROPOSAL = 4 << 20


def mean_error(stack: Stack, answers: Sequence[Answer], rows: Asked, model: specs.EdgeModel) -> float:
    """Of the first step, on the rows that the version of the last answer answered. Of a version that is float itself:
    that version's. Raises SkerryError where the proposal of its run or a file of it cannot be had."""
    digest = answers[-1].digest
    for version in stack.look().of("ModelVersion").values():
        if version.spec["digest"] == digest and version.spec.get("run"):
            store = blob_store.open_blobs(stack.system.layout.blobs_url)
            whole = network(store, str(version.spec["run"]))
            return error(whole, [answer for answer in answers if answer.digest == digest], rows, model)
    raise errors.UnavailableError(f"no run made {digest}: what it was before int8 is not known")


def error(whole: Shipped, answers: Sequence[Answer], rows: Asked, model: specs.EdgeModel) -> float:
    """Of at least one answer."""
    assert isinstance(model.task, Forecast)  # `spans` has said so
    at = np.array([answer.index for answer in answers], dtype=np.int64)
    said = model.task.medians(whole.logits(rows.x[at]))[:, 0].astype(np.float64)
    return float(np.abs(said - rows.y[at, 0]).mean())


def network(blobs: Blobs, run: str) -> Shipped:
    """That of a run's proposal. Raises SkerryError."""
    path = contract.proposal_path(run)
    try:
        document = json.loads(blobs.read(path, max_bytes=_MAX_PROPOSAL))
        version = manifest.from_json(blob_store.fetch(blobs, document["digest"], manifest.MAX_BYTES))
    except (ValueError, KeyError, TypeError) as exc:
        raise errors.IntegrityError(f"{path} is no proposal: {exc}") from exc
    if "float" not in document:
        return Shipped(version, blob_store.fetch(blobs, version.files["model"].digest, manifest.MAX_FILE_BYTES))
    before = blob_store.fetch(blobs, str(document["float"]), manifest.MAX_FILE_BYTES)
    return Shipped(propose.as_float(version, before), before)
