"""Measures what `core.quality_gates` asks beside the holdouts: answers to slightly changed rows of the golden set, and
the labels of the training rows against what the finished version answers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import gates, input_sketch, quality_gates, specs
from skerry.core.confidence import Calibration
from skerry.core.dataset_parts import Rows
from skerry.core.tasks import Classification, Forecast
from skerry.trainer import data, golden
from skerry.trainer.evaluate import Answers
from skerry.trainer.shipped import Shipped

CHANGES = "a change of 1 % (noise, all more, all less)"
STRENGTH = 0.01
_NOISES = 4
_SEED = 0  # the same version is judged the same
_SPREAD_ROWS = 1000
_MIDDLE_HALVES = 4  # of a normal distribution 3.4 are the range without its outermost hundredths
_TAUGHT_ROWS = 4000


def gates_of(
    model: specs.EdgeModel,
    loaded: data.Loaded,
    version: Shipped,
    answers: Mapping[str, Answers],
    calibration: Calibration,
) -> list[gates.Gate]:
    """The gates; none for what cannot be measured on this kind of input."""
    rows = next((held for held in loaded.holdouts.values() if len(held)), None)
    judged = [] if rows is None else _robustness(model.gates, version, rows.x, calibration)
    return [*judged, *_training_labels(model, loaded, version, answers)]


def inputs_of(loaded: data.Loaded, version: Shipped) -> dict[str, Any]:
    """For the manifest: what the inputs of the imported holdout are like, which nodes compare theirs with."""
    held, described = loaded.holdouts.get("imported"), version.manifest
    datatype = described.network_inputs[0].datatype
    if held is None or described.task.waits_for_truth:
        return {}
    if not input_sketch.measurable(datatype, has_state=bool(described.state)):
        return {}
    known = input_sketch.reference(held.x)
    return {} if known is None else {input_sketch.METRIC: known.to_json()}


def changed(x: NDArray[Any], spread: NDArray[np.float64], rng: np.random.Generator) -> list[NDArray[Any]]:
    """Rows `x` [n, …] each a little changed, in their own datatype: noise of 1 % of `spread`, the same everywhere 1 %
    of it up and down, and 1 % more and less of each value."""
    real, by = x.astype(np.float64), STRENGTH * spread
    made = [real + rng.normal(size=x.shape) * by for _ in range(_NOISES)]
    made += [real + by, real - by, real * (1 + STRENGTH), real * (1 - STRENGTH)]
    if x.dtype.kind == "f":
        return [one.astype(x.dtype) for one in made]
    limits = np.iinfo(x.dtype)
    return [np.clip(np.rint(one), limits.min, limits.max).astype(x.dtype) for one in made]


def spread_of(x: NDArray[Any]) -> NDArray[np.float64]:
    """The range of the inputs `x` [n ≥ 1, …] without their outermost hundredths: of each column of tables and windows
    (the last axis), of an image as a whole. A column that is mostly small and rarely huge has the range of its middle
    half instead, as far as that goes for a normal distribution: a hundredth of what is rare is no small change of the
    other rows."""
    some = x[:: max(1, len(x) // _SPREAD_ROWS)].astype(np.float64)
    axes = tuple(range(some.ndim - 1)) if some.ndim <= 3 else None
    low, below, above, high = np.quantile(some, (0.01, 0.25, 0.75, 0.99), axis=axes)
    middle = np.where(above > below, above - below, np.inf)  # of a column of marks it says nothing
    return np.asarray(np.minimum(high - low, _MIDDLE_HALVES * middle))


def _robustness(
    policy: gates.GatePolicy, version: Shipped, x: NDArray[Any], calibration: Calibration
) -> list[gates.Gate]:
    """Texts and ids have no small changes."""
    if not policy.max_fragile_permille or x.dtype.kind not in "fiu" or version.takes_ids:
        return []
    rows = x[: golden.ROWS]
    task, before = version.manifest.task, version.logits(rows)
    if not np.isfinite(before).all():
        return []  # another gate's business
    # What a classifier must still answer; how far a forecast may move is the bound of a bad one.
    assert isinstance(task, Classification | Forecast)
    was = task.medians(before) if isinstance(task, Forecast) else task.classes(before)
    fragile = np.zeros(len(rows), dtype=np.bool_)
    for one in changed(rows, spread_of(x), np.random.default_rng(_SEED)):
        fragile |= task.is_bad(version.logits(one), was, calibration.bound)
    return quality_gates.robustness(policy, int(fragile.sum()), len(rows), CHANGES)


def _training_labels(
    model: specs.EdgeModel, loaded: data.Loaded, version: Shipped, answers: Mapping[str, Answers]
) -> list[gates.Gate]:
    """By hard labels alone: what a teacher said of a row is its answer, not a truth."""
    held = loaded.holdouts.get("imported")
    if not model.class_names or not model.gates.max_label_error_permille or held is None or not len(held):
        return []
    taught = loaded.train["imported"]
    taught = _some(taught.take(taught.y >= 0))
    pair = (taught.y, Answers(version.logits(taught.x)).classes)
    return quality_gates.training_labels(
        model.gates, model.class_names, pair, (held.targets, answers["imported"].classes)
    )


def _some(rows: Rows) -> Rows:
    """At most _TAUGHT_ROWS, evenly."""
    return rows.take(np.arange(0, len(rows), max(1, -(-len(rows) // _TAUGHT_ROWS))))
