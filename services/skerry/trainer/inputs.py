"""Rows as a network takes them, and what is told while it learns from them."""

import numpy as np

from skerry.adapters.telemetry import logs
from skerry.core import errors, preprocessing, specs, tensors
from skerry.core.dataset_parts import Rows
from skerry.nets import training
from skerry.nets.training import Epoch, Samples

log = logs.logger("trainer")


def to_samples(rows: Rows, model: specs.EdgeModel) -> Samples:
    """Rows as network inputs with their labels. Raises InputError when the preprocessing makes no numbers of them."""
    x = np.ascontiguousarray(preprocessing.apply(steps_of(model), rows.x))
    return Samples(x, rows.y, rows.soft, rows.weight)


def steps_of(model: specs.EdgeModel) -> tuple[preprocessing.Step, ...]:
    """The EdgeModel's preprocessing, with a last cast where it leaves real numbers that are not float32."""
    steps = preprocessing.parse(list(model.preprocessing))
    row = np.zeros((1, *model.input.shape), dtype=tensors.DTYPES[model.input.datatype])
    dtype = preprocessing.apply(steps, row).dtype
    if dtype in (np.float32, np.int64):
        return steps
    if dtype.kind == "f":
        return (*steps, preprocessing.Cast("FP32"))
    raise errors.InputError(
        f"EdgeModel {model.name}: the preprocessing makes {dtype}; networks take real numbers or int64 ids: "
        'add a step like {"op": "affine", "factor": 0.0039} or {"op": "cast", "datatype": "INT64"}'
    )


def log_epoch(seed: int) -> training.OnEpoch:
    """Log each epoch as an event, for people who watch the run."""

    def log_one(done: Epoch) -> None:
        log.info(
            "epoch",
            epoch=done.epoch,
            epochs=done.epochs,
            loss=round(done.loss, 5),
            seed=seed,
            **{done.measure: round(done.right, 4)},
        )

    return log_one
