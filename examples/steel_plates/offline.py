"""What ways with unequal classes are worth, cross-validated: each plate is answered by a network that never saw it.
Five networks answer, so this is no deployed version's figure, and no row says so."""

import contextlib
import importlib.util
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from examples.steel_plates.plates import CLASSES, Plates, folds, recalls
from skerry.core import errors, specs
from skerry.nets import training
from skerry.nets.class_objective import ClassObjective
from skerry.trainer import balance, factories, train

FOLDS = 5
WAYS = ("none", "draws", "logits", "weights", "mixup", "synthetic")
_AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class Validated:
    """`recalls` [classes] over all `plates`; CPU seconds."""

    way: str
    recalls: NDArray[np.float64]
    cpu_s: float
    plates: int


@contextlib.contextmanager
def beside(plates: Plates, model: specs.EdgeModel, seed: int) -> Iterator[Sequence[Future[Validated]]]:
    """Every way, each in a process of its own, while the caller does something else. Raises InputError, before
    anything is played, where a way could not be tried."""
    if importlib.util.find_spec("imblearn") is None:
        raise errors.InputError(
            "the way 'synthetic' needs imbalanced-learn, which skerry[trainer] brings: pip install imbalanced-learn"
        )
    with ProcessPoolExecutor(_AT_ONCE, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield [pool.submit(validate, plates, model, seed, way) for way in WAYS]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def validate(plates: Plates, model: specs.EdgeModel, seed: int, way: str) -> Validated:
    """The model's own network and recipe."""
    fold = folds(plates.y, FOLDS, seed)
    began, answers = time.process_time(), np.empty(len(plates), dtype=np.int64)
    for number in range(FOLDS):
        held = fold == number
        answers[held] = _answers(plates.at(np.flatnonzero(~held)), plates.x[held], model, way, seed)
    return Validated(way, recalls(answers, plates.y), time.process_time() - began, len(plates))


def _answers(
    known: Plates, asked: NDArray[np.float32], model: specs.EdgeModel, way: str, seed: int
) -> NDArray[np.int64]:
    assert model.network is not None  # the example's own file
    training.prepare(seed)
    network = factories.build(model.network, "spec.network")
    nobody = np.full((len(known), len(CLASSES)), np.nan, dtype=np.float32)
    samples = training.Samples(known.x, known.y, nobody, np.ones(len(known), dtype=np.float32))
    recipe = replace(train.recipe_of(model.retrain), seed=seed, balance=way)
    samples = balance.taught(samples, recipe, len(CLASSES))
    training.train(network, samples, recipe, lambda epoch: None, ClassObjective(len(CLASSES)))
    return np.asarray(training.predict(network, asked).argmax(axis=1))
