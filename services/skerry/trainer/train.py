"""Trains the EdgeModel's network from scratch: old data replayed beside what was captured, hard and soft labels.

Old rows without soft labels get them from the teacher when there is one that answers; a run never fails for want of a
teacher; its report says what it used. With several students the one that is best on a tenth of the training rows, kept
aside, is taken: no holdout row is looked at here.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from skerry.adapters.telemetry import logs
from skerry.core import dataset_parts, errors, specs
from skerry.core.dataset_parts import Rows
from skerry.core.tasks import Task
from skerry.nets import training, worker_group
from skerry.nets.training import Recipe, Samples
from skerry.nets.worker_group import SINGLE, WorkerGroup
from skerry.trainer import balance, data, factories, inputs, measures, prune
from skerry.trainer.balance import Balance

log = logs.logger("trainer")

# x [n, …] as callers send it → probabilities [n, classes]. Raises UnavailableError, InputError.
SoftLabeler = Callable[[NDArray[Any]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Trained:
    """The network in evaluation mode, what it was trained on and how, and a report of it. `slim` is the same without
    the share `pruned` (0–1) of its units; None: nothing was pruned."""

    network: nn.Module
    samples: Samples
    recipe: Recipe
    report: Mapping[str, Any]
    balance: Balance
    slim: nn.Module | None = None
    pruned: float = 0.0


def train(
    model: specs.EdgeModel,
    retrain: specs.RetrainSpec,
    loaded: data.Loaded,
    labeler: SoftLabeler | None,
    owner: str,
    workers: WorkerGroup = SINGLE,
    *,
    is_first: bool = False,
) -> Trained:
    """Train `model.network` by `retrain` on the training rows of `loaded`, which are this worker's own. `is_first`:
    there is no version before it to tell what balance brought. Raises InputError (network, data, loss)."""
    if model.network is None:
        raise errors.InputError(f"EdgeModel {model.name} names no network: it is served and cannot be retrained")
    rows = training_rows(loaded)
    rows, soft_note = with_soft_labels(rows, labeler)
    samples = inputs.to_samples(rows, model)
    choice = balance.choose(model, retrain, rows, samples, owner, workers)
    recipe = replace(recipe_of(retrain), balance=choice.way)
    began_s = time.monotonic()
    aside = measures.of(model.task).kept_aside(rows) if retrain.students > 1 else None
    best, seed = _best_student(model.network, samples, recipe, retrain.students, aside, model.task, owner, workers)
    recipe, slim = replace(recipe, seed=seed), None
    balanced = Balance(choice)
    if is_first:
        spent_s = time.monotonic() - began_s
        balanced = balance.without(model, samples, recipe, loaded, choice, spent_s, retrain.timeout_s, owner, workers)
    samples = balance.taught(samples, recipe, model.task.width)
    if share := prune.share_of(retrain.prune_permille, best):
        slim = prune.prune(best, samples, recipe, share, inputs.log_epoch(seed), measures.of(model.task), workers)
    report = {
        "trainedOn": _together({origin: len(part) for origin, part in loaded.train.items()}, workers),
        "workers": [int(count) for count in worker_group.by_worker(workers, len(rows))],
        "dropped": _together(loaded.dropped, workers),
        "softLabels": int(workers.total(np.array([rows.has_soft.sum()], dtype=np.float64))[0]),
        "softLabelsNote": soft_note,
        "seed": seed,
        "epochs": recipe.epochs,
        "augment": recipe.augment,
        "balance": {"way": choice.way, "reason": choice.reason},
        "prunePermille": round(1000 * share),
        "parameters": _parameters(best),
        "prunedParameters": None if slim is None else _parameters(slim),
    }
    return Trained(best, samples, recipe, report, balanced, slim, share)


def _parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def training_rows(loaded: data.Loaded) -> Rows:
    """All training rows, the imported ones first."""
    parts = [loaded.train[origin] for origin in data.ORIGINS]
    return dataset_parts.concatenate(parts, loaded.manifest.input, loaded.manifest.task)


def _together(counts: Mapping[str, int], workers: WorkerGroup) -> dict[str, int]:
    """Counts of all workers; they have the same keys in the same order."""
    return dict(zip(counts, workers.total(np.array([*counts.values()], np.float64)).astype(int).tolist(), strict=True))


def recipe_of(retrain: specs.RetrainSpec) -> Recipe:
    return Recipe(
        epochs=retrain.epochs,
        learning_rate=retrain.learning_rate_ppm / 1e6,
        seed=retrain.seed,
        augment=retrain.augment,
        balance=retrain.balance,
    )


def with_soft_labels(rows: Rows, labeler: SoftLabeler | None) -> tuple[Rows, str]:
    """Rows with the teacher's probabilities where they had none, and a sentence about it for the report."""
    missing = ~rows.has_soft
    if labeler is None:
        return rows, "no teacher is set: rows without soft labels keep their hard ones"
    if not missing.any():
        return rows, "every row came with soft labels"
    try:
        soft = rows.soft.copy()
        soft[missing] = labeler(rows.x[missing])
    except (errors.UnavailableError, errors.InputError) as exc:
        log.warning("teacher_unused", error=str(exc))
        return rows, f"the teacher did not label the old rows, hard labels are used: {exc}"
    return replace(rows, soft=soft), f"the teacher labelled {int(missing.sum())} rows"


def _best_student(
    network: specs.Network,
    samples: Samples,
    recipe: Recipe,
    students: int,
    aside: NDArray[np.bool_] | None,
    task: Task,
    owner: str,
    workers: WorkerGroup,
) -> tuple[nn.Module, int]:
    """The best of `students` seeds on the rows `aside`; with one student every row is trained on."""
    fit, kept = (samples, None) if aside is None else (_take(samples, ~aside), _take(samples, aside))
    fit = balance.taught(fit, recipe, task.width)
    measure = measures.of(task)
    scored: list[tuple[float, int, nn.Module]] = []
    for seed in range(recipe.seed, recipe.seed + students):
        training.prepare(seed)
        student = factories.build(network, owner)
        factories.check_fit(student, samples.x, measure, owner)
        training.train(student, fit, replace(recipe, seed=seed), inputs.log_epoch(seed), measure.objective, workers)
        score = 0.0 if kept is None else -_loss(student, kept, task, workers)
        scored.append((score, -seed, student))
    score, seed, best = max(scored, key=lambda entry: entry[:2])
    if kept is not None and workers.rank == 0:
        log.info("student_chosen", seed=-seed, loss=round(-score, 4), students=students)
    return best, -seed


def _take(samples: Samples, which: NDArray[np.bool_]) -> Samples:
    return Samples(samples.x[which], samples.y[which], samples.soft[which], samples.weight[which])


def _loss(student: nn.Module, kept: Samples, task: Task, workers: WorkerGroup) -> float:
    """The mean over all workers' rows kept aside; of classes, a row with soft labels alone counts as what they say."""
    y = kept.y if kept.y.ndim == 2 else np.where(kept.y >= 0, kept.y, np.nan_to_num(kept.soft, nan=-1.0).argmax(axis=1))
    known = task.has_truth(y)
    lost = task.row_loss(training.predict(student, kept.x[known]), y[known]) if known.any() else np.empty(0)
    total, rows = workers.total(np.array([lost.sum(), len(lost)], dtype=np.float64)).tolist()
    return float(total / rows) if rows else 0.0
