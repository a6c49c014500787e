"""Versions for the ARM tests, made here by the trainer's own steps: int8 CNN, float CNN, RNN, streaming RNN."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import models
import numpy as np

from skerry.cli.demo import digits
from skerry.core import preprocessing, specs
from skerry.nets import export, training
from skerry.nets.class_objective import ClassObjective
from skerry.trainer import compress, factories, golden, inputs, propose
from skerry.trainer.shipped import Shipped

_TRAIN_ROWS, _ROWS = 1_000, 300
_PIXELS: Mapping[str, Any] = {"op": "affine", "factor": 1 / 255, "offset": 0.0}
_PLANE: Mapping[str, Any] = {"op": "reshape", "shape": [1, 28, 28]}
# name → (network, its options, preprocessing, int8?)
_KINDS: Mapping[str, tuple[str, Mapping[str, Any], list[Mapping[str, Any]], bool]] = {
    "cnn-int8": ("skerry.nets.cnn:reference", {}, [_PIXELS, _PLANE], True),
    "cnn-float": ("skerry.nets.cnn:reference", {}, [_PIXELS, _PLANE], False),
    "rnn": ("skerry.nets.rnn:rows", {}, [_PIXELS], False),
    "rnn-steps": ("skerry.nets.rnn:rows", {"streaming": True}, [_PIXELS], False),
}


@dataclass(frozen=True)
class Made:
    """`logits` [rows, 10] are what this machine's CPU answers on `images`; `version` answers more of them."""

    folder: Path
    version: Shipped
    images: digits.Images
    logits: np.ndarray


def write(root: Path) -> dict[str, Made]:
    """Version 1 of each below `root`. The networks are trained a little, so that their answers differ by class."""
    data = digits.load()
    return {name: _write(root, name, data) for name in _KINDS}


def _write(root: Path, name: str, data: digits.Digits) -> Made:
    factory, options, steps, small = _KINDS[name]
    model = specs.parse_edge_model(
        name,
        {
            "classNames": [str(digit) for digit in range(10)],
            "network": {"factory": factory, "options": {"classes": 10, **options}},
            "input": {"name": "image", "datatype": "UINT8", "shape": [28, 28]},
            "preprocessing": steps,
        },
    )
    assert model.network is not None
    x = np.asarray(preprocessing.apply(inputs.steps_of(model), data.train.x[:_TRAIN_ROWS]), dtype=np.float32)
    y, ones = data.train.y[:_TRAIN_ROWS], np.ones(_TRAIN_ROWS, dtype=np.float32)
    samples = training.Samples(x, y, np.full((_TRAIN_ROWS, 10), np.nan, dtype=np.float32), ones)
    training.prepare(0)
    trained = factories.build(model.network, name)
    trained = training.train(trained, samples, training.Recipe(epochs=2), lambda epoch: None, ClassObjective(10))
    exported = export.export(trained, x[:8])
    compressed = compress.to_int8(exported, x[:256]) if small else compress.as_float(exported.data)
    draft = propose.draft(model, model.network, compressed, exported)
    images = data.clean.x[:_ROWS]
    version = Shipped(draft, compressed.data)
    tested = golden.build(version, images)
    made = propose.complete(
        draft,
        golden=tested.data,
        tolerance_abs=tested.tolerance_abs,
        confidence=draft.confidence,
        latency_cap_ms=0.0,
        dataset="",
        parents=(),
        metrics={},
    )
    folder = models.write(root, name, 1, compressed.data, made, tested.data)
    return Made(folder, version, images, version.logits(images))
