"""What ways with unequal classes are worth, cross-validated: each plate is answered by a network that never saw it.
Five networks answer, so this is no deployed version's figure, and no row says so."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from examples.steel_plates.plates import CLASSES, Plates, folds, recalls
from skerry.core import specs
from skerry.nets import training
from skerry.nets.class_objective import ClassObjective
from skerry.trainer import factories, train

FOLDS = 5
WAYS = ("none", "draws", "logits")


@dataclass(frozen=True, slots=True)
class Validated:
    """`recalls` [classes] over all `plates`; CPU seconds."""

    way: str
    recalls: NDArray[np.float64]
    cpu_s: float
    plates: int


def validate(plates: Plates, model: specs.EdgeModel, seed: int) -> Iterator[Validated]:
    """The model's own network and recipe, one way after the other."""
    fold = folds(plates.y, FOLDS, seed)
    for way in WAYS:
        began, answers = time.process_time(), np.empty(len(plates), dtype=np.int64)
        for number in range(FOLDS):
            held = fold == number
            answers[held] = _answers(plates.at(np.flatnonzero(~held)), plates.x[held], model, way, seed)
        yield Validated(way, recalls(answers, plates.y), time.process_time() - began, len(plates))


def _answers(
    known: Plates, asked: NDArray[np.float32], model: specs.EdgeModel, way: str, seed: int
) -> NDArray[np.int64]:
    assert model.network is not None  # the example's own file
    training.prepare(seed)
    network = factories.build(model.network, "spec.network")
    nobody = np.full((len(known), len(CLASSES)), np.nan, dtype=np.float32)
    samples = training.Samples(known.x, known.y, nobody, np.ones(len(known), dtype=np.float32))
    recipe = train.recipe_of(model.retrain)
    recipe = training.Recipe(recipe.epochs, recipe.learning_rate, seed=seed, augment=recipe.augment, balance=way)
    training.train(network, samples, recipe, lambda epoch: None, ClassObjective(len(CLASSES)))
    return np.asarray(training.predict(network, asked).argmax(axis=1))
