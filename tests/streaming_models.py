"""A tiny streaming network: callers send their sequence piece by piece."""

from dataclasses import replace
from pathlib import Path

import models
import onnx_files
from onnx import helper

from skerry.agent.update import version_store
from skerry.core import confidence, manifest, tensors
from skerry.core.tasks import Forecast
from skerry.core.tensors import Spec

STEPS = Spec("x", "FP32", (tensors.FREE, models.FEATURES))


def pieces() -> bytes:
    """A streaming network that takes pieces x [N, T, FEATURES]: its logits tell of the piece alone (their mean by
    `weights`), its state h [N, FEATURES] adds up the pieces."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Add", ["h", "mean"], ["h_next"]),
        helper.make_node("MatMul", ["mean", "w"], ["logits"]),
    ]
    state = Spec("h", "FP32", (models.FEATURES,)), Spec("h_next", "FP32", (models.FEATURES,))
    return onnx_files.packed(nodes, [STEPS, state[0]], [models.LOGITS, state[1]], {"w": models.weights(1.0)})


def write_pieces(root: Path, model: str, number: int, *, window: int, threshold: float = 0.8) -> Path:
    """A version of `pieces` that was trained on windows of so many steps (0: it does not say)."""
    data = pieces()
    made = models.manifest_for(
        model, data, [STEPS], [models.LOGITS], state=(manifest.State("h", "h_next", (models.FEATURES,)),)
    )
    made = replace(
        made, network={"window": window} if window else {}, confidence=confidence.Calibration(1.0, threshold)
    )
    return models.write(root, model, number, data, made, None)


def write_forecaster(root: Path, model: str, number: int, task: Forecast) -> version_store.Slot:
    """A version of `pieces` that forecasts: 4, 5 and 6 times the mean of a piece's last column."""
    data = pieces()
    state = manifest.State("h", "h_next", (models.FEATURES,))
    made = models.manifest_for(model, data, [STEPS], [models.LOGITS], state=(state,))
    made = replace(made, task=task, network={"window": 4})
    return version_store.Slot(model, number, made.digest, models.write(root, model, number, data, made, None))
