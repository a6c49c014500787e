"""What a run does about unequal classes: which way it takes (`core.balancing` decides), and what that brought.

"Before" is the stable version on the same holdout. A first version has none: then the same training is done once more
without any balance, by the same recipe and seed, and its float network is asked. That costs as much again, once in a
model's life, and only where classes are unequal; where a training takes longer than a quarter of what a run may take,
it is left out and said.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from skerry.core import balancing, gates, imbalance, paired, specs
from skerry.core.balancing import Choice
from skerry.core.class_gates import Holdout
from skerry.core.dataset_parts import Rows
from skerry.core.paired import Classes
from skerry.nets import augment, training
from skerry.nets.training import Recipe, Samples
from skerry.nets.worker_group import SINGLE, WorkerGroup
from skerry.trainer import data, factories, inputs, measures, synthetic

NAME = "balance"  # of what the verdict tells of it
STABLE = "the stable version"
PLAIN = "the same training without it, as float"
_MOST_OF_RUN = 0.25


@dataclass(frozen=True, slots=True)
class Balance:
    """`plain`: what the same training without it answers on the imported holdout; None with a `note` that says why."""

    choice: Choice
    plain: Classes | None = None
    note: str = ""


def choose(
    model: specs.EdgeModel, retrain: specs.RetrainSpec, rows: Rows, samples: Samples, owner: str, workers: WorkerGroup
) -> Choice:
    """The way of this run, by the classes of all workers' rows. Raises InputError for a factory that makes no
    network."""
    if not model.class_names or model.network is None:
        return Choice("none", "a forecast has no classes")
    counted = workers.total(imbalance.counts(rows.targets, len(model.class_names)).astype(np.float64)).astype(np.int64)
    network = factories.build(model.network, owner)
    reads = str(getattr(network, "reads", "") or "")
    kind = balancing.Kind.of(samples.x.dtype.kind, samples.x.ndim, reads)
    augments = bool(augment.resolve(retrain.augment, network, samples.x, measures.of(model.task).objective.reads))
    makes_rows = importlib.util.find_spec("imblearn") is not None
    return balancing.choose(retrain.balance, counted, model.class_names, kind, augments=augments, makes_rows=makes_rows)


def taught(samples: Samples, recipe: Recipe, classes: int) -> Samples:
    """The samples that are trained on, with those that are made."""
    if recipe.balance != "synthetic":
        return samples
    likeliest = np.nan_to_num(samples.soft, nan=-1.0).argmax(axis=1)
    target = np.asarray(np.where(samples.y >= 0, samples.y, likeliest), dtype=np.int64)
    return synthetic.extend(samples, target, classes, recipe.seed)


def without(
    model: specs.EdgeModel,
    samples: Samples,
    recipe: Recipe,
    loaded: data.Loaded,
    choice: Choice,
    spent_s: float,
    timeout_s: float,
    owner: str,
    workers: WorkerGroup = SINGLE,
) -> Balance:
    """What the same training without balance comes to; `spent_s` is how long the training took."""
    held = loaded.holdouts.get("imported")
    if choice.way == "none" or model.network is None or held is None or not len(held):
        return Balance(choice, note="there is nothing to compare with")
    together = workers.total(np.array([spent_s]))[0] / workers.size
    if together > _MOST_OF_RUN * timeout_s:
        return Balance(choice, note=f"one training takes {together:.0f} s: it was not done again without balance")
    training.prepare(recipe.seed)
    network = factories.build(model.network, owner)
    plain = replace(recipe, balance="none")
    training.train(network, samples, plain, inputs.log_epoch(recipe.seed), measures.of(model.task).objective, workers)
    outputs = training.predict(network, inputs.to_samples(held, model).x)
    return Balance(choice, np.asarray(outputs.argmax(axis=1), dtype=np.int64))


def told(balance: Balance, holdouts: Sequence[measures.Measured]) -> list[gates.Gate]:
    """Not judged: which way was taken and why, and recalls before and after."""
    held = next((one.judged for one in holdouts if one.origin == "imported"), None)
    if not isinstance(held, Holdout) or not len(held.labels):
        return []
    text = f"{balance.choice.way}: {balance.choice.reason}"
    after = _recalls(held, held.candidate)
    before, of = (held.baseline, STABLE) if held.baseline is not None else (balance.plain, PLAIN)
    numbers = {"macroRecall": after[0], "worstRecall": after[1]}
    if before is None:
        text += f"; macro recall {after[0]:.4f}, worst class {after[2]} {after[1]:.4f}"
        text += f" ({balance.note})" if balance.note else ""
    else:
        was = _recalls(held, before)
        numbers |= {"macroRecallBefore": was[0], "worstRecallBefore": was[1]}
        text += (
            f"; macro recall {was[0]:.4f} → {after[0]:.4f}, worst class {was[2]} {was[1]:.4f} → {after[2]} "
            f"{after[1]:.4f} (before: {of})"
        )
    return [gates.Gate(NAME, gates.Outcome.PASS, text, {name: round(value, 6) for name, value in numbers.items()})]


def _recalls(held: Holdout, answers: Classes) -> tuple[float, float, str]:
    """(macro recall, that of the worst class, its name)"""
    recalls = paired.recalls(held.labels, answers, len(held.class_names))
    worst = int(np.nanargmin(recalls))
    return float(np.nanmean(recalls)), float(recalls[worst]), held.class_names[worst]
